"""What `validate` says: every mistake with its place, or how much is sound."""

from collections import Counter
from typing import Final, Literal

from reconciler.desired import Desired
from reconciler.errors import Severity
from reconciler.report.forms import ValidationForm
from reconciler.report.json_form import dumps, problem_form
from reconciler.report.style import paint, plural
from reconciler.report.text import problems_as_text
from reconciler.report.words import short_revision

VALIDATION_FORMAT: Final = "reconciler.dev/validation/v1"


def is_sound(desired: Desired) -> bool:
    return not desired.blocked and all(problem.severity is not Severity.ERROR for problem in desired.problems)


def validation_as_text(desired: Desired, colour: bool = False) -> str:
    """`Valid at uncommitted: 2 endpoints, 1 API key, on 2 targets.`, or the problems."""
    counted = _counted(desired)
    problems = problems_as_text(desired.problems, counted["Endpoint"] + _blocked_endpoints(desired), colour)
    if not is_sound(desired):
        return problems + "\n"
    keys = f", {plural(counted['ApiKey'], 'API key')}" if counted["ApiKey"] else ""
    said = f"{plural(counted['Endpoint'], 'endpoint')}{keys}, on {plural(len(desired.targets), 'target')}"
    head = paint(f"Valid at {short_revision(desired.revision)}: {said}.", "green", colour)
    return f"{head}\n{problems}\n" if problems else f"{head}\n"


def validation_as_json(desired: Desired) -> str:
    exit_code: Literal[0, 1] = 0 if is_sound(desired) else 1
    form = ValidationForm(
        format=VALIDATION_FORMAT,
        revision=desired.revision,
        exitCode=exit_code,
        declared=dict(sorted(_counted(desired).items())),
        targets=sorted(desired.targets),
        blocked=sorted(desired.blocked),
        problems=[problem_form(problem) for problem in desired.problems],
    )
    return dumps(form)


def _counted(desired: Desired) -> Counter[str]:
    return Counter(owner.kind for owner in desired.owners.values())


def _blocked_endpoints(desired: Desired) -> int:
    return sum(owner.startswith("Endpoint/") and owner not in desired.owners for owner in desired.blocked)
