"""An endpoint that moves, rests, comes back, or is made of something else: what is written where and when, and what serves meanwhile.

The order is that of the servers' own audit logs. Where the gateway sends requests is looked at around every single write.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest

from reconciler import checkpoint
from reconciler.change import ChangeClass
from reconciler.local import ray
from reconciler.resource import Health
from reconciler.targets.kubernetes.kinds import path_of
from reconciler.targets.own_store import variable_of
from tests.kubernetes.kube_site import WORKSPACE, Object, Site, changes, held, opened, status_of, text_of, wait_until
from tests.kubernetes.pod_history import history, pods_of
from tests.kubernetes.raw_api import RawApi
from tests.real.ray_cluster import STUB, ask
from tools import controlplane
from tools.controlplane import ControlPlane
from tools.controlplane.audit import Entry

DRAIN: Final = 2  # seconds
TOO_MUCH: Final = "100Ti"  # memory that no node has
OWN: Final = {"deployments", "services", "serviceaccounts", "networkpolicies"}


# --- what is seen of a move -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moment:
    """Around a write: its place, the clusters that the gateway sends requests to, and since when it has left another."""

    place: str
    to: frozenset[str]
    left: float | None


@contextlib.contextmanager
def watched(site: Site) -> Iterator[list[Moment]]:
    """Every write that passes make inside of the block."""
    moments: list[Moment] = []
    checkpoint.listen(lambda place: moments.append(Moment(place, sends_to(site), left_at(site))))
    try:
        yield moments
    finally:
        checkpoint.listen(None)


def sends_to(site: Site) -> frozenset[str]:
    """Clusters of the backends that the route has, as far as it knows addresses of theirs."""
    route = site.route()
    if route is None or route["withdrawn"]:
        return frozenset()
    known = {backend["target"] for backend in route["addresses"] if backend["hosts"]}
    return frozenset(backend["target"] for backend in route["manifest"]["backends"]) & known


def left_at(site: Site) -> float | None:
    """Seconds since the epoch."""
    drains = (site.route() or {"drains": []})["drains"]
    return max((drain["since"] for drain in drains if drain["since"]), default=None)


def at(moments: list[Moment], place: str) -> Moment:
    """The only moment of this place."""
    (found,) = (one for one in moments if one.place == place)
    return found


def time_of(entry: Entry) -> float:
    return datetime.fromisoformat(entry.received).timestamp()


# --- between two clusters of Kubernetes -------------------------------------------------------------------------------------------------


@dataclass
class Pair:
    """A site on `east`, and a second cluster `west` of its repo."""

    site: Site
    west: ControlPlane
    api: RawApi
    marks: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        return f"west-{self.site.id}"

    def mark(self) -> None:
        self.marks = self.site.plane.audit_log.mark(), self.west.audit_log.mark()

    def writes(self) -> list[tuple[str, Entry]]:
        """Of both servers since `mark`, in the order in which they came: (cluster, what was asked)."""
        planes = zip(("east", "west"), (self.site.plane, self.west), self.marks, strict=True)
        found = [(where, entry) for where, plane, mark in planes for entry in plane.audited(mark) if entry.write]
        return sorted(found, key=lambda pair: pair[1].received)

    def there(self, kind: str = "Deployment") -> Object | None:
        """What is on west."""
        listed = self.api.request("GET", path_of(kind, self.site.namespace))["items"]
        return next((one for one in listed if one["metadata"]["name"] == "chat"), None)


@pytest.fixture(scope="module")
def west() -> Iterator[ControlPlane]:
    with tempfile.TemporaryDirectory(prefix="rcl-test-") as folder:
        plane = controlplane.start(Path(folder), "full", nodes=1)
        try:
            yield plane
        finally:
            plane.stop()


@pytest.fixture
def pair(control_plane: ControlPlane, west: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    api = RawApi(west.url, str(west.ca), west.tokens["admin"])
    with contextlib.closing(api), opened(control_plane, tmp_path, drainSeconds=DRAIN) as site:
        found = Pair(site, west, api)
        monkeypatch.setenv(variable_of(found.name), west.user_kubeconfig.read_text())
        declare_west(found)
        site.ready()
        yield found


def declare_west(pair: Pair) -> None:
    site = pair.site
    spec = {
        "type": "kubernetes",
        "kubernetes": {"kubeconfigRef": {"name": pair.name}, "namespacePrefix": site.namespace_of("")},
        "modelCaches": [{"name": "models", "hostPath": "/srv/models"}],
    }
    site.declare("clusters/west.yaml", "Cluster", pair.name, spec)
    site.edit(site.repo / "gateways" / "public.yaml", clusters=[site.cluster, pair.name])
    site.commit("a second cluster")


def test_one_line_moves_it_there_ready_then_the_route_then_the_drain_then_deleted_here(pair: Pair) -> None:
    site, east, west = pair.site, pair.site.cluster, pair.name
    site.change(cluster=west)
    planned = site.plan()
    assert changes(planned)["Deployment/chat"].effects.kind is ChangeClass.MIGRATE
    assert f"from {east}: starts here, then the route switches, then the old copy goes" in text_of(planned)

    pair.mark()
    with watched(site) as moments:
        last = site.ready()

    writes = pair.writes()
    made = [entry for where, entry in writes if where == "west"]
    gone = [entry for _, entry in writes if entry.verb == "delete"]
    assert {entry.resource for entry in made} == OWN | {"configmaps", "namespaces"}
    assert [where for where, entry in writes if entry.verb == "delete"] == ["east"] * len(OWN)
    assert (gone[0].resource, {entry.resource for entry in gone}) == ("deployments", OWN)
    assert max(time_of(entry) for entry in made) < time_of(gone[0])

    assert [moment for moment in moments if len(moment.to) != 1] == [], "there is always one place to go"
    assert at(moments, f"kubernetes: {west}: Deployment/{WORKSPACE}/chat/before").to == {east}
    ending = at(moments, f"kubernetes: {east}: Deployment/{WORKSPACE}/chat/before")
    assert ending.to == {west}
    assert ending.left is not None
    assert time_of(gone[0]) >= ending.left + DRAIN
    assert (last.exit_code, status_of(last).word, status_of(last).targets) == (0, Health.READY, (west, "public"))
    site.gone("Deployment")
    assert site.writes(site.once) == []


def test_what_does_not_come_up_there_ends_nothing_here_and_is_taken_back(pair: Pair) -> None:
    site, east = pair.site, pair.site.cluster
    (before,) = site.pods()
    site.change(cluster=pair.name, resources={"memory": TOO_MUCH})
    pair.mark()
    with watched(site) as moments:
        site.until(Health.UPDATING)
        wait_until(lambda: pair.there() is not None)
        report = site.once()
        assert held(report)["Deployment/chat"].text == (f"waits for public: Route/{WORKSPACE}/chat to leave it")
        site.change(cluster=east, resources={"memory": "512Mi"})
        last = site.ready()

    assert [entry.verb for where, entry in pair.writes() if where == "east"] == []
    assert {moment.to for moment in moments} == {frozenset({east})}
    assert [pod["metadata"]["uid"] for pod in site.pods()] == [before["metadata"]["uid"]]
    assert (last.exit_code, status_of(last).word) == (0, Health.READY)
    wait_until(lambda: pair.there() is None)


# --- between Kubernetes and Ray ---------------------------------------------------------------------------------------------------------

STUB_ENGINE: Object = {
    "version": "1",
    "tasks": ["text-generation"],
    "apis": ["openai"],
    "argsSchema": "builtin:engines/llama.cpp-b11549-xllamacpp.json",
    "argStyle": {"as": "flags", "case": "kebab", "bool": "flag", "list": "comma", "object": "json"},
    "images": {"cpu": "example.org/stub:1"},
    "command": ["stub", "--host", "{{ host }}", "--port", "{{ ports.http }}"],
    "paths": {"startup": "/health", "readiness": "/health", "liveness": "/health", "models": "/v1/models"},
    "ray": {"runner": "process", "command": ["{{ python }}", str(STUB), "--host", "{{ host }}", "--port", "{{ ports.http }}"]},
}


@pytest.fixture
def both(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    """A cluster of Kubernetes and a local Ray in one repo; the endpoint's engine is a stub, which Ray really starts."""
    with opened(control_plane, tmp_path, drainSeconds=DRAIN) as site:
        root = tmp_path / "models"
        (root / "stub").mkdir(parents=True)
        (root / "stub" / "stub.gguf").write_bytes(b"GGUF")
        site.declare("engines/stub.yaml", "Engine", "stub", {"versions": [STUB_ENGINE]})
        site.declare(
            "clusters/lab.yaml", "Cluster", "lab", {"type": "ray", "ray": {"local": True, "modelRoot": str(root)}, "drainSeconds": 5}
        )
        site.edit(site.repo / "gateways" / "public.yaml", clusters=[site.cluster, "lab"])
        stub = {"name": "stub", "file": "stub.gguf", "servedName": None}
        site.edit(
            site.file("chat"), engine={"name": "stub", "version": "1", "args": None}, model=stub, resources={"cpu": "0.1", "memory": "64Mi"}
        )
        site.commit("two clusters, one engine")
        try:
            site.once()  # as long as it takes: it starts Ray
            site.ready()
            yield site
        finally:
            ray.stop(site.where.state)


