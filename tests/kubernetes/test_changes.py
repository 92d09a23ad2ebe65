"""Every class of change (serving-checklist 8): what the plan says that it does to the replicas, and what then becomes of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.change import ChangeClass, Create, Delete, Operation, Update
from reconciler.resource import Health
from tests.kubernetes.kube_site import Object, Site, changes, done, held, opened, status_of, text_of, told, wait_until
from tools.controlplane import ControlPlane


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    with opened(control_plane, tmp_path) as site:
        site.ready()
        yield site


def uids(site: Site) -> set[str]:
    return {pod["metadata"]["uid"] for pod in site.pods()}


def classes(site: Site) -> dict[str, ChangeClass]:
    return {name: change.effects.kind for name, change in changes(site.plan()).items()}


def paths(change: Operation) -> list[str]:
    assert isinstance(change, Update)
    return [field.path for field in change.fields]


IN_PLACE: dict[str, tuple[Object, str]] = {
    "protect": ({"protect": True}, "/mark/protect"),
    "rollout": ({"rollout": {"maxSurge": 2}}, "/spec/strategy/rollingUpdate/maxSurge"),
    "replicas": ({"replicas": 2}, "/spec/replicas"),
}
RESTARTS: dict[str, tuple[Object, str]] = {
    "engine arguments": ({"engine": {"args": {"ctx_size": 2048}}}, "/spec/template/spec/containers/0/command/"),
    "resources": ({"resources": {"memory": "1Gi"}}, "/spec/template/spec/containers/0/resources/"),
    "env": ({"env": [{"name": "LLAMA_LOG", "value": "1"}]}, "/spec/template/spec/containers/0/env/"),
    "probes": ({"probes": {"readiness": {"periodSeconds": 7}}}, "/spec/template/spec/containers/0/readinessProbe/periodSeconds"),
    "a volume": ({"volumes": [{"name": "data", "hostPath": "/srv/data", "mountPath": "/data"}]}, "/spec/template/spec/volumes/"),
    "restartedAt": ({"restartedAt": "2026-01-01"}, "/spec/template/metadata/annotations"),
    "spread": ({"placement": {"spread": "Required"}}, "/spec/template/spec/topologySpreadConstraints/0/whenUnsatisfiable"),
    "metrics by annotation": ({"observability": {"metrics": {"scrape": False}}}, "/spec/template/metadata/annotations"),
}


@pytest.fixture(scope="module")
def still(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that serves, for plans only: each test takes its commit back."""
    with opened(control_plane, tmp_path_factory.mktemp("still")) as site:
        site.ready()
        yield site


@pytest.fixture
def planned(still: Site) -> Iterator[Site]:
    before = still.file("chat").read_text()
    yield still
    still.file("chat").write_text(before)
    still.commit("back")


@pytest.mark.parametrize("what", IN_PLACE)
def test_in_place(planned: Site, what: str) -> None:
    spec, path = IN_PLACE[what]
    planned.change(**spec)
    change = changes(planned.plan())["Deployment/chat"]

    assert (change.effects.kind, change.effects.restarts, change.effects.downtime) == (ChangeClass.IN_PLACE, 0, False)
    assert paths(change) == [path]


@pytest.mark.parametrize("what", RESTARTS)
def test_a_restart_new_ones_first(planned: Site, what: str) -> None:
    spec, path = RESTARTS[what]
    planned.change(**spec)
    report = planned.plan()
    change = changes(report)["Deployment/chat"]

    assert (change.effects.kind, change.effects.text) == (ChangeClass.RESTART, "1 replica restarts, new ones first")
    assert (change.effects.restarts, change.effects.downtime) == (1, False)
    assert any(found.startswith(path) for found in paths(change)), paths(change)
    assert "service stops meanwhile" not in text_of(report)


def test_what_is_for_people_only_changes_nothing(planned: Site) -> None:
    planned.change(description="A model that chats")
    report = planned.plan()
    assert (report.exit_code, report.plan.operations) == (0, ())


def test_a_restart_without_a_surge_says_that_service_stops(planned: Site) -> None:
    planned.change(rollout={"strategy": "Recreate"})
    assert classes(planned) == {"Deployment/chat": ChangeClass.IN_PLACE}
    planned.change(rollout={"strategy": "Recreate"}, restartedAt="now")
    report = planned.plan()

    assert changes(report)["Deployment/chat"].effects.downtime
    assert "1 replica restarts, nothing answers until new ones are up; service stops meanwhile" in text_of(report)


def test_a_longer_request_needs_a_longer_goodbye(planned: Site) -> None:
    planned.change(routing={"timeoutSeconds": 90})
    found = classes(planned)
    assert found == {"Deployment/chat": ChangeClass.RESTART, "Route/chat": ChangeClass.TRAFFIC}


def test_how_the_gateway_chooses_is_no_business_of_the_cluster(planned: Site) -> None:
    planned.change(routing={"strategy": "least-request"})
    assert set(classes(planned)) == {"Route/chat"}
    assert planned.writes(planned.plan) == []


def test_an_engine_that_is_edited_restarts_what_renders_differently(planned: Site) -> None:
    place = planned.repo / "engines" / "llama.cpp.yaml"
    before = place.read_text()
    place.write_text(before.replace("llama.cpp:server-b11549", "llama.cpp:server-b11550"))
    planned.commit("another image")
    assert classes(planned) == {"Deployment/chat": ChangeClass.RESTART}
    place.write_text(before)


