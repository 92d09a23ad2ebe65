"""What is decoded of the API server's answers: all of it or an error, and fingerprints that move with what we look at and nothing else."""

import json

import pytest
from kube_objects import NOW, Object, at, event, events_of

from reconciler.errors import TargetUnavailable
from reconciler.targets.kubernetes import shapes


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"metadata": {}}', b'{"items": [{"spec": {}}]}', b'{"items": {}}', b'{"items": [{"metadata": {"name": 1}}]}']
)
def test_what_cannot_be_read_is_an_error_and_never_a_shorter_list(body: bytes) -> None:
    for read in (lambda: shapes.rows(shapes.PODS, body, "x"), lambda: shapes.items(body, "x")):
        with pytest.raises(TargetUnavailable) as raised:
            read()
        assert raised.value.problem.code == "KUBE16"


def test_an_empty_list_is_empty_in_both_spellings() -> None:
    assert shapes.items(b'{"items": []}', "x") == shapes.items(b'{"items": null}', "x") == ()


FIELDS = {"f:spec": {"f:replicas": {}}}
OBJECT: Object = {
    "metadata": {
        "name": "chat",
        "uid": "1",
        "resourceVersion": "7",
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "managedFields": [
            {"manager": "reconciler", "operation": "Apply", "apiVersion": "apps/v1", "time": at(9), "fieldsV1": FIELDS},
            {"manager": "kcm", "operation": "Update", "subresource": "status", "time": at(9), "fieldsV1": {"f:status": {}}},
        ],
    },
    "spec": {"replicas": 1},
    "status": {"replicas": 1},
}


def fingerprint(found: Object, key: bytes = b"") -> bytes:
    return shapes.fingerprint(shapes.items(json.dumps({"items": [found]}).encode(), "x")[0], "reconciler", key)


def changed(path: str, value: object) -> Object:
    found = json.loads(json.dumps(OBJECT))
    *parents, last = path.split(".")
    place = found
    for step in parents:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = value
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "path",
    ["spec.replicas", "data", "metadata.labels.a", "metadata.annotations.c", "metadata.deletionTimestamp",
     "metadata.managedFields.0.fieldsV1", "metadata.managedFields.0.operation", "metadata.managedFields.0.subresource",
     "metadata.managedFields.1.manager"],
)  # fmt: skip
def test_a_fingerprint_moves_with_what_the_owned_field_check_looks_at(path: str) -> None:
    value: object = {"f:x": {}} if path.endswith("fieldsV1") else "reconciler" if path.endswith("manager") else "other"

    assert fingerprint(changed(path, value)) != fingerprint(OBJECT)


@pytest.mark.parametrize(
    "path", ["status.replicas", "metadata.resourceVersion", "metadata.managedFields.0.time", "metadata.managedFields.1.fieldsV1"]
)
def test_a_fingerprint_stays_while_status_versions_and_times_move(path: str) -> None:
    assert fingerprint(changed(path, {"f:x": {}} if path.endswith("fieldsV1") else at(1))) == fingerprint(OBJECT)


def test_a_fingerprint_stays_while_a_deployment_is_numbered() -> None:
    """Its controller does that a moment after each change: a plan made in that moment is no older for it."""
    assert fingerprint(changed("metadata.annotations", {"c": "d", "deployment.kubernetes.io/revision": "2"})) == fingerprint(OBJECT)


def test_a_fingerprint_with_a_key_is_another_one() -> None:
    assert fingerprint(OBJECT, b"key") != fingerprint(OBJECT)


def test_the_whole_object_is_still_there() -> None:
    (found,) = shapes.items(json.dumps({"items": [OBJECT]}).encode(), "x")

    assert json.loads(found.whole()) == OBJECT
    assert json.loads(bytes(found.parts["spec"])) == {"replicas": 1}


def test_a_watch_line() -> None:
    line = shapes.watch_line(b'{"type": "MODIFIED", "object": {"kind": "Pod", "metadata": {"name": "p", "resourceVersion": "9"}}}', "x")

    assert (line.type, shapes.item(line.object, "x").meta.resource_version) == ("MODIFIED", "9")


@pytest.mark.parametrize(
    ("text", "seconds"), [("1970-01-01T00:01:00Z", 60.0), ("1970-01-01T00:01:00.500000Z", 60.5), (None, None), ("soon", None)]
)
def test_times(text: str | None, seconds: float | None) -> None:
    assert shapes.seconds(text) == seconds


def test_events_of_new_and_old_writers_say_when() -> None:
    new = {**event("x", ""), "lastTimestamp": None, "eventTime": at(50), "series": {"count": 2, "lastObservedTime": at(5)}}

    assert [one.last for one in events_of(new, event("x", "", ago=8))["uid-p"]] == [NOW - 5, NOW - 8]
