"""A local Ray for tests, and the words in which they speak of it: endpoints out of stub engines, waits for conditions."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from reconciler.change import Change, ChangeClass, Create, Effects, Outcome, Update
from reconciler.desired import TargetSpec
from reconciler.local import ray
from reconciler.resource import Binding, LiveResource, Observation, Resource, ResourceKey
from reconciler.targets.protocol import Claim, Context
from reconciler.targets.ray.client import RayClient, Token
from reconciler.targets.ray.render import render_workload
from reconciler.targets.ray.rules import effects
from reconciler.targets.ray.target import LocalRayTarget, open_target
from reconciler.targets.rendering import Meta, SecretEnv, Workload

T = TypeVar("T")
STUB = Path(__file__).with_name("stub_engine.py")
PATIENCE = 60.0
CLAIM = Claim("default", "root-commit")


def until(condition: Callable[[], T], seconds: float = PATIENCE, every: float = 0.1) -> T:
    """What `condition` says as soon as it is true. An assertion error with its last word when it never is."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s; last: {value!r}"
        time.sleep(every)
    return value


def stub(name: str, *options: str, **fields: object) -> Workload:
    """An endpoint of team-a whose engine is the stub."""
    command = ("{python}", str(STUB), "--host", "{host}", "--port", "{port}", *options)
    workload = Workload(
        meta=Meta(f"Endpoint/team-a/{name}", f"endpoints/{name}.yaml:1"),
        workspace="team-a",
        name=name,
        command=command,
        env={},
        secrets=(),
        replicas=1,
        cpu=0.1,
        memory=50_000_000,
        accelerator=None,
        health_path="/health",
        startup_timeout=30.0,
        health_period=1.0,
        health_timeout=5.0,
        grace=330.0,
        surge=True,
        spread_required=False,
        restarted_at="",
    )
    return replace(workload, **fields)  # type: ignore[arg-type]


@dataclass
class RayCluster:
    """folder: a state folder that has a running local Ray. spec: the target that it is. Shared: use endpoint names of your own."""

    folder: Path
    spec: TargetSpec

    def open(self, write: bool = True, held: Callable[[], bool] = lambda: True, patient: bool = True) -> LocalRayTarget:
        """The target as a pass opens it; whoever opens it closes it."""
        target = open_target(self.spec, Context(self.folder, CLAIM, write, time.time, held, patient))
        assert isinstance(target, LocalRayTarget)
        return target

    def answer(self) -> Mapping[str, Any]:
        """Serve's own words."""
        running = ray.running(self.folder, self.spec.name)
        assert running is not None
        with contextlib.closing(RayClient(running.address, Token(running.token))) as client:
            value = client.applications()
        assert isinstance(value, dict)
        return value

    def put_by_hand(self, change: Mapping[str, Any]) -> None:
        """Somebody else's GET, patch and PUT: lays documents by name over the list."""
        running, answer = ray.running(self.folder, self.spec.name), self.answer()
        assert running is not None
        documents = {name: app["deployed_app_config"] for name, app in answer["applications"].items() if app["deployed_app_config"]}
        with contextlib.closing(RayClient(running.address, Token(running.token))) as client:
            client.put({"http_options": answer["http_options"], "applications": list({**documents, **change}.values())})

    def resource(self, workload: Workload) -> Resource:
        return render_workload(workload, self.spec).resources[0]

    def read(self, *wanted: Resource) -> Observation:
        with contextlib.closing(self.open()) as target:
            return target.read({resource.key: resource for resource in wanted})

    def live(self, key: ResourceKey) -> LiveResource | None:
        return self.read().resources.get(key)

    def write(self, *changes: Change) -> list[Outcome]:
        with contextlib.closing(self.open()) as target, target.session(changes) as writer:
            return list(writer.write(changes))

    def create(self, *workloads: Workload, attempt: int = 0) -> list[Resource]:
        """Write them and expect that Serve takes them."""
        resources = [self.resource(workload) for workload in workloads]
        outcomes = self.write(*(Create(one, Effects(ChangeClass.CREATE), Binding(attempt=attempt)) for one in resources))
        assert [outcome.problem for outcome in outcomes] == [None] * len(resources)
        return resources

    def update(self, workload: Workload) -> Resource:
        resource = self.resource(workload)
        live = self.live(resource.key)
        assert live is not None
        (outcome,) = self.write(Update(resource, live, (), effects(resource, live, ()), live.binding))
        assert outcome.problem is None
        return resource

    def serves(self, key: ResourceKey, replicas: int = 1) -> LiveResource:
        """Wait until exactly so many replicas serve and offer their addresses, and Serve has come to rest."""

        def settled() -> LiveResource | None:
            live = self.live(key)
            if live is None or live.serving is None or live.serving.rollout or live.serving.ready != replicas:
                return None
            return live if len(live.addresses) == replicas else None

        return until(settled)

    def ask(self, live: LiveResource, path: str = "/who", address: int = 0) -> Mapping[str, object]:
        return ask(live.addresses[address], f"/{live.key.namespace}/{live.key.name}{path}")


def ask(address: str, path: str, seconds: float = 10.0) -> Mapping[str, object]:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=seconds) as answer:
        value: Mapping[str, object] = json.loads(answer.read())
    return value


def start_and_die(folder: Path, name: str) -> None:
    """Begin the start of a local Ray in a process that is killed hard as soon as the start is under way."""
    code = "import sys; from pathlib import Path; from reconciler.local import ray; folder = Path(sys.argv[1]); "
    code += "ray.ensure(folder, sys.argv[2], folder / 'models')"
    starter = subprocess.Popen([sys.executable, "-c", code, str(folder), name])
    try:
        until((folder / "local" / "ray" / name / "ray.json").exists, every=0.02)
    finally:
        starter.kill()
        starter.wait()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def pids_with(word: str) -> list[int]:
    """Processes whose command line holds a word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if word in line:
                found.append(int(entry.name))
    return sorted(found)


def number(values: Mapping[str, object], name: str) -> int:
    value = values[name]
    assert isinstance(value, int)
    return value


def secrets_for(workload: Workload, *entries: SecretEnv) -> Workload:
    return replace(workload, secrets=entries)


def names(outcomes: Iterable[Outcome]) -> list[str]:
    return [outcome.problem.code if outcome.problem else "" for outcome in outcomes]
