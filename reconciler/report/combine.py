"""Several passes as one report: the last plan and statuses, and the last outcome of every change."""

from collections.abc import Sequence
from dataclasses import replace

from reconciler.change import Outcome, Rebind
from reconciler.report.model import Report
from reconciler.report.words import operation_of
from reconciler.resource import ResourceKey


def combined(reports: Sequence[Report]) -> Report:
    """A change that failed and was applied by a later pass counts as applied. Address changes are left out unless they failed."""
    last = reports[-1]
    if last.outcomes is None or len(reports) == 1:
        return last
    found: dict[tuple[ResourceKey, str], Outcome] = {}
    for report in reports:
        for outcome in report.outcomes or ():
            found.pop((outcome.change.key, operation_of(outcome.change)), None)
            found[outcome.change.key, operation_of(outcome.change)] = outcome
    kept = tuple(one for one in found.values() if not (isinstance(one.change, Rebind) and one.applied))
    return replace(last, outcomes=kept)
