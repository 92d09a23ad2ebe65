"""What the cluster refuses, rewrites or holds back: told by its reason, never fought, and nothing is deleted for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from reconciler.errors import Problem
from reconciler.report.model import Report
from reconciler.resource import Health
from tests.kubernetes.kube_site import Site, changes, done, failures, held, opened, status_of, text_of, told, wait_until
from tests.kubernetes.policies import lift_quota, refusing, rewriting, set_quota
from tests.kubernetes.raw_api import Refused
from tools.controlplane import ControlPlane


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    with opened(control_plane, tmp_path) as site:
        site.make_namespace()
        yield site


def why(report: Report, name: str) -> Problem:
    problem = failures(report)[name].problem
    assert problem is not None
    return problem


def try_deployment(site: Site, **spec: object) -> Callable[[], object]:
    """Would the server take such a Deployment? A dry run, which no policy counts as done."""
    labels = {"app": "probe"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "example.org/a:1"}]}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "probe"},
        "spec": {"selector": {"matchLabels": labels}, "template": pod, "revisionHistoryLimit": 2, **spec},
    }
    path = site.path("Deployment", "").rstrip("/")
    return lambda: site.api.request("POST", path, body, dryRun="All")


def test_a_quota_that_refuses_an_object(site: Site) -> None:
    set_quota(site, services="0")
    report = site.once()

    assert report.exit_code == 1
    problem = why(report, "Create Service/chat")
    assert (problem.code, problem.todo) == ("KUBE12", "raise the ResourceQuota, or ask for less")
    assert "exceeded quota: small, requested: services=1, used: services=0, limited: services=0" in problem.why
    assert "Create Deployment/chat" in done(report)
    lift_quota(site)
    assert site.ready().exit_code == 0


def test_a_policy_that_refuses_is_told_in_its_own_words(site: Site) -> None:
    message = "a team has one replica"
    with refusing(site, "deployments", "object.spec.replicas < 2", message, try_deployment(site, replicas=2)):
        site.ready()
        site.change(replicas=2)
        report = site.once()
        problem = why(report, "Update Deployment/chat")
        assert (report.exit_code, problem.code) == (1, "KUBE11")
        assert message in problem.why
        assert message in text_of(report)
        assert (status_of(report).word, site.live()["spec"]["replicas"]) == (Health.READY, 1)
        assert site.addresses()
    wait_until(lambda: "Update Deployment/chat" in done(site.once()))


def test_while_a_write_fails_nothing_of_its_endpoint_is_deleted(site: Site) -> None:
    site.change(replicas=2)
    site.ready()
    message = "frozen"
    with refusing(site, "deployments", "object.spec.replicas == 2", message, try_deployment(site, replicas=1)):
        site.change(replicas=1)
        report = site.once()
        assert message in why(report, "Update Deployment/chat").why
        assert failures(report)["Delete PodDisruptionBudget/chat"].message == "not deleted: another write for it failed in this pass"
        assert site.is_there("PodDisruptionBudget")


HISTORY = "[JSONPatch{op: 'replace', path: '/spec/revisionHistoryLimit', value: 7}]"


def test_a_policy_that_rewrites_a_field_of_ours_is_told_and_not_fought(site: Site) -> None:
    probe = try_deployment(site)
    with rewriting(site, "deployments", HISTORY, lambda: probe()["spec"]["revisionHistoryLimit"] == 7):
        site.ready()
        assert site.live()["spec"]["revisionHistoryLimit"] == 7
        second = site.once()
        assert (second.exit_code, second.plan.operations) == (0, ())
        (note,) = second.notes
        assert note.startswith(
            f"{site.cluster}: Deployment/team-a/chat: something in the cluster (an admission webhook or policy) rewrites"
        )
        third = site.requests(site.once)
        assert {entry.verb for entry in third} == {"list"}  # remembered: not even a dry run

        site.change(replicas=2)
        assert told(site.writes(site.ready))[:2] == ["patch configmaps", "patch deployments"]
        assert site.once().notes == (note,)
        assert site.writes(site.once) == []
    wait_until(lambda: probe()["spec"]["revisionHistoryLimit"] == 2)


INJECTED = "[JSONPatch{op: 'add', path: '/spec/template/metadata/labels/injected', value: 'yes'}]"


def test_what_a_policy_adds_is_nobodys_business(site: Site) -> None:
    probe = try_deployment(site)
    with rewriting(site, "deployments", INJECTED, lambda: "injected" in probe()["spec"]["template"]["metadata"]["labels"]):
        site.ready()
        assert site.live()["spec"]["template"]["metadata"]["labels"]["injected"] == "yes"
        quiet = site.once()
        assert (quiet.plan.operations, quiet.notes) == ((), ())
        assert site.writes(site.once) == []
        site.change(replicas=2)
        site.ready()
        assert site.writes(site.once) == []


def test_a_kind_that_the_cluster_lacks_blocks_only_whoever_needs_it(
    start_control_plane: Callable[..., ControlPlane], tmp_path: Path
) -> None:
    plane = start_control_plane("api", custom_kinds=False)
    capabilities = ["prometheusOperator", "keda", "lws"]
    with opened(plane, tmp_path, ("chat", "embeddings"), capabilities=capabilities) as site:
        site.change("embeddings", observability={"metrics": {"scrape": False}})
        report = site.once()

        assert report.exit_code == 1
        problem = next(one for one in report.problems if one.owner == "Endpoint/team-a/chat")
        assert (problem.code, problem.what) == ("KUBE10", "the cluster has no PodMonitor")
        assert problem.todo == "install it, or take prometheusOperator out of the cluster's capabilities"
        assert problem.where.startswith("workspaces/team-a/endpoints/chat.yaml")
        assert site.is_there("Deployment", "embeddings")
        assert not site.is_there("Deployment", "chat")
        site.change_cluster(capabilities=[])
        assert "Create Deployment/chat" in done(site.once())


@contextmanager
def held_back(site: Site, kind: str, name: str) -> Iterator[None]:
    """A finalizer of somebody's controller, which lets go at the end."""
    site.patch({"metadata": {"finalizers": ["example.org/slow"]}}, kind, name)
    try:
        yield
    finally:
        site.patch({"metadata": {"finalizers": None}}, kind, name)


