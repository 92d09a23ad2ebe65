"""A site on real nodes: the example's repo with its endpoints on Kubernetes, `reconciler run` in a process of its own, a real Envoy.

The daemon has the kubeconfig of the ordinary user `reconciler`. The example's local Ray has the same models, so that an endpoint moves
between the two by its line `cluster:`; it is declared only while a test needs it (`with_ray`). Differences to the example, all of them for
the sake of time: a request may take 15 seconds, since a pod of llama.cpp that ends sleeps as long before it is told to.
"""

import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pods import Manifest, condition, until

from reconciler.local.envoy_admin import Admin
from reconciler.targets.own_store import variable_of
from tools import models
from tools.demo import repo
from tools.demo.screen import Screen
from tools.demo.stage import Stage, Status
from tools.demo.traffic import Caller, Gateway, Steadily
from tools.node import DENIED, MISSING, Nodes

CLUSTER, RAY = "east", "local"
RAY_FILE = "clusters/local.yaml"
PREFIX = "e2e-"
WORKSPACE = "team-a"
NAMESPACE = f"{PREFIX}{WORKSPACE}"
REQUEST = 15  # seconds that a request may take
REPLICAS = 2
TOKENS = 4  # of one completion under load
PAUSE = 0.02  # seconds between two requests of a thread
WORKING = 120.0  # seconds for pods, or Ray, to start on a machine that has other things to do
VERSION = "b11549"
UNPULLABLE = {"missing": MISSING, "denied": DENIED}  # further versions of the engine, whose image cannot be pulled


@dataclass
class NodeStage(Stage):
    """With what opens the cluster in the reconciler's own store."""

    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | self.secrets