def test_more_replicas_are_added_to_those_that_run(site: Site) -> None:
    before = uids(site)
    site.change(replicas=3)
    last = site.ready()

    assert set(done(last)) == {"Update Deployment/chat", "Create PodDisruptionBudget/chat"}
    assert len(uids(site)) == 3
    assert before < uids(site)
    assert len(site.addresses()) == 3
    site.change(replicas=1)
    site.ready()
    site.gone("PodDisruptionBudget")
    assert len(site.addresses()) == 1


def test_a_rolling_restart_keeps_the_route_and_brings_the_new_address(site: Site) -> None:
    before = uids(site)
    site.change(engine={"args": {"ctx_size": 2048}})
    site.ready()

    (pod,) = site.pods()
    assert pod["metadata"]["uid"] not in before
    assert "2048" in pod["spec"]["containers"][0]["command"]
    assert site.addresses() == [f"{pod['status']['podIP']}:8000"]


def test_recreate_stops_first_and_the_route_stays(site: Site) -> None:
    site.change(rollout={"strategy": "Recreate"})
    assert told(site.writes(site.ready)) == ["patch deployments"]
    assert site.live()["spec"]["strategy"] == {"type": "Recreate"}
    site.change(restartedAt="now")
    site.ready()

    assert site.route() is not None
    assert len(site.addresses()) == 1


def test_a_pause_takes_traffic_off_first_and_keeps_everything_but_the_replicas(site: Site) -> None:
    site.change(replicas=2)
    site.ready()
    site.change(paused=True)
    planned = site.plan()
    pause = held(planned)["Deployment/chat"].change
    assert pause is not None
    assert (pause.effects.kind, pause.effects.text) == (ChangeClass.PAUSE, "2 replicas stop; all else stays")
    last = site.apply(lambda report: status_of(report).word is Health.PAUSED)

    assert last.exit_code == 0
    wait_until(lambda: site.pods() == [])
    assert site.live()["spec"]["replicas"] == 0
    assert all(site.is_there(kind) for kind in ("Service", "ServiceAccount", "NetworkPolicy"))
    assert not site.is_there("PodDisruptionBudget")
    assert site.addresses() == []
    assert site.writes(site.once) == []

    site.change(paused=None)
    assert classes(site)["Deployment/chat"] is ChangeClass.RESUME
    site.ready()
    assert len(site.addresses()) == 2


METRIC: Any = {"minReplicas": 1, "maxReplicas": 5, "metric": {"type": "concurrency", "target": 4}}


def test_an_autoscaler_takes_the_number_over_without_losing_a_replica(site: Site) -> None:
    """A field that its only owner lets go of falls back to 1: it is handed over first."""
    site.change_cluster(capabilities=["metricsAdapter"])
    site.change(replicas=3)
    site.ready()
    before = uids(site)
    site.change(replicas=None, autoscaling=METRIC)
    last = site.ready()

    assert set(done(last)) == {"Update Deployment/chat", "Create HorizontalPodAutoscaler/chat"}
    assert uids(site) == before
    assert "f:replicas" not in str(ours(site.live()))
    site.change(autoscaling=METRIC | {"maxReplicas": 6})
    assert classes(site) == {"HorizontalPodAutoscaler/chat": ChangeClass.IN_PLACE}
    site.kubectl("scale", "deployment/chat", "--replicas=4")
    assert classes(site) == {"HorizontalPodAutoscaler/chat": ChangeClass.IN_PLACE}  # the number is the autoscaler's

    site.change(autoscaling=None, replicas=2)
    site.ready()
    wait_until(lambda: len(site.pods()) == 2)
    site.gone("HorizontalPodAutoscaler")


def ours(live: Object) -> Object:
    entries = live["metadata"]["managedFields"]
    (found,) = (entry for entry in entries if entry["manager"] == "reconciler" and entry["operation"] == "Apply")
    fields: Object = found["fieldsV1"]
    return fields


def test_an_autoscaled_endpoint_begins_with_its_initial_number(control_plane: ControlPlane, tmp_path: Path) -> None:
    with opened(control_plane, tmp_path, capabilities=["metricsAdapter"]) as site:
        site.change(replicas=None, autoscaling=METRIC | {"initialReplicas": 3})
        site.ready()
        assert len(site.pods()) == 3
        assert site.writes(site.once) == []


def test_a_pod_monitor_comes_and_goes_in_place(control_plane: ControlPlane, tmp_path: Path) -> None:
    with opened(control_plane, tmp_path, capabilities=["prometheusOperator"]) as site:
        site.ready()
        before = uids(site)
        assert site.is_there("PodMonitor")
        site.change(observability={"metrics": {"scrape": False}})
        (change,) = changes(site.plan()).values()
        assert isinstance(change, Delete)
        assert change.effects.kind is ChangeClass.IN_PLACE
        site.apply()
        site.gone("PodMonitor")
        assert uids(site) == before


def test_another_name_is_another_endpoint(control_plane: ControlPlane, tmp_path: Path) -> None:
    with opened(control_plane, tmp_path, ("chat", "embeddings")) as site:
        site.ready()
        text = site.file("chat").read_text().replace("name: chat", "name: talk")
        site.file("chat").unlink()
        site.file("talk").write_text(text)
        site.commit("a better name")
        report = site.plan()
        assert isinstance(changes(report)["Deployment/talk"], Create)
        assert isinstance(changes(report)["Route/chat"], Delete)
        site.ready("talk")
        site.apply()
        site.gone("Deployment", "chat")
        assert site.addresses("talk")
