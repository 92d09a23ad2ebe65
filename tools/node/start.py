"""A cluster with real nodes of one's own: `start(folder)` in, `stop()` out.

    nodes = start(folder)                      some seconds; two nodes, on which pods run, are probed, crash and are killed
    nodes.kubectl("get", "pods", user="reconciler")
    nodes.lose(0); nodes.restore(0); nodes.drain(1)
    nodes.stop()

etcd and the API server are those of `tools.controlplane`, listening where the nodes are; with all controllers and the scheduler, and no
simulated nodes. This machine reaches pods at 10.NET.<node>.x. Nothing is installed and no setting of the machine changes. Everything ends
with the process that called `start`, however that ends: its processes are kept by guards, and the network is the kernel's to take away.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools import controlplane, models
from tools.controlplane import ControlPlane, NotAvailable, ProcessFailed, assets, flags
from tools.controlplane.processes import Processes
from tools.environment import CHECKOUT
from tools.node import cgroups, credentials, network
from tools.node.build import Programs, build
from tools.node.cluster import Cluster
from tools.node.files import node_name
from tools.node.images import all_images
from tools.node.layout import Store
from tools.node.nodes import READY, Nodes
from tools.ports import free_ports

POLL: Final = 0.1
LONGEST: Final = 60  # characters of the folder: below it are Unix sockets
RESERVED: Final[Mapping[str, str]] = {"cpu": "200m", "memory": "2Gi"}
TOOLS: Final = ("ip", "nsenter", "unshare", "setpriv", "mount", "bash")


def start(
    folder: Path,
    nodes: int = 2,
    *,
    images: Mapping[str, str] = {},
    reserved: Mapping[str, str] = RESERVED,
    controller_flags: Mapping[str, str] = {},
) -> Nodes:
    """Start a cluster whose files are in `folder`, and return when its nodes are Ready.

    images: names that are pullable beside those of images.py, and the name there that each stands for. reserved: what pods do not get of
    a node's processors and memory, which each node takes for all of this machine's. controller_flags: further flags of the controller
    manager. Raises NotAvailable when a part or a right is missing, ProcessFailed when something does not come up, ValueError for a folder
    whose path is too long.
    """
    check_folder(folder)
    check_machine()
    programs = build()
    store = Store()
    try:
        ours = all_images(store, programs)
    except models.NotFetched as error:
        raise NotAvailable(f"no images for real nodes: {error}") from None
    published = ours | {name: ours[same] for name, same in images.items()}
    folder = folder.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    guard = Processes(folder)
    try:
        cluster = connect(folder, nodes, programs, reserved, guard)
        serve_images(cluster, store, published, guard)
        return fill(cluster, store, guard, controller_flags)
    except BaseException:
        guard.stop()
        raise


def check_folder(folder: Path) -> None:
    """Raises ValueError for a path below which a Unix socket would not fit."""
    if len(str(folder.absolute())) > LONGEST:
        raise ValueError(f"the path of {folder} is too long for Unix sockets below it: {LONGEST} characters at most")


def check_machine() -> None:
    """Raises NotAvailable with what this machine lacks."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NotAvailable("no real nodes: they need Linux and root (namespaces, control groups, mounts)")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise NotAvailable(f"no real nodes: {', '.join(missing)} not found; install iproute2 and util-linux")
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        raise NotAvailable(f"no real nodes: this root may not make namespaces ({tried.stderr.strip()}); a container needs --privileged")
    if not cgroups.usable():
        raise NotAvailable("no real nodes: the control groups below /sys/fs/cgroup cannot be written; a container needs --privileged")


def connect(folder: Path, nodes: int, programs: Programs, reserved: Mapping[str, str], guard: Processes) -> Cluster:
    """The network, of which the switch holds everything. Raises NotAvailable."""
    switch = guard.run("switch", ["unshare", "--net", "sleep", "infinity"])
    try:
        network.wait_for_namespace(switch)
        plan = network.claim(switch, nodes)
    except network.NoNetwork as error:
        raise NotAvailable(f"no network for real nodes: {error}") from None
    cluster = Cluster(folder, plan, switch, nodes, programs, reserved)
    cluster.write()
    return cluster


def serve_images(cluster: Cluster, store: Store, published: Mapping[str, str], guard: Processes) -> None:
    host = cluster.plan.host
    (port,) = free_ports(host)
    cluster.write_names(published)
    guard.run("registry", module("tools.node.registry", host, str(port), str(store.blobs), str(cluster.names)))
    default = cluster.mirror / "_default"
    default.mkdir(parents=True, exist_ok=True)
    url = f"http://{host}:{port}"
    (default / "hosts.toml").write_text(f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n')


def fill(cluster: Cluster, store: Store, guard: Processes, controller_flags: Mapping[str, str]) -> Nodes:
    """The control plane, then the nodes."""
    kubelets = credentials.of_kubelets(cluster)
    plane = controlplane.start(cluster.folder / "plane", "api", address=cluster.plan.host, api_flags=api_flags(cluster))
    made = Nodes(cluster, plane, guard, store)
    try:
        run_controllers(plane, controller_flags)
        credentials.of_nodes(cluster, plane, kubelets)
        for index in range(cluster.nodes):
            cluster.files(index).write(cluster.programs)
            guard.run(node_name(index), module("tools.node.box", str(cluster.folder), str(index)))
        made.wait_ready(range(cluster.nodes))
        wait_for_accounts(plane)
    except BaseException:
        made.stop()
        raise
    return made


def api_flags(cluster: Cluster) -> dict[str, str]:
    """What differs from a control plane without nodes: it knows nodes, calls kubelets, and everything that it admits is there."""
    return {
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "disable-admission-plugins": "",
        "endpoint-reconciler-type": "lease",
        "service-cluster-ip-range": cluster.plan.services,
        "kubelet-preferred-address-types": "InternalIP",
        "kubelet-certificate-authority": str(cluster.kubelets / "ca.crt"),
        "kubelet-client-certificate": str(cluster.kubelets / "api.crt"),
        "kubelet-client-key": str(cluster.kubelets / "api.key"),
    }


def run_controllers(plane: ControlPlane, controller_flags: Mapping[str, str]) -> None:
    """All of them: node life cycle, service accounts, taints."""
    further = {"controllers": "*", "service-account-private-key-file": "service-accounts.key", "root-ca-file": "ca.crt", **controller_flags}
    for name, its_flags in (
        ("kube-controller-manager", {**flags.controller_manager(), **further}),
        ("kube-scheduler", flags.scheduler()),
    ):
        plane.processes.run(name, flags.command(assets.binary(name), its_flags))


def wait_for_accounts(plane: ControlPlane) -> None:
    """Until a pod may be made in `default`: its service account is made by a controller. Raises ProcessFailed."""
    until = time.monotonic() + READY
    while True:
        try:
            plane.get("/api/v1/namespaces/default/serviceaccounts/default")
            return
        except OSError as error:
            plane.processes.check()
            if time.monotonic() > until:
                raise ProcessFailed(f"no service account `default` after {READY:.0f} s: {error}") from None
            time.sleep(POLL)


def module(name: str, *words: str) -> list[str]:
    """The command that runs a module of this checkout, wherever it is run."""
    return ["env", f"PYTHONPATH={CHECKOUT}", sys.executable, "-m", name, *words]
