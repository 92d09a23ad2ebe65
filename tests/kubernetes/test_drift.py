"""Somebody changes by hand what we declared: the plan shows field, declared value, live value and who wrote it, and the next pass puts it
back; or only tells, or does not look, as the declaration says. What others add is told and left alone.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import yaml

from reconciler.change import ABSENT, Create, FieldChange, Reason, Update
from reconciler.resource import Health, Json
from tests.kubernetes.kube_site import Object, Site, changes, done, held, opened, status_of, text_of
from tools.controlplane import ControlPlane

IMAGE = "ghcr.io/ggml-org/llama.cpp:server-b11549"


@pytest.fixture(scope="module")
def site(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for all: each test leaves it as declared, and that is what it tests."""
    with opened(control_plane, tmp_path_factory.mktemp("drift")) as site:
        site.ready()
        yield site


def container(**fields: Json) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "server", **fields}]}}}}


def document(kind: str, body: Object) -> Object:
    version = {"Deployment": "apps/v1", "Service": "v1"}[kind]
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "chat"}, **body}


def edit(site: Site) -> None:
    """kubectl edit sends what was changed as a strategic patch."""
    site.kubectl(
        "patch", "deployment", "chat", "--type=strategic", "--field-manager=kubectl-edit", "-p", json.dumps(container(image="x:1"))
    )


def scale(site: Site) -> None:
    site.kubectl("scale", "deployment/chat", "--replicas=3")


def scale_to_none(site: Site) -> None:
    site.kubectl("scale", "deployment/chat", "--replicas=0")


def apply_on_the_server(site: Site) -> None:
    body = document("Deployment", {"spec": {"replicas": 2}})
    site.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=json.dumps(body))


def apply_on_the_client(site: Site) -> None:
    live = site.live("Service")
    body = document("Service", {"spec": {"ports": [live["spec"]["ports"][0] | {"targetPort": 9}], "selector": live["spec"]["selector"]}})
    site.kubectl("apply", "-f", "-", text=json.dumps(body))


def reorder(site: Site) -> None:
    live = site.live()
    found = live["spec"]["template"]["spec"]["containers"][0]
    live["spec"]["template"]["spec"]["containers"][0] = found | {"env": found["env"][::-1]}
    site.api.request("PUT", site.path("Deployment"), live, fieldManager="somebody")


def drop(site: Site) -> None:
    patch = [{"op": "remove", "path": "/spec/template/spec/containers/0/lifecycle"}]
    site.kubectl("patch", "deployment", "chat", "--type=json", "-p", json.dumps(patch))


@dataclass(frozen=True)
class Drift:
    """What somebody does, and what of it is shown."""

    act: Callable[[Site], None]
    kind: str
    path: str
    live: Json
    declared: Json
    by: str


TEMPLATE = "/spec/template/spec/containers/0"
DRIFTS = {
    "kubectl edit": Drift(edit, "Deployment", f"{TEMPLATE}/image", "x:1", IMAGE, "kubectl-edit at 20"),
    "kubectl scale": Drift(scale, "Deployment", "/spec/replicas", 3, 1, "kubectl through scale"),
    "kubectl scale to none": Drift(scale_to_none, "Deployment", "/spec/replicas", 0, 1, ""),  # the server records no owner of a zero
    "kubectl apply --server-side": Drift(apply_on_the_server, "Deployment", "/spec/replicas", 2, 1, "kubectl at 20"),
    "kubectl apply": Drift(apply_on_the_client, "Service", "/spec/ports/0/targetPort", 9, "http", "kubectl-client-side-apply at 20"),
    "another order": Drift(reorder, "Deployment", f"{TEMPLATE}/env/0/name", "RECONCILER_WORKSPACE", "RECONCILER_CLUSTER", ""),
    "a field removed": Drift(drop, "Deployment", f"{TEMPLATE}/lifecycle", ABSENT, {"preStop": {"sleep": {"seconds": 60}}}, ""),
}


