"""The number of replicas goes from the declaration to an autoscaler and back, and is never lost on the way.

Nobody measures here: the autoscaler is played through the subresource `scale`, as the controller of HorizontalPodAutoscalers writes it, and
KEDA's objects are only stored. A field that its only owner lets go of is 1 again, so the whole history of `spec.replicas` is looked at.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from reconciler.change import ChangeClass
from reconciler.resource import Health
from tests.kubernetes.kube_site import Object, Site, changes, done, opened, status_of, text_of, wait_until
from tests.kubernetes.pod_history import history, pods_of
from tests.kubernetes.raw_api import MERGE
from tests.kubernetes.test_groups import H100, SET, VLLM
from tools.controlplane import ControlPlane

HPA: Final = "HorizontalPodAutoscaler"
METRIC: Final[Object] = {"minReplicas": 1, "maxReplicas": 8, "metric": {"type": "concurrency", "target": 4}}
CLUSTERS: Final[dict[str, Object]] = {
    HPA: {"capabilities": ["metricsAdapter"]},
    "ScaledObject": {"capabilities": ["keda"], "kubernetes": {"prometheusUrl": "http://prometheus:9090"}},
}


@pytest.fixture(params=CLUSTERS)
def scaler(request: pytest.FixtureRequest) -> str:
    """The kind of the autoscaler's object."""
    kind: str = request.param
    return kind


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path, scaler: str) -> Iterator[Site]:
    with opened(control_plane, tmp_path, **CLUSTERS[scaler]) as site:
        yield site


