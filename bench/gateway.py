"""Requests per second of one core of the gateway: against a bare Envoy, and real completions against the engine asked directly.

Requests per second on one core = requests divided by the processor time that the proxy took for them. So a load generator that is
slower than the proxy, and a machine that is busy with other things, do not change the number.
"""

import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.envoys import answering, envoy, passing, pin, processor_time, wait_for
from bench.measure import Findings, Row, Sample, in_turn
from reconciler import keys
from reconciler.change import ChangeClass, Create, Effects
from reconciler.desired import TargetSpec
from reconciler.resource import Binding, Manifest, ResourceKey
from reconciler.targets.protocol import Claim, Context
from reconciler.targets.registry import gateway_renderer, open_target
from reconciler.targets.rendering import Backend, Credential, Key, Meta, Route
from tools import models
from tools.ports import free_port

TIMES: Final = 5
SECONDS: Final = 3.0
CONNECTIONS: Final = 32
PROXY_CORE, OTHER_CORE = 0, 1
PATH_GOAL, MODEL_GOAL, ENGINE_GOAL = 0.45, 0.35, 0.95
ENGINE_CONNECTIONS: Final = 2
TOKENS: Final = 16
QUESTION: Final = "Write one sentence about the sea."
LONG_QUESTION: Final = " ".join([QUESTION] * 60)  # 2 KB, as chats are
BACKEND: Final = ResourceKey("box", "ServeApplication", "team-a", "chat")
META: Final = Meta("Endpoint/team-a/chat", "bench:1")


@dataclass(frozen=True, slots=True)
class OurGateway:
    """One of ours, with one endpoint and one key, in front of `upstream`."""

    port: int
    pid: int
    key: str


