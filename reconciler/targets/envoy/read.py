"""What is live at the gateway: `state.json`, and how far Envoy is from it.

The set comes from the file alone. Files that differ from what was generated, and versions that Envoy does not run, are no difference of
any route: they are `pending`, and the next write of this target, be it empty, puts them right.
"""

from collections.abc import Iterator, Mapping

from reconciler.resource import Binding, LiveResource, Mark, Observation, Resource, ResourceKey
from reconciler.targets.envoy.acknowledge import STATISTICS
from reconciler.targets.envoy.files import Folder
from reconciler.targets.envoy.render import KEY, ROUTE
from reconciler.targets.envoy.state import KeyEntry, RouteEntry, State
from reconciler.targets.envoy.xds import version_of
from reconciler.targets.protocol import Claim


def observation(target: str, state: State, claim: Claim, wanted: Mapping[ResourceKey, Resource], now: float) -> Observation:
    """Everything that stands in the state. In a gateway of another repo every wanted key is held by that one."""
    found = {live.key: live for live in _resources(target, state, now)}
    if is_foreign(state, claim):
        holder = Mark(state.claim.instance, state.claim.repo, "Gateway/" + target, "")
        found = {key: LiveResource(key, {}, holder) for key in wanted} | found
    return Observation(target, found)


def is_foreign(state: State, claim: Claim) -> bool:
    """Another instance, or our instance on another repo. An uncommitted folder has no repo, so it can only be told by its instance."""
    other_repo = bool(state.claim.repo and claim.repo) and state.claim.repo != claim.repo
    return state.claim.instance != claim.instance or other_repo


def _resources(target: str, state: State, now: float) -> Iterator[LiveResource]:
    for name, route in state.routes.items():
        yield _route(ResourceKey(target, ROUTE, *name.split("/", 1)), route, now)
    for name, entry in state.keys.items():
        yield _key(ResourceKey(target, KEY, *name.split("/", 1)), entry)


def _route(key: ResourceKey, entry: RouteEntry, now: float) -> LiveResource:
    """A drain whose clock has not started is told as starting now: so it is over for nobody."""
    addresses = tuple((need, entry.addresses_of(need)) for need in sorted(entry.needs))
    drains = tuple((backend, now if since is None else since) for backend, since in sorted(entry.drains, key=lambda pair: pair[0]))
    return LiveResource(
        key,
        entry.manifest.as_json(),
        entry.mark,
        needs=entry.needs,
        withdrawn=entry.withdrawn,
        binding=Binding(addresses, entry.attempt, drains),
    )


def _key(key: ResourceKey, entry: KeyEntry) -> LiveResource:
    return LiveResource(key, entry.manifest.as_json(), entry.mark)


def drifted(folder: Folder, state: State) -> list[str]:
    """Files that are not what was generated last."""
    return [f"{name} is not what was written" for name, hash_ in sorted(state.files.items()) if folder.hash(name) != hash_]


def unacknowledged(folder: Folder, versions: Mapping[str, str]) -> list[str]:
    """Files that stand there as they should, and that Envoy does not run."""
    written = {name: version_of(folder.read(name) or b"") for name in STATISTICS}
    return [f"{name} is written and Envoy does not run it" for name, version in written.items() if version != versions.get(name)]


def undrained(state: State) -> list[str]:
    """Drains whose clock could not be started, because we were interrupted."""
    return [f"{name} has a drain that has not begun" for name, entry in sorted(state.routes.items()) if entry.leaving]