def test_from_kubernetes_to_ray_and_back(both: Site) -> None:
    """The line `cluster:`, and nothing else."""
    east = both.cluster
    with watched(both) as moments:
        both.change(cluster="lab")
        last = both.ready()
        assert (last.exit_code, status_of(last).targets) == (0, ("lab", "public"))
        (address,) = both.addresses()
        assert ask(address, f"/{WORKSPACE}/chat/who")["path"] == "/who"
        both.gone("Deployment")

        both.change(cluster=east)
        last = both.ready()
        (pod,) = both.pods()
        assert both.addresses() == [f"{pod['status']['podIP']}:8000"]

    assert [moment.to for moment in moments if moment.place == f"kubernetes: {east}: Deployment/{WORKSPACE}/chat/before"] == [
        {"lab"},
        {"lab"},
    ]
    assert [moment.to for moment in moments if moment.place == "ray: put/before"] == [{east}, {east}]
    assert [moment for moment in moments if len(moment.to) != 1] == [], "there is always one place to go"
    assert (last.exit_code, status_of(last).word) == (0, Health.READY)


# --- in one place -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    with opened(control_plane, tmp_path) as site:
        yield site


def test_another_number_restarts_nothing(site: Site) -> None:
    site.change(replicas=2)
    site.ready()
    before = pods_of(site)
    site.change(replicas=4)
    site.ready()
    grown = history(site, before)
    assert (len(grown.seen), grown.fewest_ready, grown.most) == (4, 2, 4)

    before = pods_of(site)
    site.change(replicas=1)
    site.ready()
    shrunk = history(site, before)
    assert shrunk.seen == {pod["metadata"]["uid"] for pod in before["items"]}
    assert len(site.addresses()) == 1


