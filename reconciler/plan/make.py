"""The plan of one pass: operations, what holds each of them, and what is bound late. Pure, and a value."""

from collections.abc import Iterator

from reconciler.change import Create, Delete, Held, Operation, Plan, Reason, Replace, Trip, Update
from reconciler.desired import Desired
from reconciler.plan.binding import rebinds
from reconciler.plan.guards import ENDPOINT, concerns, trips
from reconciler.plan.needs import waits
from reconciler.plan.operations import digest, identity, operations
from reconciler.plan.situation import Situation
from reconciler.plan.view import View
from reconciler.resource import DriftMode, Live, LiveResource


def make_plan(desired: Desired, live: Live, situation: Situation) -> Plan:
    """Judge everything as a whole first (guards), then each operation by itself (conflict, protection, needs).

    Same inputs in any order, same plan.
    """
    view = View(desired, live, situation)
    found = tuple(sorted(operations(view), key=lambda op: op.key))
    name, tripped = digest(found), trips(view, found)
    acknowledged = situation.acknowledged | (frozenset(map(identity, found)) if name in situation.trailers else frozenset())
    protected = _protected(view)
    judged = tuple((op, _hold(view, op, tripped, acknowledged, protected)) for op in found)
    changes = tuple(op for op, hold in judged if hold is None)
    return Plan(
        revision=desired.revision,
        changes=changes,
        held=(*_unplannable(view), *(hold for _, hold in judged if hold)),
        rebinds=tuple(rebinds(view, frozenset(op.key for op in changes))),
        digest=name,
        trips=tripped,
        drifted=tuple(op.key for op in found if isinstance(op, Update) and op.drift),
        unreadable=view.unreadable,
        acknowledged=tuple(sorted(acknowledged & set(map(identity, found)))),
        heals=tuple(sorted(seen.target for seen in view.readable.values() if seen.pending)),
        endpoints=sum(owner.kind == ENDPOINT for owner in desired.owners.values()),
        targets=len(live),
    )


def _protected(view: View) -> frozenset[str]:
    return frozenset(found.mark.owner for found in view.ours.values() if found.mark and found.mark.protect)


def _hold(
    view: View, operation: Operation, tripped: tuple[Trip, ...], acknowledged: frozenset[str], protected: frozenset[str]
) -> Held | None:
    """The strongest reason first: what no acknowledgement helps against, then guards, then what time will solve."""
    return (
        _conflict(view, operation)
        or _invalid(view, operation)
        or _protection(view, operation, protected)
        or _stranded(view, operation)
        or _reported_drift(operation)
        or _guarded(operation, tripped, acknowledged)
        or waits(view, operation)
    )


def _conflict(view: View, operation: Operation) -> Held | None:
    found = view.everything.get(operation.key)
    if not isinstance(operation, Create) or found is None or (found.leaving and view.is_ours(found)):
        return None
    if found.lost:
        return Held(str(operation.key), Reason.CONFLICT, f"not touched: {found.lost}", operation)
    mark = found.mark
    whose = f"instance '{mark.instance}' of the repo {mark.repo[:12]}" if mark else "somebody who is not us"
    where = f" ({found.holder})" if found.holder else ""
    text = f"held by {whose}{where}: not touched. Rename the endpoint, or remove what is there by hand"
    return Held(str(operation.key), Reason.CONFLICT, text, operation)


def _invalid(view: View, operation: Operation) -> Held | None:
    if isinstance(operation, Delete):
        unknown = view.desired.no_deletes and operation.owner not in view.desired.owners
        return Held(str(operation.key), Reason.INVALID, view.desired.no_deletes, operation) if unknown else None
    seen = view.readable[operation.key.target]
    wrong = next((problem for problem in seen.problems if problem.owner == operation.owner), None)
    return Held(str(operation.key), Reason.INVALID, wrong.what, operation) if wrong else None


def _protection(view: View, operation: Operation, protected: frozenset[str]) -> Held | None:
    if isinstance(operation, Delete | Replace) and (kept := _kept(view, operation.live)):
        return Held(str(operation.key), Reason.PROTECTED, kept, operation)
    declared = operation.owner in view.desired.owners
    if not isinstance(operation, Delete) or declared or operation.owner not in protected:
        return None
    text = "its last declaration said protect: true; set protect: false in a commit of its own first [E18]"
    return Held(str(operation.key), Reason.PROTECTED, text, operation)


def _kept(view: View, live: LiveResource) -> str:
    """Why it is never deleted; what a kept workload stands on is kept with it."""
    owner = live.mark.owner if live.mark else ""
    if live.kept or view.serves(live.key):
        return live.kept
    served = (one for one in view.owned_by(owner) if one.key.target == live.key.target and view.serves(one.key))
    return next((f"{one.key} stands on it: {one.kept}" for one in served if one.kept and one.key not in view.desired.resources), "")


def _stranded(view: View, operation: Operation) -> Held | None:
    """The route of an endpoint that moves to where no gateway leads: nobody who moves something wants it dark."""
    if not isinstance(operation, Delete) or operation.key.kind not in view.rules(operation.key.target).routes:
        return None
    owner, new = view.desired.owners.get(operation.owner), sorted({key.target for key in view.wanted_of.get(operation.owner, ())})
    if owner is None or owner.asleep or operation.owner in view.routed or operation.key.target not in view.desired.targets:
        return None
    if not new or {key.target for key in operation.live.needs} <= set(new):  # it stays where it is: its gateway lets go of it
        return None
    where = " or ".join(new)
    text = (
        f"stays: no gateway routes to {where}, to which it moves [E67]. Add {where} to spec.clusters of a Gateway; "
        "or, where it is to have no route, take its old cluster out of there first, in a commit of its own"
    )
    return Held(str(operation.key), Reason.INVALID, text, operation)


def _reported_drift(operation: Operation) -> Held | None:
    if isinstance(operation, Update) and operation.drift and operation.desired.drift is DriftMode.REPORT:
        return Held(str(operation.key), Reason.DRIFT, "changed on the target, not in the repo; drift is set to report", operation)
    return None


def _guarded(operation: Operation, tripped: tuple[Trip, ...], acknowledged: frozenset[str]) -> Held | None:
    trip = next((trip for trip in tripped if concerns(trip, operation)), None)
    if trip is None or identity(operation) in acknowledged:
        return None
    return Held(str(operation.key), Reason.GUARD, trip.text, operation)


def _unplannable(view: View) -> Iterator[Held]:
    """What has no operation, because it could not be read or said."""
    for target in view.unreadable:
        yield Held(target.target, Reason.UNREADABLE, target.problem.what)
    for owner, problems in sorted(view.desired.blocked.items()):
        lives = any(True for _ in view.owned_by(owner))
        fate = "keeps running as it is, with its route" if lives else "not created"
        yield Held(owner, Reason.INVALID, f"{problems[0].what if problems else 'does not validate'}; {fate}")
