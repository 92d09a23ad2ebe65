"""A control plane of one's own, up in seconds: `start(folder)` in, `stop()` out, as many at once as the memory allows (500 MB each).

`api` is etcd and the API server: enough for everything about requests. `full` adds the controllers, the scheduler, and simulated nodes on
which pods become Ready, crash, fail to pull or hang as their label says (`kwok.yaml`). In both, the custom kinds that we render are
defined unless one asks for none, and the user `reconciler` has the rights of the project's own manifests.
"""

import json
import shutil
import ssl
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from tools.controlplane import access, assets, certificates, flags
from tools.controlplane.audit import POLICY, AuditLog, Entry
from tools.controlplane.kubectl import kubectl
from tools.controlplane.processes import Processes, ProcessFailed
from tools.controlplane.programs import CONTROL_PLANE, NotAvailable
from tools.ports import free_ports

Mode = Literal["api", "full"]

READY: Final = 60.0  # seconds; it takes 3 on an idle machine
ATTEMPTS: Final = 3  # a port that was free can be taken before it is used
NODES: Final = Path(__file__).with_name("nodes.yaml")


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A control plane that runs.

    `ca` is the file of its certificate authority. `user_kubeconfig` and `cert_kubeconfig` are the same ordinary user, by token and by
    certificate. What an existing cluster does not have raises NotAvailable when it is asked for.
    """

    folder: Path
    url: str
    ca: Path
    admin_kubeconfig: Path
    user_kubeconfig: Path
    certificate: Path | None
    audit_log: AuditLog
    running: Processes | None
    tokens: Mapping[str, str] = field(repr=False)

    @property
    def cert_kubeconfig(self) -> Path:
        if self.certificate is None:
            raise NotAvailable("no client certificate for an existing cluster")
        return self.certificate

    @property
    def processes(self) -> Processes:
        """For those who want to kill one, or to let all outlive this process."""
        if self.running is None:
            raise NotAvailable("no processes of ours in an existing cluster")
        return self.running

    def kubectl(self, *words: str, user: str = "admin", input: str | None = None) -> str:  # noqa: A002  the word subprocess has
        """What kubectl prints, run as `admin`, `reconciler` or `cert` (the same user by certificate). Raises KubectlFailed."""
        return kubectl(self.kubeconfig(user), self.folder, *words, text=input or "")

    def kubeconfig(self, user: str) -> Path:
        """The file of `admin`, `reconciler` or `cert`."""
        if user == "cert":
            return self.cert_kubeconfig
        return {"admin": self.admin_kubeconfig, access.USER: self.user_kubeconfig}[user]

    def audited(self, mark: int = 0) -> list[Entry]:
        """Every request of the user that was answered between `audit_log.mark()` and now.

        An entry is written just after its answer went out. So one more request is made, and the log is read when that one stands in it.
        """
        path = f"/version?fence={uuid.uuid4()}"
        self.get(path, access.USER)
        self.audit_log.wait(lambda entry: entry.uri == path, mark)
        return [entry for entry in self.audit_log.since(mark) if entry.uri != path]

    def get(self, path: str, user: str = "admin") -> bytes:
        """One GET. Raises OSError for a user with a token, else KubectlFailed."""
        if user in self.tokens:
            return get(self.url + path, self.ca, self.tokens[user])
        return self.kubectl("get", "--raw", path, user=user).encode()

    def restart(self, name: str) -> None:
        """Start a process again, as after a crash if it was killed, and wait until the API server is ready."""
        self.processes.again(name)
        wait_ready(self)

    def stop(self) -> None:
        """End all its processes and wait until they are gone. Its folder stays, and so does an existing cluster."""
        if self.running is not None:
            self.running.stop()


def start(
    folder: Path,
    mode: Mode = "api",
    *,
    nodes: int = 4,
    address: str = flags.LOOPBACK,
    api_flags: Mapping[str, str] = {},
    custom_kinds: bool = True,
) -> ControlPlane:
    """Start a control plane whose files are in `folder`, and return when it is ready.

    nodes: simulated nodes of 8 accelerators each (`full` only). address: where the API server listens. api_flags: further flags of the
    API server, or other values. custom_kinds: whether those that we render are defined. Everything ends with the process that called
    this, however that ends, unless `processes.keep()` is called.
    Raises NotAvailable when a program is missing, ProcessFailed when one does not come up.
    """
    programs = assets.binaries(CONTROL_PLANE if mode == "full" else CONTROL_PLANE[:2])
    plan = Plan(folder.absolute(), programs, mode, nodes if mode == "full" else 0, address, dict(api_flags), custom_kinds)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return plan.start()
        except ProcessFailed as error:
            if attempt == ATTEMPTS or "address already in use" not in str(error):
                raise
    raise AssertionError


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, and where."""

    folder: Path
    programs: Mapping[str, Path]
    mode: Mode
    nodes: int
    address: str
    api_flags: Mapping[str, str]
    custom_kinds: bool

    def start(self) -> ControlPlane:
        port, etcd_port = free_ports(self.address, flags.LOOPBACK)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        processes = Processes(self.folder)
        try:
            shutil.rmtree(self.folder / "etcd", ignore_errors=True)
            plane = self.describe(f"https://{self.address}:{port}", processes)
            self.run("etcd", processes, flags.etcd(self.folder, etcd_port))
            served = flags.api_server(self.folder, self.address, port, etcd_port)
            self.run("kube-apiserver", processes, {**served, **self.api_flags})
            wait_ready(plane)
            if self.mode == "full":
                self.run("kube-controller-manager", processes, flags.controller_manager())
                self.run("kube-scheduler", processes, flags.scheduler())
                self.run("kwok", processes, flags.kwok())
            set_up(plane, self.nodes, assets.definitions() if self.custom_kinds else [])
        except BaseException:
            processes.stop()
            raise
        return plane

    def run(self, name: str, processes: Processes, its_flags: flags.Flags) -> None:
        processes.run(name, flags.command(self.programs[name], its_flags))

    def describe(self, url: str, processes: Processes) -> ControlPlane:
        """Write everything that the processes and their users read."""
        here = self.folder
        authority = certificates.Authority.make(here)
        authority.server("api", ["localhost", flags.LOOPBACK, "10.0.0.1", self.address])
        authority.client("user", access.USER)
        certificates.signing_key(here, "service-accounts")
        (here / "audit.yaml").write_text(POLICY)
        (here / "audit.log").unlink(missing_ok=True)
        tokens = access.tokens(here)
        ca, pair = here / "ca.crt", {"client-certificate": str(here / "user.crt"), "client-key": str(here / "user.key")}
        return ControlPlane(
            folder=here,
            url=url,
            ca=ca,
            admin_kubeconfig=access.kubeconfig(here / "admin.kubeconfig", url, ca, {"token": tokens["admin"]}),
            user_kubeconfig=access.kubeconfig(here / "reconciler.kubeconfig", url, ca, {"token": tokens[access.USER]}),
            certificate=access.kubeconfig(here / "cert.kubeconfig", url, ca, pair),
            audit_log=AuditLog(here / "audit.log"),
            running=processes,
            tokens=tokens,
        )


