"""`reconciler run` hears of replicas by WATCH: what becomes ready or goes reaches the gateway's files at once, without a plan to review.

Git is polled every ten minutes here, so that nothing but a watch explains a change within seconds. Between daemon and API server stands a
proxy that breaks what a test wants broken; where the server itself is started again, its controllers are played by hand.
"""

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from structlog import get_logger

from reconciler.daemon.control import ask
from reconciler.daemon.watch import Watchers
from reconciler.desired import TargetSpec
from reconciler.errors import TargetRefused
from reconciler.targets import own_store
from reconciler.targets.kubernetes.api.client import STRATEGIC, KubeClient
from reconciler.targets.kubernetes.api.failures import CREDENTIALS
from reconciler.targets.kubernetes.api.kubeconfig import read_file
from reconciler.targets.kubernetes.api.stream import Watch
from reconciler.targets.kubernetes.inventory import ApplySet
from reconciler.targets.kubernetes.kinds import path_of
from reconciler.targets.kubernetes.settings import KubernetesSettings
from reconciler.targets.kubernetes.target import open_target
from reconciler.targets.kubernetes.watch import NAMES_ONLY, Watches
from reconciler.targets.own_store import variable_of
from reconciler.targets.protocol import Claim, Context
from tests.kubernetes.client_parts import user_of
from tests.kubernetes.fault_proxy import FaultProxy, Reply, Seen, always, first
from tests.kubernetes.kube_site import PATIENCE, Object, Site, opened, wait_until
from tests.kubernetes.pod_history import is_ready
from tests.kubernetes.raw_api import MERGE
from tests.served_site import COMMAND
from tools import controlplane
from tools.controlplane import ControlPlane

PROMPT: Final = 60.0  # seconds: it takes one or two on a machine that nobody else uses, and Git is polled every ten minutes
WATCHED: Final = ("deployments", "endpointslices")
FORGOTTEN: Final = b'{"type":"ERROR","object":{"kind":"Status","status":"Failure","reason":"Expired","code":410,"message":"too old"}}\n'


@dataclass
class Running:
    """A site whose daemon runs. log: what it says, an event as JSON per line."""

    site: Site
    log: Path

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def said(self, since: int = 0) -> set[str]:
        """Names of the events from that number on."""
        return {event["event"] for event in self.events()[since:]}

    def settle(self) -> None:
        """Until a pass finds nothing to do: then only a hint, or the poll in ten minutes, begins another."""
        wait_until(lambda: "No changes at " in str(ask(self.site.where.state, {"op": "trigger"}, 60).get("text")), "it finds no rest")

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """What happens inside of the block is heard, and changes addresses: not a thing in the cluster, and nothing that is reviewed."""
        self.settle()
        before, mark = len(self.events()), self.site.plane.audit_log.mark()
        yield
        wait_until(lambda: "addresses_changed" in self.said(before), "nothing is said about addresses")
        assert not {"change_applied", "change_failed", "pass_triggered"} & self.said(before)
        assert [entry for entry in self.site.plane.audited(mark) if entry.write] == []

    def promptly(self, addresses: Callable[[], list[str]]) -> None:
        """The gateway has what the cluster has."""
        end = time.monotonic() + PROMPT
        while self.site.addresses() != addresses():
            assert time.monotonic() < end, f"{self.site.addresses()} is not {addresses()}"
            time.sleep(0.02)


@contextlib.contextmanager
def daemon(site: Site, **environment: str) -> Iterator[Running]:
    """`reconciler run`, a process of its own."""
    words = ("run", "--interval", "10m", "--no-publish", "--log", "json", "--repo", str(site.repo), "--state", str(site.where.state))
    log = site.folder / "run.log"
    with log.open("wb") as out:
        child = subprocess.Popen([*COMMAND, *words], cwd=site.folder, env={**os.environ, **environment}, stdout=out, stderr=out)
    running = Running(site, log)
    try:
        wait_until(lambda: "pass_finished" in running.said(), "no pass was finished")
        yield running
    finally:
        child.terminate()
        try:
            child.wait(20)
        finally:
            child.kill()
            child.wait()


# --- with controllers -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proxy(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    proxy = FaultProxy(control_plane.url, control_plane.ca, tmp_path_factory.mktemp("proxy"))
    with contextlib.closing(proxy):
        yield proxy


