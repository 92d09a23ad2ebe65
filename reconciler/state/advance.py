"""How a pass changes the record. Pure: before the first write (intent), and after the last."""

from collections.abc import Mapping
from dataclasses import replace

from reconciler.change import Change, Outcome, Plan, Reason, Rebind
from reconciler.desired import Desired, Remembered, TargetSpec
from reconciler.plan.guards import PERHAPS, concerns, count, ending_of, move
from reconciler.plan.operations import identity
from reconciler.plan.situation import Situation, Spent
from reconciler.report.model import EndpointStatus
from reconciler.resource import Live, Observation, Observed
from reconciler.state.history import Past
from reconciler.state.record import Acknowledged, Record

OPEN = frozenset({Reason.GUARD, Reason.CONFLICT, Reason.UNREADABLE, Reason.APPROVAL})
# guards that trip over what lies behind this head
UNKNOWN_PAST = frozenset({"rewound", "history"})


def situate(record: Record, desired: Desired, past: Past, *, now: float) -> Situation:
    """What the plan is told of the past."""
    acknowledged = record.acknowledged.operations if record.acknowledged.revision == desired.revision else frozenset()
    return Situation(
        now=now,
        applied=record.remembered.revision or record.head,
        rewound=record.head if past.rewound else "",
        trailers=frozenset(past.trailers),
        acknowledged=acknowledged,
        spent=_spent(record, desired.revision),
        applied_guards=record.remembered.guards,
        paused=frozenset(name for name, status in record.statuses.items() if status.word == "Paused"),
        targets=_reaching(record, desired),
    )


def _spent(record: Record, revision: str) -> Spent:
    return record.spent if record.spent.revision == revision else Spent(revision, begun=record.unfinished)


def known_targets(record: Record, desired: Desired) -> Mapping[str, TargetSpec]:
    """A pass covers the targets that are declared now and those it has not seen empty since they left the repo."""
    return {**record.remembered.targets, **desired.targets}


def _reaching(record: Record, desired: Desired) -> Mapping[str, TargetSpec]:
    """The same, with the clusters that a gateway bound when it was last read: until it is read again, its routes may lead there."""
    before = record.remembered.targets
    return {name: _bind(spec, before[name]) if name in before else spec for name, spec in known_targets(record, desired).items()}


def _bind(spec: TargetSpec, before: TargetSpec) -> TargetSpec:
    more = set(before.binds) - set(spec.binds)
    return replace(spec, binds=tuple(sorted({*spec.binds, *more}))) if more else spec


def before_writes(record: Record, desired: Desired, plan: Plan) -> Record:
    """Intent: the targets that this pass may write to, what a person acknowledged, and what the guards will have counted are known
    before the first write."""
    known = replace(record.remembered, targets=_reaching(record, desired), instance=desired.instance)
    spent = _spend(_spent(record, plan.revision), plan.changes)
    return replace(
        record,
        repo=desired.repo,
        head=desired.revision if plan.changes and not _blind(record, plan) else record.head,
        remembered=known,
        acknowledged=_acknowledged(record, plan),
        spent=spent,
        unfinished=record.unfinished | frozenset(PERHAPS + owner for owner in spent.deletes),
    )


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
    failed = any(not outcome.applied for outcome in outcomes)
    whole = not failed and not any(held.reason in OPEN for held in plan.held)
    targets = _still_known(record, desired, live, plan)
    known = _applied(record, desired) if whole else record.remembered
    done = _spend(situation.spent, tuple(outcome.change for outcome in outcomes if outcome.applied))
    return Record(
        repo=desired.repo,
        head=record.head if _blind(record, plan) else desired.revision,
        remembered=replace(known, targets=targets, declared=dict(desired.declared), aliases=dict(desired.aliases)),
        acknowledged=record.acknowledged,
        spent=record.spent,  # as intended: what is reported as failed may have been done
        unfinished=frozenset(one for one in _begun(done) if one.removeprefix(PERHAPS) in _left(plan, outcomes)),
        statuses={status.owner: status for status in statuses},
        at=situation.now,
    )


def _blind(record: Record, plan: Plan) -> bool:
    """Was this head not acted on? Then the next pass must see the same past: an unanswered rewind or loss of history stays one, and
    where nothing is remembered, what a dark target holds was not judged yet."""
    asked = [trip for trip in plan.trips if trip.rule in UNKNOWN_PAST]
    open_ = any(concerns(trip, op) and identity(op) not in plan.acknowledged for trip in asked for op in plan.operations)
    return open_ or (not record.head and bool(plan.unreadable))


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
        if not isinstance(seen, Observation) or seen.lingers or name in busy:
            return False
        return not any(found.mark and found.mark.instance == desired.instance for found in seen.resources.values())

    known = _reaching(record, desired)
    return {
        name: _released(spec, desired.targets.get(name), live.get(name))
        for name, spec in known.items()
        if name in desired.targets or not empty(name)
    }


def _released(spec: TargetSpec, declared: TargetSpec | None, seen: Observed | None) -> TargetSpec:
    """A gateway as it is declared, once a good reading shows that none of its routes leads, or drains, anywhere else."""
    if declared is None or declared == spec or not isinstance(seen, Observation):
        return spec
    routes = seen.resources.values()
    used = {key.target for route in routes for key in (*route.needs, *(backend for backend, _ in route.binding.drains))}
    return spec if used - set(declared.binds) else declared


def _spend(spent: Spent, changes: tuple[Change, ...]) -> Spent:
    counted = count(tuple(change for change in changes if not isinstance(change, Rebind)), spent.begun)
    return replace(
        spent,
        deletes=spent.deletes | counted.deletes,
        restarts=spent.restarts | counted.restarts,
        keys=spent.keys | counted.keys,
    )


def _begun(spent: Spent) -> frozenset[str]:
    """What has begun to be deleted or moved: a later revision finishes it without counting it again."""
    return spent.deletes | frozenset(map(move, spent.restarts)) | spent.keys | spent.begun


def _left(plan: Plan, outcomes: tuple[Outcome, ...]) -> frozenset[str]:
    """Deletes and migrations that have operations left."""
    held = [held.change for held in plan.held if held.change]
    failed = [outcome.change for outcome in outcomes if not outcome.applied and not isinstance(outcome.change, Rebind)]
    return frozenset(filter(None, map(ending_of, (*held, *failed))))
