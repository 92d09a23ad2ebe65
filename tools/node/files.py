"""The files of one node: what containerd, kubelet and the CNI plug-in are told, below the folder of the node.

Paths stay short: a Unix socket's has at most 108 characters.
"""

import contextlib
import fcntl
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tools.node.build import Programs
from tools.node.images import PAUSE
from tools.node.network import Plan

# What kubelet wants of the whole machine. It finds these values in /proc/sys of its box; the machine keeps its own.
SYSCTLS: Final[Mapping[str, str]] = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
# A name server that is not there: a pull of an image that is nobody's must fail at once, and nothing here is outside.
RESOLVE: Final = "nameserver 127.0.0.1\n"


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """folder: of this node. plan, index: its place in the network. kubelets, mirror, reserved: as in Cluster."""

    folder: Path
    plan: Plan
    index: int
    kubelets: Path
    mirror: Path
    reserved: Mapping[str, str]

    @property
    def name(self) -> str:
        return node_name(self.index)

    @property
    def cgroup(self) -> str:
        return f"{self.plan.device}-{self.index}"

    @property
    def socket(self) -> Path:
        return self.folder / "c.sock"

    @property
    def data(self) -> Path:
        """What a node has on its disk: images, containers, volumes. Gone with the node."""
        return self.folder / "data"

    def write(self, programs: Programs) -> None:
        """Everything but the credentials."""
        for name in ("cni", "sysctl"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for name, value in SYSCTLS.items():
            (self.folder / "sysctl" / name.replace("/", ".")).write_text(f"{value}\n")
        (self.folder / "resolv.conf").write_text(RESOLVE)
        (self.folder / "cni" / "10-pods.conflist").write_text(json.dumps(self._network()))
        (self.folder / "containerd.toml").write_text(self._containerd(programs))
        (self.folder / "kubelet.yaml").write_text(yaml.safe_dump(self._kubelet()))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of the node: nobody else runs it, and nothing is left of who did. Waits for that."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def remove_disk(self) -> None:
        """Processes that are being killed may write once more."""
        for _ in range(20):
            shutil.rmtree(self.data, ignore_errors=True)
            if not self.data.exists():
                return
            time.sleep(0.1)

    def empty_disk(self) -> None:
        self.remove_disk()
        for name in ("containerd", "lib/kubelet", "lib/cni", "lib/kube-proxy", "log"):
            (self.data / name).mkdir(parents=True)

    def _network(self) -> dict[str, Any]:
        pods = {"type": "host-local", "ranges": [[{"subnet": self.plan.pods(self.index)}]], "routes": [{"dst": "0.0.0.0/0"}]}
        bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "hairpinMode": True, "ipam": pods}
        return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}

    def _containerd(self, programs: Programs) -> str:
        """In TOML, in which a JSON text is a text too."""
        return CONTAINERD.format(
            root=json.dumps(str(self.data / "containerd")),
            socket=json.dumps(str(self.socket)),
            pause=json.dumps(PAUSE),
            mirror=json.dumps(str(self.mirror)),
            plugins=json.dumps(str(programs.plugins)),
            networks=json.dumps(str(self.folder / "cni")),
            runc=json.dumps(str(programs.find("runc"))),
        )

    def _kubelet(self) -> dict[str, Any]:
        authority = str(self.kubelets / "ca.crt")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.plan.node(self.index),
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": False}, "x509": {"clientCAFile": authority}},
            "authorization": {"mode": "AlwaysAllow"},
            "tlsCertFile": str(self.folder / "served.crt"),
            "tlsPrivateKeyFile": str(self.folder / "served.key"),
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "oomScoreAdj": 0,  # below that a capability is needed that containers often lack
            "clusterDNS": [self.plan.node(self.index)],  # nobody listens: without one, every pod would get a warning event
            "clusterDomain": "cluster.local",
            "resolvConf": str(self.folder / "resolv.conf"),
            "serializeImagePulls": False,
            "nodeStatusUpdateFrequency": "5s",
            "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "podLogsDir": str(self.data / "log" / "pods"),
            "systemReserved": dict(self.reserved),
            "enforceNodeAllocatable": ["pods"],
        }


def node_name(index: int) -> str:
    return f"node-{index}"


CONTAINERD: Final = """\
version = 3
root = {root}
state = "/run/containerd"
[grpc]
  address = {socket}
[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = {pause}
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = {mirror}
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = [{plugins}]
    conf_dir = {networks}
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = 'runc'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = 'io.containerd.runc.v2'
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = {runc}
        SystemdCgroup = false
"""
