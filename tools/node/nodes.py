"""The nodes that run, and what is done to them in a test: published to, looked into, drained, switched off and on."""

import datetime
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.controlplane import ControlPlane, ProcessFailed
from tools.controlplane.processes import Processes
from tools.node import cgroups
from tools.node.cluster import Cluster
from tools.node.files import node_name
from tools.node.layout import Image, Store
from tools.node.network import cut

READY: Final = 90.0  # seconds; it takes 6 on an idle machine
POLL: Final = 0.1
LONG_AGO: Final = datetime.datetime.fromtimestamp(0, datetime.UTC)

# Images that cannot be pulled, each for its own reason (registry.py).
DENIED: Final = "registry.example/denied/llama.cpp:1"
MISSING: Final = "registry.example/missing/llama.cpp:1"
BROKEN: Final = "registry.example/broken/llama.cpp:1"


@dataclass(frozen=True, slots=True)
class Nodes:
    """A cluster that runs. `plane` has its kubeconfigs, its audit log and its processes; `store` the images that can be published."""

    cluster: Cluster
    plane: ControlPlane
    guard: Processes
    store: Store

    @property
    def url(self) -> str:
        return self.plane.url

    @property
    def admin_kubeconfig(self) -> Path:
        return self.plane.admin_kubeconfig

    @property
    def user_kubeconfig(self) -> Path:
        """Of the ordinary user `reconciler`, who has the rights of `deploy/kubernetes/rbac.yaml`."""
        return self.plane.user_kubeconfig

    @property
    def names(self) -> list[str]:
        return [node_name(index) for index in range(self.cluster.nodes)]

    def kubectl(self, *words: str, user: str = "admin", input: str | None = None) -> str:  # noqa: A002  the word subprocess has
        """What kubectl prints. Raises KubectlFailed."""
        return self.plane.kubectl(*words, user=user, input=input)

    def json(self, *words: str) -> Any:
        """What `kubectl get WORDS -o json` prints, parsed."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def publish(self, name: str, image: Image | str) -> None:
        """Make an image pullable under a name; in place of an image, the name of one that is pullable already."""
        names = self.cluster.read_names()
        names[name] = names[image] if isinstance(image, str) else self.store.put(image)
        self.cluster.write_names(names)

    def lose(self, index: int) -> None:
        """Switch a node off, as if its power had gone: pods, connections, disk. Returns when it is gone; nobody tells the cluster.

        Its network goes first: what ends while it is connected still says farewell (a kernel resets the connections of who was killed).
        """
        cut(self.cluster.switch, index)
        if self.guard.alive(node_name(index)):
            os.kill(self.guard.pids[node_name(index)], signal.SIGTERM)
        with self.cluster.files(index).alone():
            pass

    def restore(self, index: int) -> None:
        """Switch it on again with an empty disk. Returns when it is Ready."""
        now = datetime.datetime.now(datetime.UTC)
        self.guard.again(node_name(index))
        self.wait_ready([index], now)

    def drain(self, index: int, seconds: float = 120.0) -> None:
        """Evict its pods as an administrator does, within their disruption budgets. Raises KubectlFailed when they do not go in time."""
        words = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={seconds:.0f}s")
        self.kubectl("drain", node_name(index), *words)

    def uncordon(self, index: int) -> None:
        self.kubectl("uncordon", node_name(index))

    def processes_of(self, uid: str) -> list[int]:
        """The processes of a pod, by its UID, as this machine numbers them."""
        return [pid for index in range(self.cluster.nodes) for pid in cgroups.processes(self.cluster.files(index).cgroup, uid)]

    def wait_ready(self, indices: Sequence[int], since: datetime.datetime = LONG_AGO) -> None:
        """Until these nodes are Ready by a heartbeat after `since`. Raises ProcessFailed with the last words of one that is not."""
        until = time.monotonic() + READY
        while late := [index for index in indices if not self._ready(index, since)]:
            for index in late:
                if not self.guard.alive(node_name(index)) or time.monotonic() > until:
                    raise ProcessFailed(f"{node_name(index)} is not ready; the ends of its logs:\n{self.last_words(index)}")
            time.sleep(POLL)

    def _ready(self, index: int, since: datetime.datetime) -> bool:
        listed = json.loads(self.plane.get("/api/v1/nodes"))["items"]
        conditions = (node["status"].get("conditions", []) for node in listed if node["metadata"]["name"] == node_name(index))
        ready = next((one for ones in conditions for one in ones if one["type"] == "Ready"), {"status": "Unknown"})
        return ready["status"] == "True" and datetime.datetime.fromisoformat(ready["lastHeartbeatTime"]) > since

    def last_words(self, index: int, lines: int = 5) -> str:
        logs = [self.guard.folder / f"{node_name(index)}.log", *sorted(self.cluster.files(index).folder.glob("*.log"))]
        return "\n".join(
            f"  {log.name}: {line[:400]}" for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()[-lines:]
        )

    def stop(self) -> None:
        """End all of it and wait until it is gone: nodes, pods, network, control groups, control plane. The folder stays, without disks."""
        if self.plane.processes.alive("kube-apiserver"):
            os.kill(self.plane.processes.pids["kube-apiserver"], signal.SIGKILL)  # it would wait for nodes that are gone
        self.guard.stop()
        for index in range(self.cluster.nodes):
            with self.cluster.files(index).alone():
                pass
        self.plane.stop()
