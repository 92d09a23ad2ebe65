"""How a pass changes the record. Pure: before the first write (intent), and after the last."""

from collections.abc import Mapping
from dataclasses import replace

from reconciler.desired import Desired, Remembered, TargetSpec
from reconciler.plan.guards import count
from reconciler.plan.situation import Situation, Spent
from reconciler.report.model import EndpointStatus
from reconciler.resource import Live, Observation, Outcome, Plan, Reason, Rebind
from reconciler.state.history import Past
from reconciler.state.record import Acknowledged, Record

OPEN = frozenset({Reason.GUARD, Reason.CONFLICT, Reason.UNREADABLE, Reason.APPROVAL})
# while one of these guards holds, this head was not acted on: the next pass must see the same past
UNKNOWN_PAST = frozenset({"rewound", "history"})


def situate(record: Record, desired: Desired, past: Past, *, now: float) -> Situation:
    """What the plan is told of the past."""
    same = record.spent.revision == desired.revision
    spent = record.spent if same else Spent(desired.revision, begun=record.unfinished)
    acknowledged = record.acknowledged.operations if record.acknowledged.revision == desired.revision else frozenset()
    return Situation(
        now=now,
        applied=record.remembered.revision or record.head,
        rewound=record.head if past.rewound else "",
        trailers=frozenset(past.trailers),
        acknowledged=acknowledged,
        spent=spent,
        applied_guards=record.remembered.guards,
        paused=frozenset(name for name, status in record.statuses.items() if status.word == "Paused"),
        targets=known_targets(record, desired),
    )


def known_targets(record: Record, desired: Desired) -> Mapping[str, TargetSpec]:
    """A pass covers the targets that are declared now and those it has not seen empty since they left the repo."""
    return {**record.remembered.targets, **desired.targets}


def before_writes(record: Record, desired: Desired, plan: Plan) -> Record:
    """Intent: the targets that this pass may write to, and what a person acknowledged, are known before the first write."""
    known = replace(record.remembered, targets=known_targets(record, desired), instance=desired.instance)
    return replace(record, repo=desired.repo, remembered=known, acknowledged=_acknowledged(record, plan))


def _acknowledged(record: Record, plan: Plan) -> Acknowledged:
    earlier = record.acknowledged.operations if record.acknowledged.revision == plan.revision else frozenset()
    return Acknowledged(plan.revision, earlier | frozenset(plan.acknowledged))


def after_writes(
    record: Record,
    desired: Desired,
    live: Live,
    situation: Situation,
    plan: Plan,
    outcomes: tuple[Outcome, ...],
    statuses: tuple[EndpointStatus, ...],
) -> Record:
    """What is remembered when the pass is over. `record` is the one of `before_writes`."""
    held_back = any(held.reason is Reason.GUARD and held.change is not None for held in plan.held)
    blind = held_back and any(trip.rule in UNKNOWN_PAST for trip in plan.trips)
    failed = any(not outcome.applied for outcome in outcomes)
    whole = not failed and not any(held.reason in OPEN for held in plan.held)
    targets = _still_known(record, desired, live, plan)
    known = _applied(record, desired) if whole else record.remembered
    return Record(
        repo=desired.repo,
        head=record.head if blind else desired.revision,
        remembered=replace(known, targets=targets, declared=dict(desired.declared), aliases=dict(desired.aliases)),
        acknowledged=record.acknowledged,
        spent=_spend(situation.spent, outcomes),
        unfinished=_unfinished(situation.spent, plan, outcomes),
        statuses={status.owner: status for status in statuses},
        at=situation.now,
    )


def _applied(record: Record, desired: Desired) -> Remembered:
    return Remembered(
        revision=desired.revision,
        instance=desired.instance,
        guards=desired.guards,
        drift=desired.drift,
        status_branch=desired.status_branch,
    )


def _still_known(record: Record, desired: Desired, live: Live, plan: Plan) -> Mapping[str, TargetSpec]:
    """A target that left the repo is forgotten once a good reading shows nothing of ours on it and nothing was written to it."""
    busy = {op.key.target for op in plan.operations}

    def empty(name: str) -> bool:
        seen = live.get(name)
        if not isinstance(seen, Observation) or name in busy:
            return False
        return not any(found.mark and found.mark.instance == desired.instance for found in seen.resources.values())

    known = known_targets(record, desired)
    return {name: spec for name, spec in known.items() if name in desired.targets or not empty(name)}


def _spend(spent: Spent, outcomes: tuple[Outcome, ...]) -> Spent:
    counted = count(tuple(o.change for o in outcomes if o.applied and not isinstance(o.change, Rebind)))
    return replace(
        spent,
        deletes=spent.deletes | (counted.deletes - spent.begun),
        restarts=spent.restarts | (counted.restarts - spent.begun),
        keys=spent.keys | (counted.keys - spent.begun),
    )


def _unfinished(spent: Spent, plan: Plan, outcomes: tuple[Outcome, ...]) -> frozenset[str]:
    """Owners whose delete or restart has begun and has operations left: a later revision finishes them without counting them again."""
    after = _spend(spent, outcomes)
    begun = after.deletes | after.restarts | after.keys | after.begun
    left = {held.change.owner for held in plan.held if held.change} | {o.change.owner for o in outcomes if not o.applied}
    return frozenset(begun & left)
