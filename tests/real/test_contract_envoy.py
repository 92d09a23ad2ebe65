"""The contract of targets at a real Envoy."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from envoy_gateway import Box, backend

from reconciler.resource import Mark, Resource, ResourceKey
from reconciler.targets.envoy.files import Folder
from reconciler.targets.envoy.manifest import read_key, read_route
from reconciler.targets.envoy.render import ROUTE, render_key
from reconciler.targets.envoy.state import KeyEntry, RouteEntry
from reconciler.targets.envoy.target import open_target
from reconciler.targets.envoy.xds import STATE
from reconciler.targets.protocol import Claim, Context, Target
from reconciler.targets.rendering import Backend, Credential, Key, Meta
from tests.contract.contract import OURS, AnyResource, Place, Routes

pytestmark = pytest.mark.real


class EnvoyPlace:
    """One gateway with its Envoy for all cases of a class; each leaves it as it found it."""

    def __init__(self, box: Box, make: Callable[[Box, str, int], Resource]) -> None:
        self.box, self.make = box, make
        self.folder = Folder(box.gateway)

    def open(self, claim: Claim = OURS, *, write: bool = True, held: Callable[[], bool] = lambda: True) -> Target:
        return open_target(self.box.spec, Context(self.box.folder, claim, write, lambda: self.box.now, held))

    def wanted(self, name: str, form: int = 0) -> Resource:
        return self.make(self.box, name, form)

    def intrude(self, key: ResourceKey, mark: Claim | None) -> None:
        if mark is None:
            pytest.skip("every entry of the gateway's state has a mark: Envoy has no other routes")
        theirs = Mark(mark.instance, mark.repo, "Endpoint/x/y", "sha256:0")
        state, name, manifest = self.folder.read_state(), f"{key.namespace}/{key.name}", self.wanted(key.name, 1).manifest
        assert state is not None
        if key.kind == ROUTE:
            state = replace(state, routes={**state.routes, name: RouteEntry(theirs, read_route(manifest, ""))})
        else:
            state = replace(state, keys={**state.keys, name: KeyEntry(theirs, read_key(manifest, ""))})
        self.folder.write(STATE, state.text())

    def leave(self) -> None:
        """What intruders left goes by their own hand."""
        state = self.folder.read_state()
        if state is not None:
            routes = {name: entry for name, entry in state.routes.items() if (entry.mark.instance, entry.mark.repo) == _ours()}
            keys = {name: entry for name, entry in state.keys.items() if (entry.mark.instance, entry.mark.repo) == _ours()}
            self.folder.write(STATE, replace(state, routes=routes, keys=keys).text())

    def meddle(self, key: ResourceKey) -> None:
        pytest.skip("nobody else writes the gateway's state; what is changed by hand is drift of its files")

    @contextlib.contextmanager
    def broken(self) -> Iterator[Target]:
        good = self.folder.read(STATE)
        assert good is not None
        self.folder.write(STATE, good[: len(good) // 2])
        yield self.open()
        self.folder.write(STATE, good)

    def tick(self, seconds: float) -> None:
        self.box.now += seconds


def _ours() -> tuple[str, str]:
    return (OURS.instance, OURS.repo)


def a_route(box: Box, name: str, form: int) -> Resource:
    backends = () if form == 3 else (Backend(backend("team-a", name, "west" if form == 2 else "lab"), ""),)
    return box.route(f"team-a/{name}", backends=backends, timeout=300.0 + form, paused=form == 3)


def a_key(box: Box, name: str, form: int) -> Resource:
    rows = (Credential(f"{name}{form}", hashlib.sha256(f"{name}{form}".encode()).hexdigest()),)
    return render_key(Key(Meta(f"ApiKey/team-a/{name}", f"{name}.yaml:1"), "team-a", name, rows, ("ws:team-a",)), box.spec)[0]


@pytest.fixture(scope="class")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Set up and empty."""
    found = Box(tmp_path_factory.mktemp("gateway"), claim=OURS)
    try:
        assert found.write() == []
        yield found
    finally:
        found.close()


class TestRoute(Routes):
    @pytest.fixture
    def place(self, gateway: Box) -> Iterator[Place]:
        found = EnvoyPlace(gateway, a_route)
        yield found
        found.leave()


class TestKey(AnyResource):
    @pytest.fixture
    def place(self, gateway: Box) -> Iterator[Place]:
        found = EnvoyPlace(gateway, a_key)
        yield found
        found.leave()
