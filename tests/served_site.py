"""A site that serves, without servers: a config repo, a state folder in which everything is applied, a dashboard that plays Ray.

Made once per module and put back before each case, at the same path, because the gateway's files name their folder.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.git_repos import commit, new_repo
from tests.serve_answers import Dashboard, answer, application, dashboard, deployment, group, replica

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "reconciler.cli.main")
API = "reconciler.dev/v1alpha1"
LIST = "/api/serve/applications/"
ENGINE = {
    "version": "1",
    "tasks": ["text-generation"],
    "apis": ["openai"],
    "argsSchema": "builtin:engines/llama.cpp-b11549-xllamacpp.json",
    "argStyle": {"as": "flags", "case": "kebab", "bool": "flag", "list": "comma", "object": "json"},
    "command": ["stub", "-m", "{{ model.path }}", "--host", "{{ host }}", "--port", "{{ ports.http }}"],
    "paths": {"startup": "/health", "readiness": "/health", "liveness": "/health", "models": "/v1/models"},
}
CHAT = {
    "cluster": "lab",
    "model": {"registry": "files", "name": "stub", "file": "stub.gguf", "task": "text-generation"},
    "engine": {"name": "stub", "version": "1"},
}


class RunningRay(Dashboard):
    """Whatever is put serves at once, with one replica."""

    def put(self, body: dict[str, Any]) -> tuple[int, str]:
        self.puts.append(body)
        apps, groups = [], []
        for number, config in enumerate(body["applications"]):
            apps.append(application(config, engine=deployment(replica(config["name"]))))
            groups.append(group(config["name"], ("127.0.0.1", 30000 + number, f"SERVE_REPLICA::{config['name']}")))
        self.applications = answer(*apps, groups=tuple(groups))
        return 200, ""


@dataclass
class Site:
    """folder: what the person sees. ray: who plays Ray. stack: what a case opens and must be closed."""

    folder: Path
    ray: RunningRay
    stack: ExitStack = field(default_factory=ExitStack)
    more: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = COMMAND
    before: tuple[str, ...] = ()

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def record(self) -> Path:
        return self.state / "record.json"

    def environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("RECONCILER_", "XDG_", "GIT_", "NO_COLOR"))}
        ours = {"HOME": str(self.folder), "PYTHONPATH": str(ROOT), "RECONCILER_STATE": str(self.state), "RECONCILER_REPO": str(self.config)}
        return kept | ours | self.more

    def run(self, *words: str, seconds: float = 120.0) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.before, *self.program, *words],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def declare(self, path: str, kind: str, name: str, spec: object, **metadata: str) -> None:
        text = yaml.safe_dump({"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}, sort_keys=False)
        file = self.config / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def cluster(self, **ray: object) -> None:
        """Declare another way to the cluster, and commit it."""
        self.declare("lab.yaml", "Cluster", "lab", {"type": "ray", "ray": ray, "drainSeconds": 5})
        commit(self.config, {}, "another cluster")

    def gateway(self, **output: object) -> None:
        listen = {"address": "127.0.0.1", "port": 18080}
        self.declare("public.yaml", "Gateway", "public", {"type": "envoy", "clusters": ["lab"], "listen": listen, "output": output})
        commit(self.config, {}, "another gateway")

    def kept(self) -> Mapping[str, object]:
        """Everything that must not be lost: what serves, and what the gateway runs on."""
        files = {path: path.read_bytes() for path in sorted((self.state / "gateway").rglob("*.json"))}
        return {**{str(path): content for path, content in files.items()}, "puts": len(self.ray.puts)}

    def remembered(self) -> frozenset[str]:
        """What is known as ours: the repo, its targets and endpoints. Of a record that is none, its bytes."""
        text = self.record.read_bytes()
        try:
            found = json.loads(text)
            return frozenset([found["repo"], *(one["name"] for one in found["targets"]), *(one["owner"] for one in found["statuses"])])
        except (ValueError, KeyError, TypeError):
            return frozenset([text.hex()])


def declare(site: Site) -> None:
    site.declare("settings.yaml", "Settings", "default", {"guards": {"maxDeletes": "100%"}})
    site.declare("engine.yaml", "Engine", "stub", {"versions": [ENGINE]})
    site.declare("registry.yaml", "ModelRegistry", "files", {"type": "filesystem", "path": "."})
    site.declare("chat.yaml", "Endpoint", "chat", CHAT, workspace="default")
    site.declare(
        "lab.yaml", "Cluster", "lab", {"type": "ray", "ray": {"dashboardUrl": site.ray.address, "modelRoot": "/models"}, "drainSeconds": 5}
    )
    key = {"owner": "ci@example.com", "credentials": [{"id": "aaaa", "sha256": "ab" * 32}]}
    site.declare("key.yaml", "ApiKey", "ci", key, workspace="default")
    site.gateway(directory="gateway", run=False)


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    """Everything applied: the plan is empty."""
    with dashboard(RunningRay()) as ray:
        assert isinstance(ray, RunningRay)
        ray.answers["/api/ray/version"] = {"ray_version": "2.60.0", "session_name": "one"}
        ray.put({"applications": []})
        site = Site(folder / "site", ray)
        new_repo(site.config)
        commit(site.config, {"README.md": "the fleet"})
        declare(site)
        for _ in range(3):
            done = site.run("apply")
        assert done.returncode == 0, done.stdout + done.stderr
        yield site


@contextmanager
def again(site: Site, template: Path) -> Iterator[Site]:
    """The site as it was when it began to serve; `template` is a copy of its folder."""
    shutil.rmtree(site.folder, ignore_errors=True)
    shutil.copytree(template, site.folder, symlinks=True)
    before = dict(site.ray.answers)
    with ExitStack() as stack:
        try:
            yield Site(site.folder, site.ray, stack)
        finally:
            site.ray.answers.clear()
            site.ray.answers.update(before)