@pytest.mark.parametrize("what", DRIFTS)
def test_is_shown_with_its_author_and_put_back(site: Site, what: str) -> None:
    drift = DRIFTS[what]
    drift.act(site)
    report = site.plan()
    change = changes(report)[f"{drift.kind}/chat"]
    assert isinstance(change, Update)
    assert change.drift
    (field,) = (field for field in change.fields if field.path == drift.path)
    assert (field.old, field.new) == (drift.live, drift.declared)
    assert field.by.startswith(drift.by)
    assert (f"(live by {drift.by}" in text_of(report)) == bool(drift.by)
    assert "Drift: 1" in text_of(report)

    last = site.ready()
    assert done(last) == [f"Update {drift.kind}/chat"]
    assert site.writes(site.once) == []


def test_the_same_value_from_another_hand_is_no_drift(site: Site) -> None:
    body = document("Deployment", {"spec": {"replicas": 1}})
    site.kubectl("apply", "--server-side", "-f", "-", text=json.dumps(body))
    report = site.plan()
    assert (report.plan.operations, report.exit_code) == ((), 0)


@pytest.mark.parametrize("kind", ["Deployment", "Service", "ServiceAccount", "NetworkPolicy"])
def test_what_somebody_deleted_is_made_again(site: Site, kind: str) -> None:
    site.delete(kind)
    site.gone(kind)
    assert isinstance(changes(site.plan())[f"{kind}/chat"], Create)
    site.ready()
    assert site.is_there(kind)


LABELS = {
    "the set's": {"applyset.kubernetes.io/part-of": None},
    "a label of the manifest": {"app.kubernetes.io/name": "other"},
}


@pytest.mark.parametrize("what", LABELS)
@pytest.mark.parametrize("kind", ["Deployment", "Service"])
def test_a_label_that_somebody_took_is_put_back(site: Site, what: str, kind: str) -> None:
    """Without the label of the set it is not in our LISTs: it is looked for by its name."""
    before = site.live(kind)["metadata"]["labels"]
    site.patch({"metadata": {"labels": LABELS[what]}}, kind)
    site.ready()
    assert site.live(kind)["metadata"]["labels"] == before
    assert site.writes(site.once) == []


@pytest.mark.parametrize("label", ["reconciler.dev/owner-name", "app.kubernetes.io/managed-by", "reconciler.dev/instance"])
def test_without_our_mark_it_is_not_ours_to_touch(site: Site, label: str) -> None:
    """Whoever takes the mark away takes the object. It is told, its route stays, and whoever gives it back has it managed again."""
    value, addresses = site.live()["metadata"]["labels"][label], site.addresses()
    site.patch({"metadata": {"labels": {label: None}}})
    report = site.once()

    assert report.exit_code == 1
    assert held(report)["Deployment/chat"].reason is Reason.CONFLICT
    told, _, command = held(report)["Deployment/chat"].text.rpartition(": ")
    assert told == "not touched: we wrote it, and somebody took our labels off. To have it managed again"
    assert label not in site.live()["metadata"]["labels"]
    assert site.addresses() == addresses
    assert command == f"kubectl label -n {site.namespace} deployment chat --overwrite {label}={value}"
    site.kubectl(*command.split()[1:])
    site.ready()
    assert site.writes(site.once) == []


def test_an_annotation_of_our_mark_is_put_back(site: Site) -> None:
    before = site.live()["metadata"]["annotations"]
    site.patch({"metadata": {"annotations": {"reconciler.dev/protect": "true"}}})
    assert [field.path for field in fields(site)] == ["/mark/protect"]
    site.ready()
    assert site.live()["metadata"]["annotations"]["reconciler.dev/protect"] == before["reconciler.dev/protect"]


def test_a_digest_that_somebody_wrote_is_put_back(site: Site) -> None:
    before = site.live()["metadata"]["annotations"]["reconciler.dev/digest"]
    site.patch({"metadata": {"annotations": {"reconciler.dev/digest": "sha256:0"}}})
    (field,) = fields(site)
    assert (field.path, field.old) == ("/mark", {"not as written": ["reconciler.dev/digest"]})
    site.ready()
    assert site.live()["metadata"]["annotations"]["reconciler.dev/digest"] == before
    assert site.writes(site.once) == []


def fields(site: Site) -> tuple[FieldChange, ...]:
    (change,) = changes(site.plan()).values()
    assert isinstance(change, Update)
    return change.fields


