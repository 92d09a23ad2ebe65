"""A real Envoy on a gateway folder of its own, driven through the target as a pass would drive it."""

import hashlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from replicas import Replicas

from reconciler.change import Change, ChangeClass, Create, Delete, Effects, Outcome, Rebind, Update
from reconciler.desired import TargetSpec
from reconciler.local import envoy as local
from reconciler.resource import Binding, LiveResource, Resource, ResourceKey
from reconciler.targets.envoy.render import render_key, render_route
from reconciler.targets.envoy.target import open_target
from reconciler.targets.protocol import Claim, Context, Target
from reconciler.targets.rendering import Backend, Credential, Key, Meta, Route
from tools.ports import free_port

PATHS = ("POST /v1/chat/completions", "POST /v1/embeddings", "GET /v1/models")
TRAFFIC = Effects(ChangeClass.TRAFFIC)


def backend(ws: str, name: str, cluster: str = "lab") -> ResourceKey:
    return ResourceKey(cluster, "ServeApplication", ws, name)


def key_text(name: str) -> str:
    return f"rcl_{name}"


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])

    @property
    def replica(self) -> str:
        return str(self.json["replica"])


@dataclass
class Box:
    """One gateway: its folder, its target, and a client."""

    folder: Path
    port: int = field(default_factory=free_port)
    claim: Claim = field(default_factory=lambda: Claim("default", "root"))
    run: bool = True
    limit: int = 1 << 20
    now: float = 1000.0

    @property
    def spec(self) -> TargetSpec:
        settings = {
            "directory": "gateway",
            "run": self.run,
            "address": "127.0.0.1",
            "port": self.port,
            "maxRequestBytes": self.limit,
        }
        return TargetSpec("public", "envoy", settings, ("lab",), source="gateway.yaml:1")

    @property
    def gateway(self) -> Path:
        return self.folder / "gateway"

    def target(self, write: bool = True) -> Target:
        return open_target(self.spec, Context(self.folder, self.claim, write, lambda: self.now))

    def read(self, write: bool = True) -> Mapping[ResourceKey, LiveResource]:
        return self.target(write).read({}).resources

    def pending(self) -> tuple[str, ...]:
        return self.target().read({}).pending

    def route(self, name: str, **fields: Any) -> Resource:
        ws, endpoint = name.split("/")
        found: dict[str, Any] = {
            "models": (name,),
            "served_name": "",
            "paths": PATHS,
            "backends": (Backend(backend(ws, endpoint), ""),),
            "strategy": "round-robin",
            "timeout": 300.0,
        }
        meta = Meta(f"Endpoint/{name}", f"{name}.yaml:1")
        return render_route(Route(meta, ws, endpoint, **(found | fields)), self.spec)[0]

    def key(self, name: str, *grants: str, expires: str = "", texts: tuple[str, ...] = ()) -> Resource:
        ws, ident = name.split("/")
        rows = tuple(Credential(text[4:], hashlib.sha256(text.encode()).hexdigest(), expires) for text in texts or (key_text(ident),))
        return render_key(Key(Meta(f"ApiKey/{name}", f"{name}.yaml:1"), ws, ident, rows, grants or (f"ws:{ws}",)), self.spec)[0]

    def change(self, wanted: Resource, *addresses: str) -> Change:
        live = self.read(False).get(wanted.key)
        binding = Binding(tuple((need, addresses) for need in wanted.needs))
        if live is None:
            return Create(wanted, TRAFFIC, binding)
        return Update(wanted, live, (), TRAFFIC, binding)

    def put(self, wanted: Resource, *addresses: str) -> Outcome:
        return self.write(self.change(wanted, *addresses))[0]

    def rebind(self, wanted: Resource, *addresses: str) -> Outcome:
        live = self.read(False)[wanted.key]
        return self.write(Rebind(live, Binding(tuple((need, addresses) for need in live.needs), 0, live.binding.drains), ""))[0]

    def delete(self, wanted: Resource) -> Outcome:
        return self.write(Delete(self.read(False)[wanted.key], TRAFFIC))[0]

    def write(self, *wave: Change) -> list[Outcome]:
        target = self.target()
        target.read({})
        with target.session(wave) as writer:
            return list(writer.write(wave))

    def good(self, *wave: Change) -> None:
        for outcome in self.write(*wave):
            assert outcome.applied, outcome.problem

    def ask(
        self,
        path: str = "/v1/chat/completions",
        body: object = None,
        key: str | None = None,
        method: str = "",
        headers: Mapping[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            return ask_on(connection, path, body, key, method, headers, raw)
        finally:
            connection.close()

    def towards(self, wanted: list[Resource], *addresses: str) -> None:
        """As passes do it, until nothing is left to do: a route that goes is withdrawn first and forgotten then."""
        for _ in range(5):
            seen = self.target().read({})
            keys = {each.key for each in wanted}
            wave = [self.change(each, *addresses) for each in wanted if _differs(seen.resources.get(each.key), each)]
            wave += [Delete(live, TRAFFIC) for key, live in seen.resources.items() if key not in keys]
            if not wave and not seen.pending:
                return
            self.good(*wave)
        raise AssertionError(f"not settled after five passes: {wave} {seen.pending}")

    def pid(self) -> int:
        found = local.running(self.folder, "public")
        assert found is not None
        return found.pid

    def close(self) -> None:
        local.stop(self.folder)


def _differs(live: LiveResource | None, wanted: Resource) -> bool:
    return live is None or live.withdrawn or live.manifest != wanted.manifest


def ask_on(
    connection: http.client.HTTPConnection,
    path: str,
    body: object = None,
    key: str | None = None,
    method: str = "",
    headers: Mapping[str, str] | None = None,
    raw: bytes | None = None,
) -> Answer:
    sent = raw if raw is not None else json.dumps(body).encode() if body is not None else None
    all_headers = {"content-type": "application/json", **(headers or {})}
    if key is not None:
        all_headers = {"authorization": f"Bearer {key_text(key)}", **all_headers}
    chunked = "transfer-encoding" in all_headers
    connection.request(method or ("GET" if sent is None else "POST"), path, sent, all_headers, encode_chunked=chunked)
    got = connection.getresponse()
    return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())


@dataclass
class Load:
    """Requests in a loop from a few threads, until told to end; bad: what was not a 200."""

    sent: int = 0
    bad: list[str] = field(default_factory=list)


@contextmanager
def load(box: Box, requests: list[tuple[str, object, str]], threads: int = 2) -> Iterator[Load]:
    found, over = Load(), threading.Event()

    def loop(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=20)
        while not over.is_set():
            path, body, key = requests[(found.sent + number) % len(requests)]
            try:
                answer = ask_on(connection, path, body, key)
                if answer.status != 200:
                    found.bad.append(f"{answer.status} {answer.body[:200]!r}")
            except (OSError, http.client.HTTPException) as error:
                found.bad.append(repr(error))
                connection.close()
            found.sent += 1
            time.sleep(0.001)
        connection.close()

    workers = [threading.Thread(target=loop, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield found
    finally:
        over.set()
        for worker in workers:
            worker.join(30)


def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition, never for a time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def replicas() -> Iterator[Replicas]:
    found = Replicas("one", "two", "three")
    yield found
    found.close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A gateway of its own: nothing is there yet."""
    found = Box(tmp_path)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, replicas: Replicas) -> Iterator[Box]:
    """The gateway of the table: six endpoints, five keys. Tests that use it change nothing."""
    found = Box(tmp_path_factory.mktemp("gateway"))
    one, two = replicas["one"].address, replicas["two"].address
    ray = (Backend(backend("team-a", "chat"), "/team-a/chat"),)
    found.good(
        found.change(found.route("team-a/chat", models=("team-a/chat", "Qwen3:8b"), served_name="qwen3-8b", backends=ray), one, two),
        found.change(found.route("team-a/plain", models=("team-a/plain", "shared"), served_name="plain"), one),
        found.change(found.route("team-b/plain", served_name=""), two),
        found.change(found.route("team-b/off", paused=True)),
        found.change(found.route("team-b/empty", strategy="least-request")),
        found.change(found.route("team-b/slow", timeout=0.4), one),
        found.change(found.key("team-a/alice", "ws:team-a")),
        found.change(found.key("team-b/bob", "ws:team-b", "ep:team-a/chat")),
        found.change(found.key("team-b/root", "*")),
        found.change(found.key("team-a/late", expires="2020-01-01T00:00:00Z")),
        found.change(found.key("team-a/none", "ep:team-x/nothing")),
    )
    try:
        yield found
    finally:
        found.close()
