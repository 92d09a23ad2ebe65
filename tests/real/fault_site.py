"""A whole site for fault tests: a config repo of two stub endpoints, `reconciler run` as a process of its own, real Ray, real Envoy."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import yaml
from ray_cluster import STUB, pids_with, until

from tools.demo.repo import IDENTITY
from tools.demo.screen import Screen
from tools.demo.stage import Stage, stage
from tools.ports import free_port

API = "reconciler.dev/v1alpha1"
NAMES = ("alpha", "beta")


def document(kind: str, name: str, spec: object, **metadata: str) -> dict[str, object]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


ENGINE = {
    "version": "1",
    "tasks": ["text-generation"],
    "apis": ["openai"],
    "argsSchema": "builtin:engines/llama.cpp-b11549-xllamacpp.json",
    "argStyle": {"as": "flags", "case": "kebab", "bool": "flag", "list": "comma", "object": "json"},
    "command": ["stub"],
    "paths": {"startup": "/health", "readiness": "/health", "liveness": "/health", "models": "/v1/models"},
    "ray": {"runner": "process", "command": ["{{ python }}", str(STUB), "--host", "{{ host }}", "--port", "{{ ports.http }}"]},
}


@dataclass
class Site:
    """The stage, and what a test does on it."""

    stage: Stage
    port: int
    key: str = ""

    def declare(self, path: str, found: dict[str, object]) -> None:
        file = self.stage.config / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(found, sort_keys=False))

    def endpoint(self, name: str, **spec: object) -> None:
        model = {"registry": "files", "name": "stub", "file": "stub.gguf", "task": "text-generation"}
        base: dict[str, object] = {
            "cluster": "lab",
            "model": model,
            "engine": {"name": "stub", "version": "1"},
            "resources": {"cpu": "0.1", "memory": "64Mi"},
            "probes": {"liveness": {"periodSeconds": 1, "timeoutSeconds": 5}},
            "rollout": {"timeoutSeconds": 30},
        }
        self.declare(f"endpoints/{name}.yaml", document("Endpoint", name, base | spec, workspace="default"))

    def ask(self, name: str) -> dict[str, object] | int:
        """What the endpoint's engine says of itself (its pid), through the gateway; or the HTTP status, 0 for no answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/default/{name}/v1/models")
        request.add_header("Authorization", f"Bearer {self.key}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                value: dict[str, object] = json.loads(answer.read())
            return value
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def pid(self, name: str) -> int:
        """The pid of the engine that answered; 0 when none did."""
        said = self.ask(name)
        found = said.get("pid") if isinstance(said, dict) else 0
        return found if isinstance(found, int) else 0

    def engines(self) -> list[int]:
        """Stub engines of this site: their environment or command names its folder only through Ray, so they are told by their parents."""
        ours = self.stage.processes()
        return [pid for pid in pids_with(str(STUB)) if pid in ours]

    def serves(self, *names: str, seconds: float = 60.0) -> None:
        until(lambda: all(self.pid(name) for name in names or NAMES), seconds)


@contextmanager
def site() -> Iterator[Site]:
    """Both endpoints serve, the daemon runs; everything is gone afterwards."""
    with stage(Screen()) as here:
        found = Site(here, free_port())
        _repo(found)
        here.start_daemon()
        found.serves()
        yield found


def _repo(found: Site) -> None:
    here = found.stage
    (here.state / "models" / "stub").mkdir(parents=True)
    (here.state / "models" / "stub" / "stub.gguf").write_bytes(b"GGUF")
    guards = {"maxDeletes": "100%", "maxRestarts": "100%", "maxKeyRemovals": "100%"}
    found.declare("settings.yaml", document("Settings", "default", {"guards": guards}))
    found.declare("engine.yaml", document("Engine", "stub", {"versions": [ENGINE]}))
    found.declare("registry.yaml", document("ModelRegistry", "files", {"type": "filesystem", "path": "."}))
    found.declare("lab.yaml", document("Cluster", "lab", {"type": "ray", "ray": {"local": True}, "drainSeconds": 5}))
    listen = {"address": "127.0.0.1", "port": found.port}
    gateway = {"type": "envoy", "clusters": ["lab"], "listen": listen, "output": {"directory": "gateway", "run": True}}
    found.declare("public.yaml", document("Gateway", "public", gateway))
    for name in NAMES:
        found.endpoint(name)
    here.git("init", "--quiet", "-b", "main")
    for name, value in IDENTITY:
        here.git("config", name, value)
    words = ("create", "--workspace", "default", "--owner", "tests@example.com", "--write", str(here.config / "key.yaml"))
    found.key = here.reconciler("keys", *words).out.split()[0]
    here.commit("Two endpoints and a key")