def let_go(site: Site, path: str) -> bool:
    """Of a namespace; False where its controller wrote meanwhile."""
    try:
        site.api.request("PUT", f"{path}/finalize", {**site.api.request("GET", path), "spec": {"finalizers": []}})
    except Refused as refused:
        return refused.status == 404
    return True


def test_what_is_declared_in_a_namespace_that_is_being_deleted_waits_and_comes_back(site: Site) -> None:
    """Somebody deletes all of it, and something there is slow to go. Nothing fails meanwhile."""
    site.ready()
    path = f"/api/v1/namespaces/{site.namespace}"
    slow = {"metadata": {"name": "slow", "finalizers": ["example.org/slow"]}}
    site.api.request("POST", f"{path}/configmaps", slow)
    with held_back(site, "ConfigMap", "slow"):
        site.api.request("DELETE", path)
        for kind in ("Deployment", "Service", "ServiceAccount", "NetworkPolicy"):  # as its controller does 5 s later
            with suppress(Refused):  # it was quicker
                site.delete(kind)
            site.gone(kind)
        report = site.once()
        assert failures(report) == {}
        assert report.exit_code == 2
        told = f"waits until Namespace {site.namespace}, which is being deleted, is gone"
        assert {name: held(report)[name].text for name in ("Deployment/chat", "ServiceAccount/chat")} == {
            "Deployment/chat": told,
            "ServiceAccount/chat": told,
        }
        assert site.addresses()  # nobody knows better
    wait_until(lambda: let_go(site, path))  # its controller takes 8 s
    site.gone("Namespace", site.namespace)
    site.ready()
    assert site.find("Namespace", site.namespace)


def test_an_object_that_somebody_deletes_and_a_finalizer_keeps(site: Site) -> None:
    site.ready()
    with held_back(site, "Service", "chat"):
        site.delete("Service")
        reports: list[Report] = []
        assert site.writes(lambda: reports.append(site.once())) == []
        (report,) = reports
        assert report.exit_code == 2
        assert held(report)["Service/chat"].text == "waits until the one that is being deleted is gone"
        assert f"{site.cluster}: Service/team-a/chat is being deleted by the cluster" in report.notes
    site.gone("Service")
    assert set(changes(site.plan())) == {"Service/chat"}
    site.ready()
    assert site.is_there("Service")


def test_an_object_of_ours_that_a_finalizer_keeps_is_deleted_once(control_plane: ControlPlane, tmp_path: Path) -> None:
    with opened(control_plane, tmp_path, ("chat", "embeddings")) as site:
        site.ready()
        site.remove()
        with held_back(site, "Service", "chat"):
            site.apply()
            assert site.is_there("Service")
            assert site.writes(site.once) == []
        site.gone("Service")
        assert site.once().exit_code == 0
