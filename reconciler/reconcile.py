"""One pass. Every verb is this: `plan` with places that cannot write, `apply` once, `run` again and again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.apply import Written, apply_plan
from reconciler.change import Plan
from reconciler.desired import Desired, Remembered
from reconciler.observe import found_wrong, noted, observe
from reconciler.places import Places
from reconciler.plan.make import make_plan
from reconciler.plan.view import View
from reconciler.repo.read import ReadCache, read_repo
from reconciler.repo.snapshot import Snapshot
from reconciler.repo.source import Source
from reconciler.report.model import Report
from reconciler.state.advance import after_writes, before_writes, known_targets, situate
from reconciler.state.folder import State
from reconciler.state.history import history, same_repo
from reconciler.state.record import Record
from reconciler.status import statuses
from reconciler.targets.protocol import Claim
from reconciler.targets.registry import rules_of


class Kept(Protocol):
    """A memory of compiled commits (`state/compiled.py`)."""

    def find(self, revision: str, root: str, remembered: Remembered) -> Desired | None: ...

    def keep(self, revision: str, root: str, remembered: Remembered, desired: Desired) -> None: ...


@dataclass(frozen=True, slots=True)
class Given:
    """What a pass is given. compile: the compiler with its engine schemas and caches. parallel: read targets side by side.

    kept: what earlier commands compiled, for a process that has compiled nothing itself yet.
    """

    source: Source
    state: State
    places: Places
    compile: Callable[[Snapshot, Remembered], Desired]
    cache: ReadCache = field(default_factory=ReadCache)
    parallel: bool = True
    kept: Kept | None = None


def reconcile(given: Given) -> Report:
    """Do all that is possible now, and end. What must wait is held in the plan with its reason; the next pass looks again.

    Raises RepoError when there is no revision to read, StateError when nothing can be remembered; everything else is in the report.
    """
    record = given.state.load()
    desired = same_repo(_desired(given, record.remembered), record)
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


def _desired(given: Given, remembered: Remembered) -> Desired:
    """What should be. A commit that was compiled before, with the same memory, is neither read nor compiled."""
    if given.kept is None or given.cache.snapshot is not None:
        return given.compile(read_repo(given.source, remembered.declared, given.cache), remembered)
    revision = given.source.revision()
    known = given.kept.find(revision.id, revision.root, remembered)
    if known is None:
        snapshot = read_repo(given.source, remembered.declared, given.cache)
        known = given.compile(snapshot, remembered)
        given.kept.keep(snapshot.revision.id, snapshot.revision.root, remembered, known)
    return known


def _write(given: Given, plan: Plan, record: Record, intent: Record) -> Written | None:
    if not given.places.write:
        return None
    if intent != record and (plan.changes or plan.rebinds):
        given.state.save(intent)
    targets = given.places.targets()
    return apply_plan(plan, targets, {name: rules_of(given.places.spec(name).type) for name in targets})