@dataclass
class NodeSite:
    """caller: somebody with a key."""

    stage: NodeStage
    nodes: Nodes
    gateway: Gateway
    key: str = field(default="", repr=False)

    @property
    def gateway_file(self) -> Path:
        return self.stage.config / "gateways" / "public.yaml"

    @property
    def caller(self) -> Caller:
        return Caller.of(self.gateway, self.key)

    # The repo.

    def file(self, name: str = "chat") -> Path:
        return self.stage.config / "workspaces" / WORKSPACE / "endpoints" / f"{name}.yaml"

    def declare(self, path: str, kind: str, name: str, spec: object, **metadata: str) -> None:
        place = self.stage.config / path
        place.parent.mkdir(parents=True, exist_ok=True)
        document = {"apiVersion": "reconciler.dev/v1alpha1", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
        place.write_text(yaml.safe_dump(document, sort_keys=False))

    def edit(self, path: Path, **spec: Any) -> None:
        """Lay these fields over `spec` of a declaration; mappings merge. Not committed."""
        document = yaml.safe_load(path.read_text())
        document["spec"] = merged(document["spec"], spec)
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def change(self, **spec: Any) -> None:
        """Change the endpoint `chat` by a commit."""
        self.edit(self.file(), **spec)
        self.stage.commit(f"chat: {', '.join(spec)}")

    def move(self, cluster: str) -> None:
        """The one line of it."""
        repo.set_field(self.file(), "cluster", cluster)
        self.stage.commit(f"chat: to {cluster}")
        assert self.stage.git("show", "--numstat", "--format=").split()[:2] == ["1", "1"]

    def with_ray(self) -> None:
        """Declare the local Ray: the next pass starts it."""
        shutil.copy(repo.EXAMPLE / RAY_FILE, self.stage.config / RAY_FILE)
        self.edit(self.gateway_file, clusters=[RAY, CLUSTER])
        self.stage.commit("Ray beside Kubernetes")

    def without_ray(self) -> None:
        self.stage.git("rm", "--quiet", RAY_FILE)
        self.edit(self.gateway_file, clusters=[CLUSTER])
        self.stage.commit("Kubernetes alone")

    # What is there.

    def status(self, name: str = "chat") -> Status:
        """What `reconciler status --json` says of it; empty where it says nothing."""
        return self.stage.statuses().get(name, {})

    def pods(self, name: str = "chat") -> list[Manifest]:
        """All of it, those that are being ended too."""
        found: list[Manifest] = self.nodes.json("pods", "-n", NAMESPACE, "-l", f"reconciler.dev/endpoint={name}")["items"]
        return found

    def ready(self, name: str = "chat", replicas: int = REPLICAS) -> None:
        """Wait until it is Ready with so many replicas, the gateway leads to it, and no pod of it is still on its way out."""

        def reached() -> bool:
            now = self.status(name)
            if not now or (now["status"], now["ready"], now["routed"]) != ("Ready", replicas, True):
                return False
            return not any("deletionTimestamp" in pod["metadata"] for pod in self.pods(name))

        self.until(reached)

    def at(self) -> list[str]:
        """The nodes of chat's pods that are ready."""
        return sorted(pod["spec"]["nodeName"] for pod in self.pods() if condition(pod, "Ready"))

    def ejected(self) -> int:
        """How many replicas of chat the gateway gives no requests for a while, because they did not answer."""
        name = f"cluster.{WORKSPACE}/chat/{CLUSTER}.outlier_detection.ejections_active"
        return int(Admin(self.stage.state / "gateway").stats("ejections_active").get(name, "0"))

    def until(self, reached: Callable[[], object], seconds: float = WORKING) -> None:
        """Wait for a condition. When it never comes true, the error says how everything is."""
        try:
            until(reached, seconds, every=0.2)
        except AssertionError as error:
            now = json.dumps(self.stage.statuses(), indent=1)
            raise AssertionError("\n".join([str(error), now, *self.stage.log_tail()])) from None

    # What is done to it.

    def load(self, threads: int = 2) -> Steadily:
        """Requests to chat, one after the other, from so many threads."""
        caller = self.caller
        return Steadily("chat", lambda: caller.chat(TOKENS), threads, PAUSE)

    def placed(self, *nodes: str) -> None:
        """Begin with chat's replicas on these nodes: started anew where they are on others."""
        self.ready()
        if self.at() != sorted(nodes):
            with self.cordoned(*(set(self.nodes.names) - set(nodes))):
                self.change(restartedAt=str(time.time()))
                self.until(lambda: self.at() == sorted(nodes))
        self.ready()

    @contextmanager
    def cordoned(self, *names: str) -> Iterator[None]:
        """No new pod comes to these nodes meanwhile."""
        try:
            for name in names:
                self.nodes.kubectl("cordon", name)
            yield
        finally:
            for name in names:
                self.nodes.kubectl("uncordon", name)

    @contextmanager
    def without_power(self, index: int) -> Iterator[None]:
        """A node switched off without a farewell."""
        self.nodes.lose(index)
        try:
            yield
        finally:
            self.nodes.restore(index)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return old | {name: merged(old.get(name) or {}, value) if isinstance(value, dict) else value for name, value in new.items()}


def sweep(parent: Path) -> None:
    """After the nodes have ended: until then a kubelet makes the folder of the models again for a pod that it starts once more."""
    for folder in parent.glob("rcl-e2e-*"):
        if [path.name for path in folder.rglob("*")] == ["state", "models"]:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def site(nodes: Nodes) -> Iterator[NodeSite]:
    """Everything declared, the daemon running; afterwards nothing of it is left, on this machine or in the cluster."""
    stage = NodeStage(
        Path(tempfile.mkdtemp(prefix="rcl-e2e-")), Screen(), secrets={variable_of(CLUSTER): nodes.user_kubeconfig.read_text()}
    )
    with ExitStack() as ending:
        ending.callback(_forget, nodes)
        ending.callback(_clear, stage)
        for name in ("home", "tmp"):
            (stage.folder / name).mkdir()
        found = _prepared(stage, nodes)
        stage.start_daemon()
        yield found


def _clear(stage: Stage) -> None:
    left = stage.clear()
    assert left == []


def _forget(nodes: Nodes) -> None:
    nodes.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
    nodes.kubectl("delete", "configmap", "-n", "reconciler-system", f"reconciler-default.{CLUSTER}", "--ignore-not-found")


def _prepared(stage: NodeStage, nodes: Nodes) -> NodeSite:
    repo.create(stage)
    found = NodeSite(stage, nodes, Gateway(repo.choose_port(stage.config), WORKSPACE))
    models.into(stage.state / "models")
    _clusters(found)
    _endpoints(found)
    keys = stage.config / "workspaces" / WORKSPACE / "keys.yaml"
    said = stage.reconciler("keys", "create", "--workspace", WORKSPACE, "--owner", "ci@example.com", "--write", str(keys)).out
    key = re.search(r"rcl_\w+", said)
    assert key is not None
    found.key = key.group()
    stage.commit("The example, with times for tests")
    stage.reconciler("validate", str(stage.config))
    found.move(CLUSTER)
    found.without_ray()
    return found


def _clusters(found: NodeSite) -> None:
    config = found.stage.config
    spec = {
        "type": "kubernetes",
        "kubernetes": {"kubeconfigRef": {"name": CLUSTER}, "namespacePrefix": PREFIX},
        "modelCaches": [{"name": "models", "hostPath": str(found.stage.state / "models")}],
        "drainSeconds": 2,
    }
    found.declare(f"clusters/{CLUSTER}.yaml", "Cluster", CLUSTER, spec)
    found.declare("registries/images.yaml", "ModelRegistry", "images", {"type": "oci", "url": "oci://registry.example/models"})
    found.edit(found.gateway_file, clusters=[RAY, CLUSTER])
    found.edit(config / "settings.yaml", guards={"maxDeletes": "100%", "maxRestarts": "100%"})
    engine = config / "engines" / "llama.cpp.yaml"
    (version,) = yaml.safe_load(engine.read_text())["spec"]["versions"]
    others = [version | {"version": f"{VERSION}-{name}", "images": {"cpu": image}} for name, image in UNPULLABLE.items()]
    found.edit(engine, versions=[*others, version])


def _endpoints(found: NodeSite) -> None:
    """chat with files of a folder of the nodes, embeddings with the model out of an image."""
    routing = {"timeoutSeconds": REQUEST}
    found.edit(found.file("chat"), replicas=REPLICAS, routing=routing)
    found.edit(found.file("embeddings"), cluster=CLUSTER, model={"registry": "images", "version": "1"}, routing=routing)