@pytest.fixture
def mode(site: Site) -> Iterator[Callable[[str], None]]:
    """Sets `reconciler.dev/drift` of the endpoint."""
    before = site.file("chat").read_text()

    def set_to(text: str) -> None:
        declaration = yaml.safe_load(site.file("chat").read_text())
        declaration["metadata"]["annotations"] = {"reconciler.dev/drift": text}
        site.file("chat").write_text(yaml.safe_dump(declaration))
        site.commit(f"drift: {text}")

    yield set_to
    site.file("chat").write_text(before)
    site.commit("drift as ever")
    site.ready()


def test_report_tells_and_writes_nothing(site: Site, mode: Callable[[str], None]) -> None:
    mode("report")
    scale(site)
    report: list[object] = []
    assert site.writes(lambda: report.append(site.once())) == []
    last = site.once()

    assert (last.exit_code, held(last)["Deployment/chat"].reason) == (2, Reason.DRIFT)
    assert "/spec/replicas  3 -> 1  (live by kubectl through scale" in text_of(last)
    assert "is left as it is" in text_of(last)
    assert site.live()["spec"]["replicas"] == 3
    site.change(replicas=2)  # what is declared anew is written
    site.ready()
    assert site.live()["spec"]["replicas"] == 2


def test_off_does_not_even_look(site: Site, mode: Callable[[str], None]) -> None:
    mode("off")
    scale(site)
    last = site.once()
    assert (last.exit_code, last.plan.operations) == (0, ())
    assert site.live()["spec"]["replicas"] == 3


def test_what_others_add_is_told_and_left(site: Site) -> None:
    patch = container(env=[{"name": "HTTP_PROXY", "value": "http://proxy:3128"}])
    site.kubectl("patch", "deployment", "chat", "--type=strategic", "--field-manager=proxy-injector", "-p", json.dumps(patch))
    last = site.ready()

    assert last.plan.operations == ()
    (note,) = last.notes
    assert note.startswith(f"{site.cluster}: Deployment/team-a/chat: {TEMPLATE}/env/")
    assert "was set by proxy-injector at 20" in note
    assert note.endswith("; it is not declared, and left as it is")
    assert f"Note: {note}" in text_of(last)
    site.change(replicas=2)  # our next write leaves it, too
    site.ready()
    assert "HTTP_PROXY" in [one["name"] for one in site.live()["spec"]["template"]["spec"]["containers"][0]["env"]]
    assert site.writes(site.once) == []
    site.change(replicas=1)
    patch = container(env=[{"name": "HTTP_PROXY", "$patch": "delete"}])
    site.kubectl("patch", "deployment", "chat", "--type=strategic", "--field-manager=proxy-injector", "-p", json.dumps(patch))
    assert site.ready().notes == ()


def test_a_second_writer_with_our_manager_name_is_healed_once(site: Site) -> None:
    """A plain write under our name stays in managedFields beside our own: it must not make us write, or ask, in every pass."""
    site.kubectl("patch", "deployment", "chat", "--field-manager=reconciler", "--type=merge", "-p", '{"spec": {"replicas": 2}}')
    assert [(field.path, field.old) for field in fields(site)] == [("/spec/replicas", 2)]
    site.ready()
    assert site.live()["spec"]["replicas"] == 1
    site.once()
    assert {entry.verb for entry in site.requests(site.once)} == {"list"}


def test_an_apply_with_our_manager_name_that_says_less_is_healed(site: Site) -> None:
    """What it does not name is taken from our entry, and removed."""
    live = site.live("Service")
    mark = {"labels": live["metadata"]["labels"], "annotations": live["metadata"]["annotations"]}
    body = document("Service", {"metadata": {"name": "chat", **mark}, "spec": {"ports": live["spec"]["ports"]}})
    site.put("Service", body, "reconciler")
    assert "selector" not in site.live("Service")["spec"]
    site.ready()
    assert site.live("Service")["spec"]["selector"] == live["spec"]["selector"]
    assert site.writes(site.once) == []


def test_a_service_that_is_made_again_keeps_its_endpoint_ready(site: Site) -> None:
    addresses = site.addresses()
    site.delete("Service")
    last = site.once()
    assert status_of(last).word is Health.READY
    assert site.addresses() == addresses  # a set that is known is never replaced by an empty one
    site.ready()
    assert site.addresses() == addresses