@pytest.mark.parametrize(
    ("rollout", "spec", "fewest", "most"),
    [
        ({"maxSurge": 2, "maxUnavailable": 0}, {"engine": {"args": {"ctx_size": 2048}}}, 3, 5),
        ({"maxSurge": 0, "maxUnavailable": 1}, {"model": {"name": "another"}}, 2, 3),
    ],
    ids=["the engine, with a surge", "the model, without"],
)
def test_another_engine_or_model_restarts_with_the_declared_surge(
    site: Site, rollout: Object, spec: Object, fewest: int, most: int
) -> None:
    site.change(replicas=3, rollout=rollout)
    site.ready()
    before = pods_of(site)
    site.change(**spec)
    report = site.plan()
    assert changes(report)["Deployment/chat"].effects.kind is ChangeClass.RESTART
    with watched(site) as moments:
        last = site.ready()

    counts = history(site, before)
    assert (counts.fewest_ready, counts.most, len(counts.seen)) == (fewest, most, 6)
    assert {moment.to for moment in moments} == {frozenset({site.cluster})}
    assert (last.exit_code, len(site.addresses())) == (0, 3)


def test_a_pause_is_route_drain_none_and_a_resume_is_replicas_then_route(site: Site) -> None:
    site.change_cluster(drainSeconds=DRAIN)
    site.change(replicas=2)
    site.ready()
    site.change(paused=True)
    mark = site.plane.audit_log.mark()
    with watched(site) as moments:
        site.apply()
    ended = at(moments, f"kubernetes: {site.cluster}: Deployment/{WORKSPACE}/chat/before")
    (patch,) = (entry for entry in site.plane.audited(mark) if entry.write and entry.resource == "deployments")
    assert ended.to == frozenset()
    assert ended.left is not None
    assert (patch.verb, time_of(patch) >= ended.left + DRAIN) == ("patch", True)
    assert site.live()["spec"]["replicas"] == 0
    assert site.is_there("Service")

    site.change(paused=None)
    with watched(site) as moments:
        last = site.ready()
    assert at(moments, f"kubernetes: {site.cluster}: Deployment/{WORKSPACE}/chat/after").to == frozenset()
    assert (status_of(last).ready, len(site.addresses())) == (2, 2)