def wait_ready(plane: ControlPlane) -> None:
    def answers() -> bool:
        try:
            return plane.get("/readyz") == b"ok"
        except OSError:
            return False

    wait(plane, answers, "the API server is not ready", "kube-apiserver")


def set_up(plane: ControlPlane, nodes: int, definitions: Iterable[Path]) -> None:
    """Custom kinds, rights and nodes, in one go; returns when the kinds are served and the nodes are Ready."""
    manifests = access.rights()
    manifests += [*access.bindings(manifests), *fake_nodes(nodes)]
    defined = [word for file in definitions for word in ("-f", str(file))]
    applied = plane.kubectl("apply", "--server-side", "-o", "name", *defined, "-f", "-", input=yaml.safe_dump_all(manifests)).split()
    for name in applied:
        what, _, kind = name.partition("/")
        if what == "customresourcedefinition.apiextensions.k8s.io":
            wait_for(plane, f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}", "Established", "kube-apiserver")
        if what == "node":
            wait_for(plane, f"/api/v1/nodes/{kind}", "Ready", "kwok")
    plane.processes.check()


def wait_for(plane: ControlPlane, path: str, condition: str, name: str) -> None:
    """Until a condition is True. (`kubectl wait` gives up on an object whose conditions are null, as they are at first.)"""

    def met() -> bool:
        conditions = json.loads(plane.get(path)).get("status", {}).get("conditions") or []
        return any(one["type"] == condition and one["status"] == "True" for one in conditions)

    wait(plane, met, f"{path} is not {condition}", name)


def wait(plane: ControlPlane, met: Callable[[], bool], trouble: str, name: str) -> None:
    """Until it is met. Raises ProcessFailed, with what the process of this name said last, when that takes too long or one is gone."""
    until = time.monotonic() + READY
    while not met():
        plane.processes.check()
        if time.monotonic() > until:
            last = plane.processes.last_words(name)
            raise ProcessFailed(f"{trouble} after {READY:.0f} s; the end of the log of {name}:\n{last}")
        time.sleep(0.05)


def fake_nodes(count: int) -> list[dict[str, Any]]:
    """`gpu-000`, `gpu-001` and so on, as nodes.yaml describes the first."""
    first = yaml.safe_load(NODES.read_text())
    made = []
    for number in range(count):
        node = deepcopy(first)
        node["metadata"]["name"] = node["metadata"]["labels"]["kubernetes.io/hostname"] = f"gpu-{number:03}"
        made.append(node)
    return made


def get(url: str, ca: Path, token: str) -> bytes:
    """One GET. Raises OSError, of which urllib's errors are kinds."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    context = ssl.create_default_context(cafile=str(ca))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(request, timeout=30) as answer:
        body: bytes = answer.read()
    return body
