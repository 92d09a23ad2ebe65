"""The contract at the memory target: a cluster and a gateway in one."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.desired import TargetSpec
from reconciler.resource import Mark, Resource, ResourceKey
from reconciler.targets.memory.render import render_key, render_route, render_workload
from reconciler.targets.memory.target import MemoryTarget
from reconciler.targets.memory.world import Stored, World
from reconciler.targets.protocol import Claim, Context, Target
from reconciler.targets.rendering import Backend, Credential, Key, Meta, Route, Workload
from tests.contract.contract import OURS, AnyResource, Place, Routes

SPEC = TargetSpec("here", "memory")


class MemoryPlace:
    def __init__(self, make: Callable[[str, int], Resource]) -> None:
        self.make, self.world = make, World()

    def open(self, claim: Claim = OURS, *, write: bool = True, held: Callable[[], bool] = lambda: True) -> Target:
        return MemoryTarget(SPEC, Context(Path("/nowhere"), claim, write, lambda: self.world.now, held), self.world)

    def wanted(self, name: str, form: int = 0) -> Resource:
        return self.make(name, form)

    def intrude(self, key: ResourceKey, mark: Claim | None) -> None:
        theirs = Mark(mark.instance, mark.repo, "Endpoint/x/y", "sha256:0") if mark else None
        self.world.put(Stored(key, {"command": ["theirs"]}, theirs, 0, self.world.now))

    def meddle(self, key: ResourceKey) -> None:
        found = self.world.stored[key]
        self.world.put(Stored(key, {**found.manifest, "meddled": True}, found.mark, 0, found.since, found.needs))

    @contextlib.contextmanager
    def broken(self) -> Iterator[Target]:
        self.world.unreadable.add(SPEC.name)
        yield self.open()
        self.world.unreadable.discard(SPEC.name)

    def tick(self, seconds: float) -> None:
        self.world.now += seconds


def meta(kind: str, name: str) -> Meta:
    return Meta(f"{kind}/team-a/{name}", f"{name}.yaml:1")


def a_workload(name: str, form: int) -> Resource:
    workload = Workload(
        meta("Endpoint", name), "team-a", name, ("serve",), {}, (), 1 + form, 1, 1, None, "/health", 60, 1, 1, 330, True, False, ""
    )
    return render_workload(workload, SPEC).resources[0]


def a_route(name: str, form: int) -> Resource:
    backend = ResourceKey("lab" if form != 2 else "west", "Workload", "team-a", name)
    backends = () if form == 3 else (Backend(backend, ""),)
    models = (f"team-a/{name}",)
    return render_route(
        Route(meta("Endpoint", name), "team-a", name, models, name, (), backends, "round-robin", 300 + form, form == 3), SPEC
    )[0]


def a_key(name: str, form: int) -> Resource:
    return render_key(Key(meta("ApiKey", name), "team-a", name, (Credential("k", f"{form:064}"),), ("ws:team-a",)), SPEC)[0]


class TestWorkload(AnyResource):
    @pytest.fixture
    def place(self) -> Place:
        return MemoryPlace(a_workload)


class TestRoute(Routes):
    @pytest.fixture
    def place(self) -> Place:
        return MemoryPlace(a_route)


class TestKey(AnyResource):
    @pytest.fixture
    def place(self) -> Place:
        return MemoryPlace(a_key)