@pytest.fixture(scope="module")
def standing(control_plane: ControlPlane, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One endpoint of two replicas, that serves."""
    with opened(control_plane, tmp_path_factory.mktemp("watch")) as site:
        site.change(replicas=2)
        site.ready()
        through = proxy.kubeconfig(user_of(control_plane)).read_text()
        with daemon(site, **{variable_of(site.cluster): through}) as running:
            wait_until(lambda: watches(proxy) >= len(WATCHED), "nothing is watched")
            yield running
        site.api.close()  # nobody asked for long: the server may have hung up


@pytest.fixture
def running(standing: Running, proxy: FaultProxy) -> Iterator[Running]:
    yield standing
    proxy.rule = None


def is_watch(seen: Seen) -> bool:
    return seen.query.get("watch") == "true"


def watches(proxy: FaultProxy) -> int:
    """How many have come to the proxy so far."""
    return sum(is_watch(seen) for seen in proxy.seen)


def serving(site: Site) -> list[str]:
    """Addresses of the replicas that are ready, as the API server has them."""
    return sorted(f"{pod['status']['podIP']}:8000" for pod in site.pods() if is_ready(pod))


@contextlib.contextmanager
def one_replica(site: Site) -> Iterator[None]:
    """Somebody deletes a replica, and no other can come in its place inside of the block."""
    site.kubectl("create", "quota", "one", "--hard=pods=1")
    site.api.request("DELETE", path_of("Pod", site.namespace, site.pods()[0]["metadata"]["name"]))
    yield
    site.kubectl("delete", "quota", "one")
    wait_until(lambda: len(serving(site)) == 2, "no other pod came")


def set_ready(site: Site, pod: Object, value: str) -> None:
    conditions = [{"type": name, "status": value} for name in ("ContainersReady", "Ready")]
    path = path_of("Pod", site.namespace, pod["metadata"]["name"])
    site.api.request("PATCH", f"{path}/status", {"status": {"conditions": conditions}}, STRATEGIC)


def test_a_replica_that_stops_answering_leaves_and_comes_back(running: Running) -> None:
    site = running.site
    with running.heard(), one_unready(running.site):
        running.promptly(lambda: serving(site))
        assert len(site.addresses()) == 1
    running.promptly(lambda: serving(site))
    assert len(site.addresses()) == 2


@contextlib.contextmanager
def one_unready(site: Site) -> Iterator[None]:
    """A replica does not answer inside of the block."""
    (pod, _) = site.pods()
    set_ready(site, pod, "False")
    yield
    set_ready(site, pod, "True")


def test_a_replica_that_is_deleted_leaves_and_another_comes(running: Running) -> None:
    site = running.site
    with running.heard(), one_replica(site):
        running.promptly(lambda: serving(site))
        assert len(site.addresses()) == 1
    running.promptly(lambda: serving(site))
    assert len(site.addresses()) == 2


ANSWERS: Final = {
    "410": Reply(410, reason="Expired"),
    "410, said in the stream": Reply(200, body=FORGOTTEN),
    "429": Reply(429, {"Retry-After": "1"}),
    "500": Reply(500),
    "an end": Reply(200, body=b""),
    "half an event": Reply(200, body=FORGOTTEN[:40]),
    "something else": Reply(200, {"Content-Type": "text/html"}, b"<html>\n"),
}


@pytest.mark.parametrize("answer", ["reset", *ANSWERS])
def test_a_watch_that_breaks_is_begun_again(running: Running, proxy: FaultProxy, answer: str) -> None:
    """And the next one, where the server refuses that, too."""
    running.settle()
    before, broken = watches(proxy), 0 if answer == "reset" else 2
    proxy.rule = first(broken, ANSWERS.get(answer, Reply(500)), is_watch)
    proxy.drop()
    wait_until(lambda: watches(proxy) >= before + broken + len(WATCHED), "it is not watched again")

    with running.heard(), one_unready(running.site):
        running.promptly(lambda: serving(running.site))
    running.promptly(lambda: serving(running.site))


def test_what_happens_while_the_server_cannot_be_reached_is_seen_afterwards(running: Running, proxy: FaultProxy) -> None:
    site = running.site
    (pod, _) = site.pods()
    with running.heard():
        with proxy.refusing():
            set_ready(site, pod, "False")
            wait_until(lambda: len(serving(site)) == 1)
        running.promptly(lambda: serving(site))
    with running.heard():
        set_ready(site, pod, "True")
        running.promptly(lambda: serving(site))


# --- without them -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare() -> Iterator[ControlPlane]:
    """An API server without controllers, for those who play them."""
    with tempfile.TemporaryDirectory(prefix="rcl-test-") as folder:
        plane = controlplane.start(Path(folder), "api")
        try:
            yield plane
        finally:
            plane.stop()


@pytest.fixture
def alone(bare: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    """Its endpoint is declared and written, and has no replica."""
    with opened(bare, tmp_path) as site:
        site.once()
        yield site


def make_pod(site: Site) -> None:
    """What the controllers and a node would make of the Deployment: a pod, Ready."""
    labels = site.live()["spec"]["template"]["metadata"]["labels"]
    pod = {"metadata": {"name": "chat-1", "labels": labels}, "spec": {"containers": [{"name": "server", "image": "example.org/i:1"}]}}
    made = site.api.request("POST", path_of("Pod", site.namespace), pod)
    site.api.request("PATCH", f"{path_of('Pod', site.namespace, 'chat-1')}/status", {"status": {"phase": "Running"}}, MERGE)
    set_ready(site, made, "True")


def make_address(site: Site) -> None:
    """And of the Service, some time later."""
    labels = {**site.live("Service")["metadata"]["labels"], "kubernetes.io/service-name": "chat"}
    ports = [{"name": "http", "port": 8000, "protocol": "TCP"}]
    slices = {"metadata": {"name": "chat-1", "labels": labels}, "addressType": "IPv4", "ports": ports, "endpoints": [endpoint("10.1.0.1")]}
    site.api.request("POST", path_of("EndpointSlice", site.namespace), slices)


def endpoint(address: str) -> Object:
    return {"addresses": [address], "conditions": {"ready": True}}


def move_replica(site: Site, address: str) -> None:
    site.api.request("PATCH", path_of("EndpointSlice", site.namespace, "chat-1"), {"endpoints": [endpoint(address)]}, MERGE)


def test_no_route_opens_or_moves_before_there_is_an_address(alone: Site) -> None:
    """A pod is Ready a moment before its Service has its address."""
    make_pod(alone)
    alone.once()
    assert alone.route() is None

    make_address(alone)
    alone.once()
    assert alone.addresses() == ["10.1.0.1:8000"]


def test_a_server_that_is_started_again_is_watched_again(alone: Site) -> None:
    make_pod(alone)
    make_address(alone)
    alone.apply(lambda report: bool(alone.addresses()))
    with daemon(alone) as running:
        with running.heard():
            move_replica(alone, "10.1.0.2")
        wait_until(lambda: alone.addresses() == ["10.1.0.2:8000"])
        alone.plane.processes.kill("kube-apiserver")
        alone.plane.restart("kube-apiserver")
        alone.api.close()  # its connection is of the old life
        move_replica(alone, "10.1.0.3")
        wait_until(lambda: alone.addresses() == ["10.1.0.3:8000"], "what happened meanwhile is not seen")
        with running.heard():
            move_replica(alone, "10.1.0.4")
        wait_until(lambda: alone.addresses() == ["10.1.0.4:8000"])


# --- the watches themselves -------------------------------------------------------------------------------------------------------------


class Late(KubeClient):
    """Whose first two watches are opened when somebody says so."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.waiting, self.go = threading.Semaphore(0), threading.Event()

    def watch(self, path: str, resource_version: str, **options: Any) -> Watch:
        self.waiting.release()
        assert self.go.wait(PATIENCE)
        return super().watch(path, resource_version, **options)


def bookmark(plane: ControlPlane) -> bytes:
    """As this server spells it: it sends one shortly before a watch ends."""
    with contextlib.closing(KubeClient(read_file(plane.user_kubeconfig))) as client:
        for _ in range(10):
            with contextlib.closing(client.watch(path_of("Deployment"), "", timeout=4.0, accept=NAMES_ONLY)) as lines:
                if found := next((line for line in lines if b"BOOKMARK" in line), None):
                    return bytes(found) + b"\n"
    raise AssertionError("the server sends no bookmark")


def test_a_bookmark_moves_a_watch_on_and_is_no_news(control_plane: ControlPlane, proxy: FaultProxy, namespace: str) -> None:
    """So that a quiet set is not listed again: a watch begins where the bookmarks of the last one ended."""
    line = bookmark(control_plane)
    version = json.loads(line)["object"]["metadata"]["resourceVersion"]
    nobody = ApplySet(KubernetesSettings(namespace), Claim("default", "root"))

    def asked_of_us() -> list[Seen]:
        return [seen for seen in proxy.seen if nobody.id in seen.query.get("labelSelector", "")]

    answered: set[str] = set()

    def begins(seen: Seen) -> bool:
        """The first watch of each kind."""
        if not is_watch(seen) or nobody.id not in seen.query.get("labelSelector", "") or seen.path in answered:
            return False
        answered.add(seen.path)
        return True

    proxy.rule = always(Reply(200, body=line), begins)
    with contextlib.closing(Late(read_file(proxy.kubeconfig(user_of(control_plane))))) as client, Watches(client, nobody) as watched:
        assert all(client.waiting.acquire(timeout=PATIENCE) for _ in WATCHED)
        watched.wait(0)  # of what happened before, nothing is known
        client.go.set()
        wait_until(lambda: sum(map(is_watch, asked_of_us())) == 4, "it is not watched on")
        assert not watched.wait(0)
    begun = {seen.path: seen.query["resourceVersion"] for seen in asked_of_us() if is_watch(seen)}  # the last of each kind
    assert list(begun.values()) == [version, version]
    assert sum(seen.is_list for seen in asked_of_us()) == 2


class Stale(KubeClient):
    """Whose first two watches begin where nothing is known any more."""

    left = 2

    def watch(self, path: str, resource_version: str, **options: Any) -> Watch:
        version, self.left = ("1" if self.left else resource_version), max(0, self.left - 1)
        return super().watch(path, version, **options)


def test_what_the_server_has_forgotten_is_listed_anew_at_once(bare: ControlPlane, namespace: str) -> None:
    """The server's own 410: one that was started again knows nothing of what was before."""
    bare.processes.kill("kube-apiserver")
    bare.restart("kube-apiserver")
    mark = bare.audit_log.mark()
    nobody = ApplySet(KubernetesSettings(namespace), Claim("default", "root"))
    with contextlib.closing(Stale(read_file(bare.user_kubeconfig))) as client, Watches(client, nobody):
        wait_until(lambda: len(asked(bare, mark, "watch")) == 4, "it does not go on")
    assert sum("resourceVersion=1&" in uri for uri in asked(bare, mark, "watch")) == 2
    assert len(asked(bare, mark, "list")) == 4


def asked(plane: ControlPlane, mark: int, verb: str) -> list[str]:
    """What was asked of the server with this verb since then."""
    return [entry.uri for entry in plane.audited(mark) if entry.verb == verb]


def test_a_target_that_is_closed_ends_its_threads(control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable_of("here"), control_plane.user_kubeconfig.read_text())
    spec = TargetSpec("here", "kubernetes", {"kubeconfigRef": {"name": "here", "key": ""}})
    target = open_target(spec, Context(tmp_path, Claim("default", "root"), True, time.time))
    rung = threading.Event()
    watchers = Watchers(lambda name: rung.set(), get_logger())
    watchers.follow({"here": target})
    assert rung.wait(PROMPT)
    assert {"watch-here", "watch-Deployment", "watch-EndpointSlice"} <= named("watch-")

    watchers.follow({})
    target.close()
    wait_until(lambda: not named("watch-") and not named("kubernetes-here"), "threads are left")


def test_a_renewed_kubeconfig_is_read_again_and_its_watches_begin_anew(
    control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` opens a cluster once; a token that was renewed in the file meanwhile is taken when the server refuses the old one."""
    good = control_plane.user_kubeconfig.read_text()
    file = tmp_path / "here" / "kubeconfig"
    file.parent.mkdir()
    file.write_text(good.replace(control_plane.tokens["reconciler"], "ended"))
    monkeypatch.setenv(own_store.FOLDER, str(tmp_path))
    spec = TargetSpec("here", "kubernetes", {"kubeconfigRef": {"name": "here", "key": ""}})
    target, rung = open_target(spec, Context(tmp_path, Claim("default", "root"), True, time.time)), threading.Event()
    watchers = Watchers(lambda name: rung.set(), get_logger())
    watchers.follow({"here": target})
    try:
        for _ in range(2):  # nothing new in the file: the same refusal
            with pytest.raises(TargetRefused) as refused:
                target.read({})
            assert refused.value.problem.code == CREDENTIALS
        assert not rung.is_set()
        file.write_text(good)
        assert target.read({}).resources == {}
        assert rung.wait(PROMPT)
    finally:
        watchers.follow({})
        target.close()
    wait_until(lambda: not named("watch-"), "threads are left")


def named(beginning: str) -> set[str]:
    """Names of threads."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(beginning)}
