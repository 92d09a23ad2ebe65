"""Pods that crash, cannot be pulled, find no room, hang or may not be made: the word, its reason and its message, through real passes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.main import main
from reconciler.resource import Health
from tests.kubernetes.kube_site import Object, Site, opened, status_of, wait_until
from tests.kubernetes.policies import env, lift_quota, modes, set_quota
from tools.controlplane import ControlPlane

TROUBLES: dict[str, Object] = {
    "crash": {"env": [env("crash")]},
    "pull": {"env": [env("pull")]},
    "stuck": {"env": [env("stuck")]},
    "late": {"env": [env("stuck")], "rollout": {"timeoutSeconds": 2}},
    "large": {"resources": {"cpu": 1000}},
}


@pytest.fixture(scope="module")
def troubled(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One endpoint for every kind of trouble."""
    with opened(control_plane, tmp_path_factory.mktemp("troubled")) as site:
        site.make_namespace()
        text = site.file("chat").read_text()
        site.file("chat").unlink()
        for name, spec in TROUBLES.items():
            site.file(name).write_text(text.replace("name: chat", f"name: {name}"))
            site.edit(site.file(name), **spec, model={"servedName": None})
        site.commit("trouble")
        with modes(site):
            site.once()
            yield site


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    with opened(control_plane, tmp_path) as site:
        site.make_namespace()
        yield site


def test_a_crash_is_an_error_by_its_true_reason(troubled: Site) -> None:
    found = troubled.until(Health.ERROR, "OOMKilled", "crash")
    assert (found.ready, found.desired, found.routed) == (0, 1, False)
    (replica,) = found.replicas
    assert replica.node.startswith("gpu-")
    assert found.message.startswith(f"exit code 137, 5 restarts on {replica.node}, container server: ")


def test_an_image_that_cannot_be_pulled(troubled: Site) -> None:
    found = troubled.until(Health.PENDING, "ImagePullBackOff", "pull")
    assert "image not found" in found.message


def test_no_node_has_room(troubled: Site) -> None:
    found = troubled.until(Health.PENDING, "Unschedulable", "large")
    assert found.message == "0/4 nodes are available: 4 Insufficient cpu"


def test_a_pod_that_hangs_is_starting_until_its_time_is_up(troubled: Site) -> None:
    assert troubled.until(Health.ERROR, "ProgressDeadlineExceeded", "late").ready == 0
    assert troubled.until(Health.STARTING, "Starting", "stuck").ready == 0


def test_a_quota_that_refuses_the_pods(site: Site) -> None:
    set_quota(site, pods="0")
    found = site.until(Health.ERROR, "FailedCreate")
    assert found.message == "exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0"
    lift_quota(site)
    site.ready()


def test_a_change_that_does_not_come_up_leaves_the_old_ones_serving(site: Site) -> None:
    with modes(site):
        site.ready()
        before = site.addresses()
        site.change(env=[env("stuck")])
        assert site.until(Health.UPDATING, "RollingUpdate").ready == 1
        site.change(env=[env("crash")])
        assert site.until(Health.DEGRADED, "OOMKilled").ready == 1
        site.change(env=[env("pull")], rollout={"timeoutSeconds": 2})  # an image may still come, until the time is up
        found = site.until(Health.DEGRADED, "ImagePullBackOff")
        assert (found.ready, found.routed) == (1, True)
        assert site.addresses() == before
        site.change(env=None, rollout={"timeoutSeconds": 120})
        site.ready()
        assert site.addresses() == before  # those that served are of the form that is declared again


def test_a_new_replica_waits_for_a_persons_approval(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.change(probes={"requireApproval": True})
    wait_until(lambda: [one.reason for one in status_of(site.once()).replicas] == ["RequireReadinessApproval"])
    found = status_of(site.once())
    assert found.word is Health.STARTING
    assert found.message.startswith("ready, and waits for a person's approval: reconciler approve team-a/chat")
    assert site.route() is None

    assert main(["approve", "team-a/chat", "--state", str(site.where.state)]) == 0
    (pod,) = site.pods()
    assert capsys.readouterr().out == f"{pod['metadata']['name']}  approved\n"
    site.ready()
    assert main(["approve", "team-a/chat", "--revoke", "--state", str(site.where.state)]) == 0
    site.until(Health.STARTING)
    assert site.addresses() != []  # the last known set stays: nobody else could answer either


def test_what_an_autoscaler_put_to_rest_is_scaled_down(control_plane: ControlPlane, tmp_path: Path) -> None:
    metric = {"minReplicas": 1, "maxReplicas": 5, "metric": {"type": "concurrency", "target": 4}}
    with opened(control_plane, tmp_path, capabilities=["metricsAdapter"]) as site:
        site.change(replicas=None, autoscaling=metric)
        site.ready()
        site.kubectl("scale", "deployment/chat", "--replicas=0")
        wait_until(lambda: site.pods() == [])
        found = site.until(Health.SCALED_DOWN, "Idle")
        assert (found.ready, found.desired) == (0, 0)


def test_what_left_the_repo_is_deleting_until_it_is_gone(control_plane: ControlPlane, tmp_path: Path) -> None:
    with opened(control_plane, tmp_path, ("chat", "embeddings"), drainSeconds=1) as site:
        site.ready()
        site.remove()
        assert (status_of(site.once()).word, status_of(site.plan()).reason) == (Health.DELETING, "Pruned")
        last = site.apply()
        assert [one.owner for one in last.statuses] == ["Endpoint/team-a/embeddings"]
