"""State x changes -> the state to write first, the state to generate files from, and what cannot be done. Pure.

A change that is refused leaves its entry as it is. `intent` still has what the wave deletes, so that a kill between two writes forgets
nothing: the next pass finds it and deletes it again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.change import Change, Create, Delete, Rebind, Replace, Update
from reconciler.errors import Problem
from reconciler.resource import Binding, Mark, Resource, ResourceKey
from reconciler.targets.envoy.check import address_faults, key_conflicts, key_faults, route_conflicts, route_faults
from reconciler.targets.envoy.manifest import read_key, read_route
from reconciler.targets.envoy.render import KEY, ROUTE
from reconciler.targets.envoy.state import KeyEntry, RouteEntry, State
from reconciler.targets.protocol import Claim


@dataclass(frozen=True, slots=True)
class Merged:
    """goal: as it shall be once everything is acknowledged, but for drains whose clock has not started. refused: by key."""

    intent: State
    goal: State
    refused: Mapping[ResourceKey, Problem]


def merge(state: State, wave: Sequence[Change], claim: Claim) -> Merged:
    """Apply a wave to the state. Order does not matter: names are compared in the result."""
    goal, refused = state, dict[ResourceKey, Problem]()
    for change in wave:
        try:
            goal = _merge_one(goal, change, claim)
        except ValueError as error:
            refused[change.key] = _problem(change, str(error))
    for key, why in _conflicts(goal, wave):
        if key not in refused:
            refused[key] = _problem(next(change for change in wave if change.key == key), why)
            goal = _put_back(goal, state, key)
    return Merged(_intent(state, goal), goal, refused)


def _problem(change: Change, why: str) -> Problem:
    source = change.desired.source if isinstance(change, Create | Update | Replace) else ""
    todo = "correct the declaration; the gateway keeps what it has"
    return Problem("T32", f"{change.key} cannot be written", why, todo, source, owner=change.owner or None)


def entry_name(key: ResourceKey) -> str:
    return f"{key.namespace}/{key.name}"


def _merge_one(state: State, change: Change, claim: Claim) -> State:
    _own(state, change.key, claim)
    match change:
        case Create(desired=desired, binding=binding) | Update(desired=desired, binding=binding):
            return _upsert(state, desired, binding, claim)
        case Rebind(binding=binding):
            return _rebind(state, change.key, binding)
        case Delete() | Replace():
            return _delete(state, change.key, change.live.withdrawn)


def _own(state: State, key: ResourceKey, claim: Claim) -> None:
    table: Mapping[str, RouteEntry | KeyEntry] = state.routes if key.kind == ROUTE else state.keys
    entry = table.get(entry_name(key))
    if entry is not None and (entry.mark.instance != claim.instance or entry.mark.repo != claim.repo):
        raise ValueError(f"it is held by instance '{entry.mark.instance}' of the repo {entry.mark.repo[:12]}")


def _upsert(state: State, desired: Resource, binding: Binding, claim: Claim) -> State:
    name, mark = entry_name(desired.key), desired.mark(claim.instance, claim.repo)
    if desired.key.kind == KEY:
        return _upsert_key(state, name, desired, mark)
    manifest = read_route(desired.manifest, "manifest")
    _refuse(route_faults(name, manifest))
    old = state.routes.get(name)
    entry = _routed(old, RouteEntry(mark, manifest, attempt=binding.attempt), binding)
    _refuse(address_faults(entry))
    return replace(state, routes={**state.routes, name: entry})


def _upsert_key(state: State, name: str, desired: Resource, mark: Mark) -> State:
    manifest = read_key(desired.manifest, "manifest")
    _refuse(key_faults(name, manifest))
    return replace(state, keys={**state.keys, name: KeyEntry(mark, manifest)})


def _refuse(faults: Iterator[str]) -> None:
    found = "; ".join(faults)
    if found:
        raise ValueError(found)


def _routed(old: RouteEntry | None, new: RouteEntry, binding: Binding) -> RouteEntry:
    """Late-bound parts of a written route: what it leaves starts to drain, what it uses again does not drain any more."""
    known = old or new
    drains = {key: since for key, since in known.drains if key not in new.needs}
    drains |= {key: None for key in (old.needs if old else ()) if key not in new.needs}
    leaving = [key for key, since in drains.items() if since is None]
    addresses = [(key, _bound(known, binding, key)) for key in new.needs] + [(key, known.addresses_of(key)) for key in leaving]
    return replace(new, addresses=tuple(sorted(addresses)), drains=tuple(sorted(drains.items(), key=lambda pair: pair[0])))


def _bound(known: RouteEntry, binding: Binding, key: ResourceKey) -> tuple[str, ...]:
    """A known set of addresses is never replaced by an empty one."""
    return tuple(sorted(binding.addresses_of(key))) or known.addresses_of(key)


def _rebind(state: State, key: ResourceKey, binding: Binding) -> State:
    name = entry_name(key)
    entry = state.routes.get(name)
    if entry is None:
        raise ValueError("it is not there any more")
    addresses = dict(entry.addresses) | {need: _bound(entry, binding, need) for need in entry.needs}
    clocks, wanted = dict(entry.drains), dict(binding.drains)
    drains = tuple((key, clocks.get(key, since)) for key, since in sorted(wanted.items()))
    drains += tuple((key, None) for key in entry.leaving if key not in wanted)
    new = replace(entry, addresses=tuple(sorted(addresses.items())), drains=tuple(sorted(drains, key=lambda pair: pair[0])))
    new = replace(new, attempt=binding.attempt)
    _refuse(address_faults(new))
    return replace(state, routes={**state.routes, name: new})


def _delete(state: State, key: ResourceKey, withdrawn: bool) -> State:
    """withdrawn: as the plan saw it. The same delete written again withdraws nothing more, and forgets nothing that drains."""
    name = entry_name(key)
    if key.kind == KEY:
        return replace(state, keys={other: entry for other, entry in state.keys.items() if other != name})
    entry = state.routes.get(name)
    if entry is None or (entry.withdrawn and not withdrawn):
        return state
    if not entry.withdrawn and (entry.needs or entry.drains):
        return replace(state, routes={**state.routes, name: _withdrawn(entry)})
    return replace(state, routes={other: kept for other, kept in state.routes.items() if other != name})


def _withdrawn(entry: RouteEntry) -> RouteEntry:
    drains = {**dict(entry.drains), **dict.fromkeys(entry.needs)}
    return replace(entry, withdrawn=True, drains=tuple(sorted(drains.items(), key=lambda pair: pair[0])))


def _conflicts(state: State, wave: Sequence[Change]) -> Iterator[tuple[ResourceKey, str]]:
    """What two claim. Where both are in this wave neither gets it: who was first is not known here."""
    written = {(change.key.kind, entry_name(change.key)): change.key for change in wave if isinstance(change, Create | Update)}
    routes = [name for kind, name in written if kind == ROUTE and name in state.routes]
    keys = [name for kind, name in written if kind == KEY and name in state.keys]
    yield from ((written[ROUTE, name], why) for name, why in route_conflicts(state, routes))
    yield from ((written[KEY, name], why) for name, why in key_conflicts(state, keys))


def _put_back(goal: State, state: State, key: ResourceKey) -> State:
    name = entry_name(key)
    if key.kind == ROUTE:
        old = {name: state.routes[name]} if name in state.routes else {}
        return replace(goal, routes={other: entry for other, entry in goal.routes.items() if other != name} | old)
    keys = {name: state.keys[name]} if name in state.keys else {}
    return replace(goal, keys={other: entry for other, entry in goal.keys.items() if other != name} | keys)


def _intent(state: State, goal: State) -> State:
    """The goal, and what goes: a route without traffic, a key as it was."""
    routes = {name: replace(entry, withdrawn=True) for name, entry in state.routes.items() if name not in goal.routes}
    keys = {name: entry for name, entry in state.keys.items() if name not in goal.keys}
    return replace(goal, routes={**goal.routes, **routes}, keys={**goal.keys, **keys})
