"""What must wait, and for what: backend before route, route off before backend off, drains. A pass never waits, so each of these is a
sentence that a person reads in the plan, and the next pass looks again."""

from collections.abc import Iterator
from itertools import chain

from reconciler.change import ChangeClass, Create, Delete, Held, Operation, Reason, Replace, Update
from reconciler.plan.binding import drain_left
from reconciler.plan.view import View
from reconciler.resource import LiveResource, Resource, ResourceKey


def waits(view: View, operation: Operation) -> Held | None:
    """The first reason why this operation cannot run in this pass, or None."""
    found: Iterator[tuple[Reason, str]]
    match operation:
        case Create(desired):
            found = chain(_leaving(view, desired), _unmet(view, desired.needs))
        case Update(desired, live):
            # a published route stays when its backend degrades: only what is new in `needs` gates
            known = () if live.withdrawn else live.needs
            unmet = _unmet(view, tuple(key for key in desired.needs if key not in known))
            found = chain(unmet, _still_used(view, live) if operation.effects.kind is ChangeClass.PAUSE else ())
        case Delete(live) if heir := view.heirs.get(live.identity):
            found = iter([(Reason.WAITING, f"is {heir} now: it stays, and goes from here when that is written")])
        case Delete(live) if live.withdrawn:
            found = _draining(view, live)
        case Delete(live):
            found = _still_used(view, live) if view.serves(live.key) else _stood_on(view, live)
        case Replace():
            # its routes need the key, not this form of it, and stay: waiting for them would be for ever. The plan says "downtime"
            found = iter(())
    reason, text = next(found, (None, ""))
    return Held(str(operation.key), reason, text, operation) if reason else None


def _leaving(view: View, desired: Resource) -> Iterator[tuple[Reason, str]]:
    """Its own last form, or what it stands on together with others (the namespace of its workspace), is being deleted."""
    if desired.key in view.everything:  # of ours: what others hold is a conflict
        yield Reason.WAITING, "waits until the one that is being deleted is gone"
    owner = view.desired.owners.get(desired.owner)
    for key in owner.shares if owner else ():
        found = view.everything.get(key)
        if found is not None and found.leaving and key.target == desired.key.target:
            yield Reason.WAITING, f"waits until {key.kind} {key.name}, which is being deleted, is gone"


def _unmet(view: View, needs: tuple[ResourceKey, ...]) -> Iterator[tuple[Reason, str]]:
    for key in needs:
        backend = view.ours.get(key)
        if key.target not in view.readable:
            yield Reason.WAITING, f"waits for {key}: {key.target} cannot be read"
        elif backend is None:
            yield Reason.WAITING, f"waits for {key} to be created and to serve"
        elif not backend.meets_needs or _wakes(view, backend):
            yield Reason.WAITING, f"waits for {key} to serve{_so_far(backend)}"


def _wakes(view: View, backend: LiveResource) -> bool:
    """It sleeps, and is declared to run now: what it did on purpose is over, and nothing serves yet."""
    wanted, facts = view.desired.resources.get(backend.key), backend.serving
    declared = wanted is not None and backend.mark is not None and backend.mark.digest != wanted.digest
    return declared and facts is not None and facts.ready == 0


def _so_far(backend: LiveResource) -> str:
    facts = backend.serving
    if facts is None:
        return ""
    reason = f", {facts.message.splitlines()[-1]}" if facts.gave_up and facts.message else ""
    reason = ", no address yet" if facts.ready and not backend.addresses else reason
    return f" ({facts.ready} of {facts.desired} replicas{reason})"


def _draining(view: View, live: LiveResource) -> Iterator[tuple[Reason, str]]:
    for backend, since in live.binding.drains:
        if left := drain_left(view, backend, since):
            yield Reason.WAITING, f"withdrawn; requests that run on {backend.target} have {left:.0f} s more to finish"


def _still_used(view: View, live: LiveResource) -> Iterator[tuple[Reason, str]]:
    """Whatever would end serving is held while a live resource needs it, and until its drain time has passed."""
    for user in view.users.get(live.key, ()):
        if live.key in user.needs and not user.withdrawn:
            yield Reason.WAITING, f"waits for {user.key} to leave it"
        for backend, since in user.binding.drains:
            if backend == live.key and (left := drain_left(view, backend, since)):
                yield Reason.WAITING, f"drains for {left:.0f} s more since {user.key} left it"
    for gateway in view.unreadable:
        if live.key.target in _binds(view, gateway.target):
            yield Reason.UNREADABLE, f"{gateway.target} cannot be read: a route of it may still send requests here"
    yield from _successor_missing(view, live)


def _stood_on(view: View, live: LiveResource) -> Iterator[tuple[Reason, str]]:
    """What a workload stands on (its account, its address in the cluster) goes with it, and not before."""
    owner = live.mark.owner if live.mark else ""
    if live.key.kind in view.rules(live.key.target).routes:
        return
    for workload in view.owned_by(owner):
        ends = workload.key.target == live.key.target and view.serves(workload.key) and workload.key not in view.desired.resources
        for reason, text in _still_used(view, workload) if ends else ():
            yield reason, f"goes with {workload.key}, which {text}"


def _binds(view: View, target: str) -> frozenset[str]:
    """The clusters that it binds now, and those that it bound when it was last read."""
    specs = (view.desired.targets.get(target), view.situation.targets.get(target))
    return frozenset(cluster for spec in specs if spec for cluster in spec.binds)


def _successor_missing(view: View, live: LiveResource) -> Iterator[tuple[Reason, str]]:
    """A migration: the copy elsewhere must serve before this one may go."""
    owner = live.mark.owner if live.mark else ""
    yield from _unmet(view, tuple(key for key in view.wanted_of.get(owner, ()) if key != live.key))
