"""What is deleted, and what never is: namespaces and claims unless somebody asks, what is protected, and whatever was not written by us."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.change import Delete, Reason
from reconciler.report.model import Report
from tests.kubernetes.kube_site import PATIENCE, PAUSE, Object, Site, changes, done, failures, held, opened, text_of
from tools.controlplane import ControlPlane

PRUNE = "reconciler.dev/prune"
CLAIM = "model-cache-models"
CACHE = {"name": "models", "pvc": {"size": "1Gi"}}


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    """Two endpoints that serve, so that one may go."""
    with opened(control_plane, tmp_path, ("chat", "embeddings")) as site:
        yield site


def annotate(site: Site, kind: str, name: str, annotation: str, value: str) -> None:
    site.patch({"metadata": {"annotations": {annotation: value}}}, kind, name)


def second_team(site: Site) -> str:
    """`embeddings` in a workspace of its own; returns its namespace."""
    site.declare("workspaces/team-b/workspace.yaml", "Workspace", "team-b", {})
    place = site.file("embeddings", "team-b")
    place.parent.mkdir()
    place.write_text(site.file("embeddings").read_text().replace("workspace: team-a", "workspace: team-b"))
    site.remove("embeddings")
    return site.namespace_of("team-b")


def test_the_last_endpoint_of_a_workspace_leaves_its_namespace_and_that_is_told(site: Site) -> None:
    namespace = second_team(site)
    site.ready()
    site.file("embeddings", "team-b").unlink()
    site.commit("the team leaves")
    last = site.apply()

    assert last.exit_code == 0
    name = f"{site.cluster}: Namespace/team-b/{namespace}"
    assert f"Note: {name} is not declared any more and stays: annotate it {PRUNE}=enabled to have it deleted" in text_of(last)
    assert site.find("Namespace", namespace)
    assert site.writes(site.once) == []


def test_a_namespace_goes_when_it_is_asked_for_and_the_right_is_given(site: Site) -> None:
    """The rights that we come with have no delete of namespaces: whoever wants that gives it."""
    namespace = second_team(site)
    site.ready()
    site.file("embeddings", "team-b").unlink()
    site.commit("the team leaves")
    annotate(site, "Namespace", namespace, PRUNE, "enabled")
    refused = site.apply(lambda report: report.exit_code == 1)

    problem = failures(refused)[f"Delete Namespace/{namespace}"].problem
    assert problem is not None
    assert problem.code == "KUBE3"
    assert '{apiGroups: [""], resources: ["namespaces"], verbs: ["delete"]}' in problem.todo
    with allowed_to_delete_namespaces(site):
        last = site.apply(lambda report: not failures(report))
        assert f"Delete Namespace/{namespace}" in done(last)
        found = site.find("Namespace", namespace)
        assert found is None or found["metadata"]["deletionTimestamp"]


@contextmanager
def allowed_to_delete_namespaces(site: Site) -> Iterator[None]:
    name, group = f"namespaces-{site.id}", "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["delete"]}
    role = {"apiGroup": group, "kind": "ClusterRole", "name": name}
    who = {"apiGroup": group, "kind": "User", "name": "reconciler"}
    roles, bindings = (f"/apis/{group}/v1/{plural}" for plural in ("clusterroles", "clusterrolebindings"))
    site.api.request("POST", roles, {"metadata": {"name": name}, "rules": [rule]})
    site.api.request("POST", bindings, {"metadata": {"name": name}, "roleRef": role, "subjects": [who]})
    try:
        yield
    finally:
        for path in (roles, bindings):
            site.api.request("DELETE", f"{path}/{name}")


def test_a_claim_stays_with_its_models_until_somebody_asks(control_plane: ControlPlane, tmp_path: Path) -> None:
    with opened(control_plane, tmp_path, modelCaches=[CACHE]) as site:
        site.once()
        site.change_cluster(modelCaches=[{"name": "models", "hostPath": "/srv/models"}])
        left = site.once()
        assert f"PersistentVolumeClaim/team-a/{CLAIM} is not declared any more and stays" in " ".join(left.notes)
        assert site.is_there("PersistentVolumeClaim", CLAIM)

        annotate(site, "PersistentVolumeClaim", CLAIM, PRUNE, "enabled")
        assert f"Delete PersistentVolumeClaim/{CLAIM}" in done(site.once())
        unused(site)
        site.gone("PersistentVolumeClaim", CLAIM)


@pytest.fixture
def asked(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    """An endpoint with its cache and namespace, which may go when nobody declares them any more; another team keeps its own."""
    with opened(control_plane, tmp_path, ("chat", "embeddings"), modelCaches=[CACHE]) as site:
        second_team(site)
        site.once()
        annotate(site, "Namespace", site.namespace, PRUNE, "enabled")
        annotate(site, "PersistentVolumeClaim", CLAIM, PRUNE, "enabled")
        yield site


def endings(report: Report) -> set[str]:
    """What the plan would delete now."""
    return {name for name, change in changes(report).items() if isinstance(change, Delete)}


def test_what_a_blocked_endpoint_stands_on_stays_although_it_may_go(asked: Site) -> None:
    asked.change(replicas=-1)
    report = asked.once()

    assert report.exit_code == 1
    assert endings(report) == set()
    told = f"{CLAIM} is not declared any more: it goes, as its annotation {PRUNE} asks, when nothing of ours needs it"
    assert told in " ".join(report.notes)
    assert "deletionTimestamp" not in asked.live("PersistentVolumeClaim", CLAIM)["metadata"]


def test_what_a_protected_endpoint_stands_on_stays_although_it_may_go(asked: Site) -> None:
    asked.change(protect=True)
    asked.once()
    asked.remove()
    report = asked.once()

    assert report.exit_code == 3
    assert endings(report) == set()
    assert "deletionTimestamp" not in asked.live("PersistentVolumeClaim", CLAIM)["metadata"]


def test_the_workload_goes_before_its_claim_and_both_before_their_namespace(asked: Site) -> None:
    asked.remove()
    order: list[str] = []
    deadline = time.monotonic() + PATIENCE
    with allowed_to_delete_namespaces(asked):
        for report in asked.passes("apply", write=True):
            order += sorted(endings(report) - set(order))
            if f"PersistentVolumeClaim/{CLAIM}" in endings(report):
                unused(asked)
            if f"Namespace/{asked.namespace}" in order:
                break
            assert time.monotonic() < deadline, (order, report.notes)
            time.sleep(PAUSE)

    assert order[0] == "Deployment/chat"
    assert order[-2:] == [f"PersistentVolumeClaim/{CLAIM}", f"Namespace/{asked.namespace}"]


def unused(site: Site) -> None:
    """The controller that protects claims in use does not run here: no pod uses it any more."""
    site.patch({"metadata": {"finalizers": None}}, "PersistentVolumeClaim", CLAIM)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(PRUNE, "disabled"), ("helm.sh/resource-policy", "keep"), ("argocd.argoproj.io/sync-options", "Validate=false,Prune=false")],
)
def test_an_annotation_keeps_a_workload_and_all_that_it_stands_on(site: Site, annotation: str, value: str) -> None:
    site.ready()
    annotate(site, "Deployment", "chat", annotation, value)
    site.remove()
    last = site.apply()

    assert last.exit_code == 3
    kept = {name: one for name, one in held(last).items() if name.endswith("/chat")}
    assert {one.reason for one in kept.values()} == {Reason.PROTECTED}
    assert kept["Deployment/chat"].text == f"its annotation {annotation}={value} says to keep it"
    assert set(kept) == {"Deployment/chat", "Service/chat", "ServiceAccount/chat", "NetworkPolicy/chat"}
    assert all(site.is_there(*name.split("/")) for name in kept)
    assert len(site.pods()) == 1


def test_a_protected_endpoint_stays_when_its_declaration_is_gone(site: Site) -> None:
    site.change(protect=True)
    site.ready()
    assert site.live()["metadata"]["annotations"]["reconciler.dev/protect"] == "true"
    site.remove()
    last = site.apply()

    assert last.exit_code == 3
    assert {one.reason for one in held(last).values()} == {Reason.PROTECTED}
    assert "[E18]" in held(last)["Deployment/chat"].text
    assert site.is_there()
    assert site.addresses()


def test_a_copy_with_our_labels_in_another_namespace_is_kept(site: Site) -> None:
    """It is in no declaration and carries our mark; it was never written by us."""
    site.ready()
    copy = site.live("Service")
    other = site.namespace_of("other")
    site.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": other}})
    metadata = {name: copy["metadata"][name] for name in ("name", "labels", "annotations")}
    spec = {name: value for name, value in copy["spec"].items() if not name.startswith("clusterIP")}
    site.api.request("POST", f"/api/v1/namespaces/{other}/services", {"metadata": metadata, "spec": spec}, fieldManager="velero")

    report = site.once()
    assert report.exit_code == 3
    assert held(report)["Service/chat"].text == (
        "it carries our labels and was never written by us (a copy, or restored from a backup): delete it by hand"
    )
    assert site.api.request("GET", f"/api/v1/namespaces/{other}/services/chat")


def test_what_another_object_owns_is_kept_although_it_was_written_by_us(site: Site) -> None:
    site.ready()
    owner = {"apiVersion": "example.org/v1", "kind": "Fleet", "name": "llm", "uid": "9c1e", "controller": True}
    site.patch({"metadata": {"ownerReferences": [owner]}}, "NetworkPolicy", "chat")
    site.remove()
    last = site.apply()

    assert last.exit_code == 3
    assert list(held(last)) == ["NetworkPolicy/chat"]
    assert held(last)["NetworkPolicy/chat"].text == "Fleet llm owns it, although it carries our labels"
    site.gone("Deployment")


def test_what_lost_the_label_of_the_set_is_nobodys_business_any_more(site: Site) -> None:
    """Somebody took it out of the set, and its declaration is gone: then it is not ours to delete."""
    site.ready()
    site.patch({"metadata": {"labels": {"applyset.kubernetes.io/part-of": None}}}, "NetworkPolicy", "chat")
    site.remove()
    last = site.apply()

    assert (last.exit_code, "Delete NetworkPolicy/chat" in done(last)) == (0, False)
    assert site.is_there("NetworkPolicy")


def test_an_object_that_was_remade_since_the_plan_is_not_deleted(site: Site) -> None:
    site.ready()
    site.remove()
    site.once()
    with site.just_before("Service", lambda: remake(site)):
        last = site.once()

    assert failures(last)["Delete Service/chat"].message == "changed since planned"
    assert last.exit_code == 1
    assert site.is_there("Service")


def remake(site: Site) -> None:
    old = site.live("Service")
    site.delete("Service")
    site.gone("Service")
    made: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "chat"}, "spec": {"ports": old["spec"]["ports"]}}
    site.put("Service", made)


def test_two_clusters_of_one_repo_that_are_one_server_leave_each_other_alone(site: Site) -> None:
    """Each has a set of its own, and namespaces of its own."""
    twin = f"twin-{site.id}"
    reached = {"kubeconfigRef": {"name": site.cluster}, "namespacePrefix": site.namespace_of("twin-")}
    cache = [{"name": "models", "hostPath": "/srv/models"}]
    site.declare("clusters/twin.yaml", "Cluster", twin, {"type": "kubernetes", "kubernetes": reached, "modelCaches": cache})
    site.edit(site.repo / "gateways" / "public.yaml", clusters=[site.cluster, twin])
    site.edit(site.file("embeddings"), cluster=twin)
    site.commit("one server, twice")
    site.ready()
    quiet = site.once()

    assert (quiet.exit_code, quiet.notes, quiet.plan.operations) == (0, (), ())
    annotate(site, "Namespace", site.namespace, PRUNE, "enabled")
    assert not [change for change in changes(site.plan()).values() if isinstance(change, Delete)]