def body(question: str) -> bytes:
    message = {"role": "user", "content": question}
    form = {"model": "team-a/chat", "messages": [message], "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
    return json.dumps(form).encode()


def request(path: str, key: str = "", question: str = LONG_QUESTION) -> bytes:
    """The bytes of one POST, the same for everybody but for the path and the key."""
    content = body(question)
    head = [f"POST {path} HTTP/1.1", "host: bench", "content-type: application/json", f"content-length: {len(content)}"]
    head += [f"authorization: Bearer {key}"] if key else []
    return "\r\n".join([*head, "", ""]).encode() + content


def ask(port: int, what: bytes, connections: int = CONNECTIONS, seconds: float = SECONDS) -> dict[str, float]:
    """Run the load generator in a process of its own. Raises RuntimeError when an answer was not 200."""
    words = [f"127.0.0.1:{port}", str(connections), str(seconds), str(OTHER_CORE)]
    done = subprocess.run([sys.executable, "-m", "bench.load", *words], input=what, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    found: dict[str, float] = json.loads(done.stdout)
    if found["errors"]:
        raise RuntimeError(f"{found['errors']:.0f} of {found['requests']:.0f} answers were not 200")
    return found


def per_core(pid: int, port: int, what: bytes, busy: list[float]) -> float:
    """Requests per processor second; how busy the proxy's core was goes to `busy`."""
    before = processor_time(pid)
    found = ask(port, what)
    used = processor_time(pid) - before
    busy.append(used / found["seconds"])
    return found["requests"] / used


@contextmanager
def our_gateway(folder: Path, upstream: int) -> Iterator[OurGateway]:
    """A gateway as `apply` makes it, without a cluster behind: its one backend's address is given."""
    from reconciler.local import envoy as local_envoy

    port = free_port()
    settings: Manifest = {
        "directory": "gateway",
        "run": True,
        "workers": 1,
        "address": "127.0.0.1",
        "port": port,
        "maxRequestBytes": 10 * 2**20,
    }
    spec = TargetSpec("public", "envoy", settings, binds=("box",), source="bench:1")
    key = keys.mint(secrets.randbelow)
    renderer = gateway_renderer("envoy")
    paths = ("POST /v1/chat/completions",)
    route = Route(META, "team-a", "chat", ("team-a/chat",), "team-a/chat", paths, (Backend(BACKEND, ""),), "round-robin", 300.0)
    credential = Credential(keys.parse(key.reveal()), keys.hash_of(key))
    resources = (
        *renderer.render_route(route, spec),
        *renderer.render_key(Key(Meta("ApiKey/team-a/ci", "bench:2"), "team-a", "ci", (credential,), ("ws:team-a",)), spec),
    )
    target = open_target(spec, Context(folder, Claim("bench", ""), True, time.time))
    try:
        target.read({resource.key: resource for resource in resources})
        binding = Binding(addresses=((BACKEND, (f"127.0.0.1:{upstream}",)),))
        changes = [Create(resource, Effects(ChangeClass.CREATE), binding) for resource in resources]
        with target.session(changes) as writer:
            failed = [outcome for outcome in writer.write(changes) if not outcome.applied]
        if failed:
            raise RuntimeError(f"the gateway refused: {failed}")
        wait_for(f"http://127.0.0.1:{port}/healthz", good=True)
        yield OurGateway(port, local_envoy.status(folder)[0].pid, key.reveal())
    finally:
        target.close()
        local_envoy.stop(folder)


def run() -> Findings:
    with tempfile.TemporaryDirectory(prefix="rcl-bench-") as name:
        busy: list[float] = []
        rows = (*against_envoy(Path(name), busy), against_engine(Path(name)))
    method = (
        f"requests per second and processor second of the proxy, one worker on one core, {CONNECTIONS} connections, the same POST of"
        f" {len(body(LONG_QUESTION))} bytes for all; the proxy's core was {statistics.median(busy):.0%} busy (one that is not pressed"
        f" takes more per request); median of {TIMES} in turn (lowest to highest)"
    )
    return Findings("The gateway", method, rows)


def against_envoy(folder: Path, busy: list[float]) -> tuple[Row, Row]:
    upstream, bare = free_port(), free_port()
    with ExitStack() as stack:
        pin(stack.enter_context(envoy(folder, "upstream", answering(upstream), upstream)), OTHER_CORE)
        peer = stack.enter_context(envoy(folder, "bare", passing(bare, upstream), bare))
        ours = stack.enter_context(our_gateway(folder / "state", upstream))
        for pid in (peer, ours.pid):
            pin(pid, PROXY_CORE)
        bare_rate, path_rate, model_rate = in_turn(
            TIMES,
            lambda: per_core(peer, bare, request("/v1/chat/completions"), busy),
            lambda: per_core(ours.pid, ours.port, request("/team-a/chat/v1/chat/completions", ours.key), busy),
            lambda: per_core(ours.pid, ours.port, request("/v1/chat/completions", ours.key), busy),
        )
    return (
        compared("keys and path routing, one core", path_rate, bare_rate, "bare Envoy, static upstream", PATH_GOAL),
        compared("keys and model routing, one core", model_rate, bare_rate, "bare Envoy, static upstream", MODEL_GOAL),
    )


def against_engine(folder: Path) -> Row:
    """Real completions: wall clock, because here the engine is what is busy."""
    with ExitStack() as stack:
        port = free_port()
        stack.enter_context(engine(folder, port))
        ours = stack.enter_context(our_gateway(folder / "engine", port))
        direct, through = in_turn(
            TIMES,
            lambda: completions(port, request("/v1/chat/completions", "", QUESTION)),
            lambda: completions(ours.port, request("/team-a/chat/v1/chat/completions", ours.key, QUESTION)),
        )
    return compared(f"completions of {TOKENS} tokens", through, direct, "the engine asked directly", ENGINE_GOAL)


def completions(port: int, what: bytes) -> float:
    found = ask(port, what, ENGINE_CONNECTIONS, 2 * SECONDS)
    return found["requests"] / found["seconds"]


@contextmanager
def engine(folder: Path, port: int) -> Iterator[None]:
    """llama.cpp's server with SmolLM2, as a replica would start it."""
    words = ["-m", str(models.fetch(models.MODELS[0])), "--host", "127.0.0.1", "--port", str(port), "-c", "4096", "-np", "2", "-t", "2"]
    with (folder / "engine.log").open("wb") as log:
        command = [sys.executable, "-m", "reconciler.nodes.llama_server", *words]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", 60, good=True)
        yield
    finally:
        child.terminate()
        child.wait(20)


def compared(what: str, ours: Sample, peer: Sample, name: str, goal: float) -> Row:
    ratio = ours.median / peer.median
    digits = 0 if peer.median > 100 else 1
    return Row(what, ours.text("/s", digits), f"{peer.text('/s', digits)} ({name})", f"{ratio:.0%}", f">= {goal:.0%}", ratio >= goal)
