"""One pass. Every verb is this: `plan` with places that cannot write, `apply` once, `run` again and again."""

from reconciler.apply import Written, apply_plan
from reconciler.change import Plan
from reconciler.given import Given, desired_of
from reconciler.observe import found_wrong, noted, observe
from reconciler.plan.make import make_plan
from reconciler.plan.view import View
from reconciler.report.model import Report
from reconciler.state.advance import after_writes, before_writes, known_targets, situate
from reconciler.state.history import history, same_repo
from reconciler.state.record import Record
from reconciler.status import statuses
from reconciler.targets.protocol import Claim
from reconciler.targets.registry import rules_of


def reconcile(given: Given) -> Report:
    """Do all that is possible now, and end. What must wait is held in the plan with its reason; the next pass looks again.

    Raises RepoError when there is no revision to read, StateError when nothing can be remembered; everything else is in the report.
    """
    record = given.state.load()
    desired = same_repo(desired_of(given, record.remembered), record)
    past = history(given.source, record, desired.revision)

    opened, closed = given.places.open(known_targets(record, desired), Claim(desired.instance, desired.repo))
    live = observe(opened, closed, desired.resources, parallel=given.parallel)
    situation = situate(record, desired, past, now=given.places.now())
    plan = make_plan(desired, live, situation)

    intent = before_writes(record, desired, plan)
    written = _write(given, plan, record, intent)
    outcomes = written.outcomes if written else None
    words = statuses(View(desired, live, situation), plan, outcomes, record.statuses)

    if outcomes is not None:
        after = after_writes(intent, desired, live, situation, plan, outcomes, words)
        if after != intent:
            given.state.save(after)
        record = after
    problems = (*desired.problems, *found_wrong(live, plan), *(written.problems if written else ()))
    applied = record.remembered.revision
    return Report(plan, words, problems, outcomes, situation.now, desired.status_branch, applied, noted(live))


def _write(given: Given, plan: Plan, record: Record, intent: Record) -> Written | None:
    if not given.places.write:
        return None
    if intent != record and (plan.changes or plan.rebinds):
        given.state.save(intent)
    targets = given.places.targets()
    return apply_plan(plan, targets, {name: rules_of(given.places.spec(name).type) for name in targets})
