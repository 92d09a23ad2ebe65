"""What others hold is never touched: a wanted name that is taken, and what somebody does between the plan and the write."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.change import ChangeClass, Create, Delete, Reason, Replace
from reconciler.resource import Health
from reconciler.targets.kubernetes.inventory import PART_OF
from tests.kubernetes.kube_site import Object, Site, changes, done, failures, held, opened, status_of, text_of
from tools.controlplane import ControlPlane


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    with opened(control_plane, tmp_path) as site:
        yield site


def service(**metadata: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "chat", **metadata},
        "spec": {"ports": [{"name": "web", "port": 80}], "selector": {"app": "chat"}},
    }


def deployment(**metadata: Object) -> Object:
    pod = {"metadata": {"labels": {"app": "chat"}}, "spec": {"containers": [{"name": "web", "image": "example.org/web:1"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "chat"}}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "chat", **metadata}, "spec": spec}


OTHERS = {
    "nobody's": ({}, "held by somebody who is not us"),
    "Helm's": ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "held by somebody who is not us"),
    "another instance's": (
        {
            "labels": {
                "app.kubernetes.io/managed-by": "reconciler",
                "reconciler.dev/instance": "staging",
                "reconciler.dev/owner-kind": "Endpoint",
                "reconciler.dev/owner-workspace": "team-a",
                "reconciler.dev/owner-name": "chat",
            },
            "annotations": {"reconciler.dev/repo": "f" * 40},
        },
        "held by instance 'staging' of the repo ffffffffffff",
    ),
}


@pytest.mark.parametrize("whose", OTHERS)
@pytest.mark.parametrize("kind", ["Deployment", "Service"])
def test_a_wanted_name_that_others_hold(site: Site, kind: str, whose: str) -> None:
    metadata, text = OTHERS[whose]
    site.make_namespace()
    site.put(kind, {"Deployment": deployment, "Service": service}[kind](**metadata))
    before = site.live(kind)
    report = site.once()

    assert report.exit_code == 1
    assert held(report)[f"{kind}/chat"].reason is Reason.CONFLICT
    told = held(report)[f"{kind}/chat"].text
    by = "managed by Helm, last written by somebody at 20" if whose == "Helm's" else "last written by somebody at 20"
    assert told.startswith(f"{text} ({kind} chat in namespace {site.namespace}, {by}")
    assert told.endswith("Z): not touched. Rename the endpoint, or remove what is there by hand")
    after = site.live(kind)
    assert (after["spec"], after["metadata"].get("labels")) == (before["spec"], before["metadata"].get("labels"))
    assert "reconciler" not in [entry["manager"] for entry in after["metadata"]["managedFields"]]
    site.delete(kind)
    site.gone(kind)
    assert site.ready().exit_code == 0


def test_a_namespace_that_somebody_made_is_used_and_stays_theirs(site: Site) -> None:
    site.make_namespace()
    assert f"Namespace/{site.namespace}" not in changes(site.plan())
    site.ready()
    found = site.find("Namespace", site.namespace)
    assert found is not None
    assert "reconciler.dev/instance" not in found["metadata"]["labels"]


def test_a_name_that_is_taken_between_plan_and_write(site: Site) -> None:
    site.make_namespace()
    with site.just_before("Service", lambda: site.put("Service", service())):
        report = site.once()

    assert failures(report)["Create Service/chat"].message == "changed since planned"
    assert report.exit_code == 1
    assert site.live("Service")["spec"]["selector"] == {"app": "chat"}
    assert held(site.once())["Service/chat"].reason is Reason.CONFLICT


def test_what_is_deleted_between_plan_and_write_is_not_made_again_behind_the_plans_back(site: Site) -> None:
    site.ready()
    site.change(replicas=2)
    with site.just_before("Deployment", lambda: (site.delete("Deployment"), site.gone("Deployment"))):
        report = site.once()

    assert failures(report)["Update Deployment/chat"].message == "changed since planned"
    assert report.exit_code == 1
    assert not site.is_there("Deployment")
    assert isinstance(changes(site.plan())["Deployment/chat"], Create)
    site.ready()
    assert site.live()["spec"]["replicas"] == 2


def test_what_is_edited_between_plan_and_write_is_planned_again(site: Site) -> None:
    site.ready()
    site.change(replicas=2)
    with site.just_before("Deployment", lambda: site.patch({"spec": {"replicas": 7}})):
        report = site.once()
    assert failures(report)["Update Deployment/chat"].message == "changed since planned"
    assert site.live()["spec"]["replicas"] == 7
    site.ready()
    assert site.live()["spec"]["replicas"] == 2


def test_a_status_that_moves_between_plan_and_write_is_no_reason_to_stop(site: Site) -> None:
    """Controllers write all the time; of what we have an opinion on, nothing is new."""
    site.ready()
    site.change(replicas=2)

    def controller() -> None:
        patch = {"status": {"conditions": [{"type": "Seen", "status": "True", "reason": "Test", "message": ""}]}}
        site.api.request("PATCH", site.path("Deployment") + "/status", patch, "application/merge-patch+json")

    with site.just_before("Deployment", controller):
        report = site.once()
    assert "Update Deployment/chat" in done(report)


def test_two_writers_of_one_set_exclude_each_other(site: Site) -> None:
    """A second box with its own state folder: who comes second finds the parent moved, and writes nothing."""
    path = f"/api/v1/namespaces/reconciler-system/configmaps/reconciler-default.{site.cluster}"
    metadata = {"name": f"reconciler-default.{site.cluster}", "labels": {"reconciler.dev/instance": "default"}}
    parent = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

    def other_box() -> None:
        site.api.request("PATCH", path, parent, "application/apply-patch+yaml", fieldManager="reconciler-applyset", force="true")

    with site.at("kubernetes: ApplySet/before", other_box):
        report = site.once()
    assert report.exit_code == 1
    assert not [name for name in done(report) if "Route" not in name]
    assert not site.find("Namespace", site.namespace)


def made_again(site: Site, kind: str, **spec: Object) -> None:
    """Somebody deletes it and makes it again under our name: the only way to another value of a field that cannot change."""
    live = site.live(kind)
    metadata = {name: live["metadata"][name] for name in ("name", "labels", "annotations")}
    body = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, "spec": live["spec"] | spec}
    body["spec"].pop("clusterIPs", None)
    site.delete(kind)
    site.gone(kind)
    site.put(kind, body, "reconciler")


def test_another_selector_cannot_change_in_place_so_the_plan_says_replace(site: Site) -> None:
    site.ready()
    made_again(site, "Deployment", selector={"matchLabels": {"reconciler.dev/role": "server"}})
    report = site.plan()
    change = changes(report)["Deployment/chat"]
    assert isinstance(change, Replace)
    assert (report.exit_code, change.effects.kind, change.effects.downtime) == (2, ChangeClass.REPLACE, True)
    assert change.effects.text.startswith("/spec/selector/matchLabels/reconciler.dev~1")
    assert "cannot change in place: deleted first, created again in a later pass; service stops meanwhile" in text_of(report)

    first = site.once()
    assert first.exit_code == 2
    assert "Replace Deployment/chat" in done(first)
    last = site.ready()
    assert site.live()["spec"]["selector"] == {"matchLabels": {"reconciler.dev/endpoint": "chat"}}
    assert status_of(last).word is Health.READY


def test_a_headless_service_cannot_become_another_so_the_plan_says_replace(site: Site) -> None:
    site.ready()
    made_again(site, "Service", clusterIP="None")
    report = site.plan()
    change = changes(report)["Service/chat"]
    assert isinstance(change, Replace)
    assert "/spec/clusterIP" in change.effects.text
    assert report.exit_code == 2
    site.ready()
    assert site.live("Service")["spec"]["clusterIP"].startswith("10.")


CLAIM = "model-cache-models"
CACHE: Object = {"size": "1Gi", "storageClass": "fast", "accessModes": ["ReadWriteMany"]}


@pytest.mark.parametrize(
    ("field", "change"), [("/spec/accessModes", {"accessModes": ["ReadOnlyMany"]}), ("/spec/storageClassName", {"storageClass": "slow"})]
)
def test_a_claim_that_would_have_to_be_replaced_is_held(control_plane: ControlPlane, tmp_path: Path, field: str, change: Object) -> None:
    """It is where the models are."""
    with opened(control_plane, tmp_path, modelCaches=[{"name": "models", "pvc": CACHE}]) as site:
        site.once()
        site.change_cluster(modelCaches=[{"name": "models", "pvc": CACHE | change}])
        report = site.once()

        found = held(report)[f"PersistentVolumeClaim/{CLAIM}"]
        assert (report.exit_code, found.reason) == (3, Reason.PROTECTED)
        assert isinstance(found.change, Replace)
        assert found.change.effects.text.startswith(field)
        assert found.text == "a PersistentVolumeClaim is never deleted unless it is annotated reconciler.dev/prune=enabled"
        site.patch({"metadata": {"annotations": {"reconciler.dev/prune": "enabled"}}}, "PersistentVolumeClaim", CLAIM)
        assert f"Replace PersistentVolumeClaim/{CLAIM}" in done(site.once())
        leaving = held(site.once())[f"PersistentVolumeClaim/{CLAIM}"]  # a pod uses it: the server keeps it until that is gone
        assert leaving.text == "waits until the one that is being deleted is gone"
        site.patch({"metadata": {"finalizers": None}}, "PersistentVolumeClaim", CLAIM)
        site.gone("PersistentVolumeClaim", CLAIM)
        assert f"Create PersistentVolumeClaim/{CLAIM}" in done(site.once())


def test_a_claim_never_shrinks_and_is_not_deleted_for_it(control_plane: ControlPlane, tmp_path: Path) -> None:
    with opened(control_plane, tmp_path, modelCaches=[{"name": "models", "pvc": CACHE}]) as site:
        site.once()
        site.change_cluster(modelCaches=[{"name": "models", "pvc": CACHE | {"size": "512Mi"}}])
        report = site.once()

        problem = failures(report)[f"Update PersistentVolumeClaim/{CLAIM}"].problem
        assert problem is not None
        assert (report.exit_code, problem.code) == (1, "KUBE4")
        assert site.live("PersistentVolumeClaim", CLAIM)["spec"]["resources"]["requests"]["storage"] == "1Gi"


@pytest.mark.parametrize("drift", ["heal", "report"])
def test_a_cluster_that_gets_another_name_takes_everything_along(site: Site, drift: str) -> None:
    """Also where drift is only reported: that another set is to have it was declared. Nothing is deleted by the old name meanwhile."""
    site.declare("settings.yaml", "Settings", "default", {"drift": drift})
    site.ready()
    kinds = ("Deployment", "Service", "ServiceAccount", "NetworkPolicy")
    before = {kind: site.live(kind)["metadata"] for kind in kinds}
    site.rename_cluster("west")
    first = site.plan()
    ending = {name: one for name, one in held(first).items() if isinstance(one.change, Delete)}
    assert set(ending) == {f"{kind}/chat" for kind in kinds}
    assert ending["Service/chat"].text == f"is {site.cluster}: Service/team-a/chat now: it stays, and goes from here when that is written"
    assert not any(isinstance(change, Delete) for change in changes(first).values())
    site.ready()

    assert {kind: site.live(kind)["metadata"]["uid"] for kind in kinds} == {kind: before[kind]["uid"] for kind in kinds}
    assert all(site.live(kind)["metadata"]["labels"][PART_OF] != before[kind]["labels"][PART_OF] for kind in kinds)
    assert len(site.addresses()) == 1
    quiet = site.once()
    assert (quiet.plan.operations, held(quiet)) == ((), {})


def test_another_home_namespace_takes_everything_along(site: Site) -> None:
    """`kubernetes.namespace`, where the set's parent is: what was found equal before is not equal to what this set wants."""
    site.ready()
    before = site.live("Service")["metadata"]
    home = site.namespace_of("home")
    site.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": home}})
    site.change_cluster(kubernetes={"namespace": home})
    (unread,) = site.once().plan.unreadable
    assert unread.problem.todo.startswith(
        f"deploy/kubernetes/rbac.yaml gives it in reconciler-system alone: give this rule in {home} as well: "
    )
    site.kubectl("-n", home, "create", "role", "parent", "--verb=list,create,patch", "--resource=configmaps")
    site.kubectl("-n", home, "create", "rolebinding", "parent", "--role=parent", "--user=reconciler")
    site.ready()

    after = site.live("Service")["metadata"]
    assert after["uid"] == before["uid"]
    assert after["labels"][PART_OF] != before["labels"][PART_OF]
    assert site.addresses()
    assert site.writes(site.once) == []


def test_the_sets_parent_without_its_labels_is_found_and_gets_them_back(site: Site) -> None:
    """The server refuses to make it, since it is there; it is looked for by its name."""
    site.ready()
    parent = f"reconciler-default.{site.cluster}"
    site.plane.kubectl("-n", "reconciler-system", "label", "configmap", parent, "reconciler.dev/instance-")
    site.change(resources={"memory": "2Gi"})
    last = site.ready()

    assert last.exit_code == 0
    assert "reconciler.dev/instance=default" in site.plane.kubectl("-n", "reconciler-system", "get", "configmap", parent, "--show-labels")