@pytest.fixture
def by_hpa(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    with opened(control_plane, tmp_path, **CLUSTERS[HPA]) as site:
        yield site


def scale(site: Site, count: int, manager: str = "kube-controller-manager", kind: str = "Deployment", name: str = "chat") -> None:
    """What an autoscaler does."""
    site.api.request("PATCH", site.path(kind, name) + "/scale", {"spec": {"replicas": count}}, MERGE, fieldManager=manager)


class Numbers:
    """What `spec.replicas` of a workload has been since this was made, one after the other."""

    def __init__(self, site: Site, kind: str = "Deployment", name: str = "chat") -> None:
        self._name = name
        self._site, self._list = site, site.path(kind, name).rpartition("/")[0]
        self._version = site.api.request("GET", self._list)["metadata"]["resourceVersion"]

    def seen(self) -> list[int]:
        last = [
            one["spec"]["replicas"] for one in self._site.api.request("GET", self._list)["items"] if one["metadata"]["name"] == self._name
        ]
        for seconds in (1, 5, 20):  # a server that is starved ends a watch before it has sent everything
            path = f"{self._list}?watch=1&resourceVersion={self._version}&timeoutSeconds={seconds}"
            events = [json.loads(line)["object"] for line in self._site.plane.get(path).splitlines()]
            numbers = [one["spec"]["replicas"] for one in events if one["metadata"]["name"] == self._name]
            if numbers[-1:] == last or (not numbers and seconds > 1):
                break
        return [number for number, before in zip(numbers, [None, *numbers], strict=False) if number != before]


def test_an_autoscaler_takes_over_what_runs(site: Site, scaler: str) -> None:
    site.change(replicas=3)
    site.ready()
    pods, numbers = pods_of(site), Numbers(site)
    site.change(replicas=None, autoscaling=METRIC)
    planned = site.plan()
    assert changes(planned)["Deployment/chat"].effects.kind is ChangeClass.IN_PLACE
    assert "replicas 3 -> the autoscaler's" in text_of(planned)
    site.ready()

    assert site.is_there(scaler)
    assert numbers.seen() == [3]
    assert history(site, pods).fewest_ready == 3
    assert site.plan().plan.operations == ()
    assert site.writes(site.once) == []


@pytest.mark.parametrize("manager", ["kube-controller-manager", "keda-operator", "kubectl"])
@pytest.mark.parametrize("count", [3, 5], ids=["the same number", "another number"])
def test_the_number_of_an_autoscaler_is_no_drift(by_hpa: Site, manager: str, count: int) -> None:
    """Whoever writes it: where something scales, the number is not ours."""
    by_hpa.change(replicas=None, autoscaling=METRIC | {"initialReplicas": 3})
    by_hpa.ready()
    numbers = Numbers(by_hpa)
    scale(by_hpa, count, manager)
    last = by_hpa.ready()

    assert (last.plan.operations, last.notes, by_hpa.writes(by_hpa.once)) == ((), (), [])
    assert (status_of(last).desired, numbers.seen()) == (count, [count] if count != 3 else [])


def test_other_changes_leave_the_number_alone(site: Site) -> None:
    site.change(replicas=None, autoscaling=METRIC | {"initialReplicas": 2})
    site.ready()
    scale(site, 4)
    site.ready()
    numbers = Numbers(site)
    site.change(engine={"args": {"ctx_size": 2048}})
    assert "4 replicas restart" in text_of(site.plan())
    site.ready()
    site.change(autoscaling={"maxReplicas": 9, "initialReplicas": 3})  # of new ones: this one has begun
    site.ready()

    assert numbers.seen() == [4]
    assert len(site.addresses()) == 4


def test_a_new_one_begins_with_its_initial_number(site: Site, scaler: str) -> None:
    site.change(replicas=None, autoscaling=METRIC | {"minReplicas": 2, "initialReplicas": 4})
    site.ready()
    numbers = Numbers(site)
    assert len(site.addresses()) == 4
    assert site.is_there(scaler)
    assert site.writes(site.once) == []
    assert numbers.seen() == []


def test_without_an_initial_number_it_begins_with_the_fewest(by_hpa: Site) -> None:
    by_hpa.change(replicas=None, autoscaling=METRIC | {"minReplicas": 2})
    by_hpa.ready()
    assert len(by_hpa.addresses()) == 2


def test_a_pause_takes_the_autoscaler_away_and_a_resume_begins_anew(site: Site, scaler: str) -> None:
    """An autoscaler that is left would start what rests; and none ever starts from nothing."""
    site.change(replicas=None, autoscaling=METRIC | {"initialReplicas": 2})
    site.ready()
    scale(site, 4)
    site.ready()
    site.change(paused=True)
    numbers = Numbers(site)
    site.apply(lambda report: status_of(report).word is Health.PAUSED)
    site.gone(scaler)
    assert numbers.seen() == [0]
    assert site.writes(site.once) == []

    site.change(paused=None)
    assert changes(site.plan())["Deployment/chat"].effects.text == "was at rest, starts 2 replicas"
    last = site.ready()
    assert set(done(last)) >= {"Update Deployment/chat", f"Create {scaler}/chat"}
    assert numbers.seen() == [0, 2]
    assert len(site.addresses()) == 2
    assert site.writes(site.once) == []


def test_back_to_a_declared_number(site: Site, scaler: str) -> None:
    site.change(replicas=None, autoscaling=METRIC | {"initialReplicas": 2})
    site.ready()
    scale(site, 5)
    site.ready()
    pods, numbers = pods_of(site), Numbers(site)
    site.change(replicas=3, autoscaling=None)
    assert "replicas 5 -> 3" in text_of(site.plan())
    site.ready()

    site.gone(scaler)
    assert numbers.seen() == [3]
    assert history(site, pods).seen == {pod["metadata"]["uid"] for pod in pods["items"]}
    scale(site, 4, "kubectl")
    assert changes(site.plan())["Deployment/chat"].key in site.plan().plan.drifted


def test_another_autoscaler_follows_without_a_gap(site: Site, scaler: str) -> None:
    """The cluster has the other one now: one autoscaler goes, the other comes, the number stays."""
    (other,) = CLUSTERS.keys() - {scaler}
    site.change(replicas=None, autoscaling=METRIC | {"initialReplicas": 3})
    site.ready()
    numbers = Numbers(site)
    site.change_cluster(**CLUSTERS[other])
    last = site.ready()

    assert set(done(last)) == {f"Create {other}/chat", f"Delete {scaler}/chat"}
    assert numbers.seen() == []


def test_what_keda_put_to_rest_rests(control_plane: ControlPlane, tmp_path: Path) -> None:
    """None runs while nobody asks; its route stays, for a request may wake it."""
    with opened(control_plane, tmp_path, **CLUSTERS["ScaledObject"] | {"capabilities": ["keda", "activator"]}) as site:
        site.change(replicas=None, autoscaling=METRIC | {"minReplicas": 0, "initialReplicas": 2})
        site.ready()
        numbers = Numbers(site)
        scale(site, 0, "keda-operator")
        wait_until(lambda: site.pods() == [])
        found = site.until(Health.SCALED_DOWN, "Idle")
        assert (found.desired, found.routed) == (0, True)
        assert site.writes(site.once) == []
        scale(site, 1, "keda-operator")
        site.ready()
        assert numbers.seen() == [0, 1]


def test_the_number_of_groups_is_handed_over_too(control_plane: ControlPlane, tmp_path: Path) -> None:
    """Of a LeaderWorkerSet, whose number the server would make 1 as well."""
    cluster = CLUSTERS["ScaledObject"] | {"capabilities": ["keda", "lws"], "accelerators": [H100]}
    with opened(control_plane, tmp_path, **cluster) as site:
        site.change(**VLLM, parallelism={"nodes": 2, "pipeline": 2}, replicas=3)
        site.once()
        numbers = Numbers(site, "LeaderWorkerSet", SET)
        site.change(replicas=None, autoscaling=METRIC)
        site.once()
        assert site.is_there("ScaledObject")
        scale(site, 4, "keda-operator", "LeaderWorkerSet", SET)
        assert site.writes(site.once) == []
        assert numbers.seen() == [3, 4]
