"""The no-change decision, the view of a difference and its authors, by examples. The server judges in tests/kubernetes/test_owned_real.py.

A field set is written as the paths that it owns: `spec.replicas`, `spec.env[name=A].value`, `metadata.finalizers{x}`.
"""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.change import ABSENT
from reconciler.plan.fields import field_changes
from reconciler.targets.kubernetes.fields.authors import additions, writers
from reconciler.targets.kubernetes.fields.fieldset import fields_of
from reconciler.targets.kubernetes.fields.fieldwalk import Decision
from reconciler.targets.kubernetes.fields.owned import Owned, check, entry_of, owned_by, unchanged, verdict
from reconciler.targets.kubernetes.fields.projection import live_view
from reconciler.targets.kubernetes.shapes import ManagedFields

NOOP, DIFFERS, UNSURE = Decision.NOOP, Decision.DIFFERS, Decision.UNSURE
APPS = "apps/v1"
CUSTOM = "example.com/v1"


def held(*paths: str) -> Any:
    """fieldsV1 of `a.b`, `list[key=value].field`, `list[key=value]` (an atomic item) and `set{member}`."""
    root: dict[str, Any] = {}
    for path in paths:
        at = root
        for part in path.split("."):
            name, item, member = _part(part)
            at = at.setdefault(f"f:{name}", {})
            if item:
                at = at.setdefault(f"k:{json.dumps(item, separators=(',', ':'))}", {".": {}})
            elif member:
                at = at.setdefault(f'v:"{member}"', {})
    return root


def _part(text: str) -> tuple[str, dict[str, Any], str]:
    name, bracket, keys = text.rstrip("]}").partition("[")
    if bracket:
        pairs = (key.split("=") for key in keys.split(","))
        return name, {key: int(value) if value.isdecimal() else value for key, value in sorted(pairs)}, ""
    name, _, member = name.partition("{")
    return name, {}, member


def owned(*paths: str, doubt: str = "") -> Owned:
    return Owned(fields_of(json.dumps(held(*paths))), doubt)


def body(api_version: str = APPS, **parts: Any) -> Any:
    return {"apiVersion": api_version, "kind": "Thing", "metadata": {"name": "chat", "namespace": "team-a"}, **parts}


def live_of(**parts: Any) -> Any:
    """As a LIST has it: without apiVersion and kind, with what the server adds."""
    return {"metadata": {"name": "chat", "namespace": "team-a", "uid": "1", "generation": 3, "labels": {"x": "y"}}, **parts}


def entry(*paths: str, manager: str = "reconciler", operation: str = "Apply", **more: Any) -> ManagedFields:
    fields = {"api_version": APPS, "time": "2026-01-01T00:00:00Z", **more}
    return ManagedFields(manager=manager, operation=operation, fields_v1=msgspec.Raw(json.dumps(held(*paths)).encode()), **fields)


# The walk: what is wanted, what is live, the paths that we own -> the decision and where it was made

EXAMPLES: dict[str, tuple[Any, Any, tuple[str, ...], Decision, str]] = {
    "equal": ({"replicas": 2}, {"replicas": 2, "other": 1}, ("spec.replicas",), NOOP, ""),
    "another value": ({"replicas": 2}, {"replicas": 3}, ("spec.replicas",), DIFFERS, "/spec/replicas"),
    "not ours, though equal": ({"replicas": 2, "a": 1}, {"replicas": 2, "a": 1}, ("spec.a",), DIFFERS, "/spec/replicas"),
    "ours, and not wanted any more": ({"a": 1}, {"a": 1, "b": 1}, ("spec.a", "spec.b"), DIFFERS, "/spec/b"),
    "gone": ({"a": 1}, {}, ("spec.a",), DIFFERS, "/spec/a"),
    "gone, a zero": ({"a": False}, {}, ("spec.a",), UNSURE, "/spec/a"),
    "gone, a map of zeros": ({"a": {"b": ""}}, {}, ("spec.a.b",), UNSURE, "/spec/a"),
    "a truth is no number": ({"a": True}, {"a": 1}, ("spec.a",), DIFFERS, "/spec/a"),
    "a text is no number": ({"a": "1"}, {"a": 1}, ("spec.a",), DIFFERS, "/spec/a"),
    "a whole and a broken number": ({"a": 1}, {"a": 1.0}, ("spec.a",), NOOP, ""),
    "another kind of zero": ({"a": None}, {"a": ""}, ("spec.a",), UNSURE, "/spec/a"),
    "a map and a text": ({"a": {"b": 1}}, {"a": "x"}, ("spec.a.b",), DIFFERS, "/spec/a"),
    "the worst decides": ({"a": False, "b": 1}, {"b": 2}, ("spec.a", "spec.b"), DIFFERS, "/spec/b"),
    "a name that needs escaping": ({"a/b~c": 1}, {"a/b~c": 2}, ("spec.a/b~c",), DIFFERS, "/spec/a~1b~0c"),
    # maps that are owned as a whole
    "empty and empty": ({"a": {}}, {"a": {}}, ("spec.a",), NOOP, ""),
    "empty, others added": ({"a": {}}, {"a": {"b": 1}}, ("spec.a",), UNSURE, "/spec/a"),
    "empty, and a text": ({"a": {}}, {"a": "x"}, ("spec.a",), DIFFERS, "/spec/a"),
    "empty when applied, named now": ({"a": {"b": "x"}}, {"a": {"b": "x"}}, ("spec.a",), UNSURE, "/spec/a"),
    "known as one value": ({"selector": {"a": "1"}}, {"selector": {"a": "1"}}, ("spec.selector",), NOOP, ""),
    "one value, another member": ({"selector": {"a": "1"}}, {"selector": {"a": "2"}}, ("spec.selector",), DIFFERS, "/spec/selector/a"),
    "one value, with defaults": ({"fieldRef": {"a": 1}}, {"fieldRef": {"a": 1, "b": 2}}, ("spec.fieldRef",), UNSURE, "/spec/fieldRef"),
    # lists that are owned as a whole
    "one list": ({"args": ["a", "b"]}, {"args": ["a", "b"]}, ("spec.args",), NOOP, ""),
    "one list, another order": ({"args": ["a", "b"]}, {"args": ["b", "a"]}, ("spec.args",), DIFFERS, "/spec/args/0"),
    "one list, longer": ({"args": ["a"]}, {"args": ["a", "b"]}, ("spec.args",), DIFFERS, "/spec/args"),
    "one list, empty": ({"args": []}, {}, ("spec.args",), UNSURE, "/spec/args"),
    "one list of maps, with defaults": ({"rules": [{"a": 1}]}, {"rules": [{"a": 1, "b": 2}]}, ("spec.rules",), UNSURE, "/spec/rules/0"),
    "an empty list that nobody can own": ({"a": 1, "env": []}, {"a": 1}, ("spec.a",), UNSURE, "/spec/env"),
    # sets
    "a set": ({"of": ["a", "b"]}, {"of": ["a", "x", "b"]}, ("spec.of{a}", "spec.of{b}"), NOOP, ""),
    "a set in another order": ({"of": ["a", "b"]}, {"of": ["b", "a"]}, ("spec.of{a}", "spec.of{b}"), DIFFERS, "/spec/of"),
    "a set, one not ours": ({"of": ["a", "b"]}, {"of": ["a", "b"]}, ("spec.of{a}",), DIFFERS, "/spec/of"),
}


@pytest.mark.parametrize(("wanted", "live", "paths", "decision", "where"), EXAMPLES.values(), ids=list(EXAMPLES))
def test_the_walk(wanted: Any, live: Any, paths: tuple[str, ...], decision: Decision, where: str) -> None:
    found = verdict(body(spec=wanted), live_of(spec=live), owned(*paths))

    assert (found.decision, found.path) == (decision, where)
    assert bool(found.why) == (decision is not NOOP)


A, B, C = ({"name": name, "value": name.lower()} for name in "ABC")
AB = tuple(f"spec.env[name={name}].{field}" for name in "AB" for field in ("name", "value"))
ITEMS: dict[str, tuple[Any, Any, tuple[str, ...], Decision, str]] = {
    "equal": ([A, B], [A, B], AB, NOOP, ""),
    "others' items around them": ([A, B], [C, A, {"name": "D"}, B], AB, NOOP, ""),
    "others' fields in them": ([A, B], [A, {**B, "extra": 1}], AB, NOOP, ""),
    "another order": ([A, B], [B, A], AB, DIFFERS, "/spec/env/1"),
    "one changed": ([A, B], [A, {**B, "value": "x"}], AB, DIFFERS, "/spec/env/1/value"),
    "one gone": ([A, B], [A], AB, DIFFERS, "/spec/env/1"),
    "one more wanted": ([A, C, B], [A, C, B], AB, DIFFERS, "/spec/env/1"),
    "one less wanted": ([A], [A, B], AB, DIFFERS, "/spec/env"),
    "one twice, which an apply makes one": ([A, B], [A, B, A], AB, DIFFERS, "/spec/env/0"),
    "others' twice": ([A, B], [A, C, B, C], AB, NOOP, ""),
    "a key left to its default": ([A, {"value": "b"}], [A, B], AB, UNSURE, "/spec/env/1"),
    "a key that is none": ([A, {"name": {}, "value": "b"}], [A, B], AB, UNSURE, "/spec/env/1"),
    "an item that is one value": ([{"name": "A"}], [{"name": "A"}], ("spec.env[name=A]",), NOOP, ""),
    "no list any more": ([A, B], {"A": 1}, AB, DIFFERS, "/spec/env"),
}


@pytest.mark.parametrize(("wanted", "live", "paths", "decision", "where"), ITEMS.values(), ids=list(ITEMS))
def test_lists_whose_items_have_keys(wanted: Any, live: Any, paths: tuple[str, ...], decision: Decision, where: str) -> None:
    found = verdict(body(spec={"env": wanted}), live_of(spec={"env": live}), owned(*paths))

    assert (found.decision, found.path) == (decision, where)


def test_keys_of_several_fields() -> None:
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]
    ours = owned(*(f"spec.ports[port=80,protocol={protocol}].{field}" for protocol in ("TCP", "UDP") for field in ("port", "protocol")))

    assert verdict(body(spec={"ports": ports}), live_of(spec={"ports": ports}), ours).decision is NOOP
    assert verdict(body(spec={"ports": [{"port": 80}, ports[1]]}), live_of(spec={"ports": ports}), ours).decision is UNSURE


@pytest.mark.parametrize("fields", [{"i:0": {}, "i:1": {}}, {'k:{"a":1}': {}, 'k:{"b":1}': {}}, {"f:a": {}, 'v:"a"': {}}])
def test_what_only_the_server_can_read_is_asked_about(fields: Any) -> None:
    ours = Owned(fields_of(json.dumps({"f:spec": {"f:list": fields}})))

    assert verdict(body(spec={"list": [1, 2]}), live_of(spec={"list": [1, 2]}), ours).decision is UNSURE


QUANTITIES = {
    "1Gi": ("1Gi", APPS, NOOP),
    "1024Mi": ("1Gi", APPS, UNSURE),  # others may own the field too, and lose it by the other spelling
    "1073741824": ("1Gi", APPS, DIFFERS),
    "2Gi": ("1Gi", APPS, DIFFERS),
    "lots": ("1Gi", APPS, UNSURE),
    "1024Mi of a custom kind": ("1Gi", CUSTOM, DIFFERS),  # stored word by word
}


@pytest.mark.parametrize(("text", "case"), QUANTITIES.items())
def test_quantities(text: str, case: tuple[str, str, Decision]) -> None:
    live, api_version, decision = case
    limits, found = ({"resources": {"limits": {"memory": value}}} for value in (text.split()[0], live))

    assert verdict(body(api_version, spec=limits), live_of(spec=found), owned("spec.resources.limits.memory")).decision is decision


@pytest.mark.parametrize(
    ("path", "name"), [("data", "sizeLimit"), ("spec.nodeSelector", "value"), ("metadata.annotations", "averageValue")]
)
def test_the_name_of_a_quantity_in_another_place_is_plain_text(path: str, name: str) -> None:
    def nested(text: str) -> Any:
        value: Any = {name: text}
        for part in reversed(path.split(".")):
            value = {part: value}
        return value

    wanted, live = body("v1") | nested("1024Mi"), live_of() | nested("1Gi")

    assert verdict(wanted, live, owned(f"{path}.{name}" if path != "spec.nodeSelector" else path)).decision is DIFFERS


def test_identity_and_the_servers_own_metadata_are_in_nobodys_set() -> None:
    wanted = body(spec={"a": 1})
    wanted["metadata"] |= {"uid": "1", "resourceVersion": "7", "labels": {"x": "y"}}

    assert verdict(wanted, live_of(spec={"a": 1}), owned("spec.a", "metadata.labels.x")).decision is NOOP


def test_what_is_going_away_differs() -> None:
    live = live_of(spec={"a": 1})
    live["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    found = verdict(body(spec={"a": 1}), live, owned("spec.a"))

    assert (found.decision, found.path) == (DIFFERS, "/metadata/deletionTimestamp")
    changes = field_changes(live_view(body(spec={"a": 1}), live, owned("spec.a")), body(spec={"a": 1}))
    assert [(change.path, change.new) for change in changes] == [("/metadata/deletionTimestamp", ABSENT)]


# Entries


OURS = entry("spec.a")
ENTRIES: dict[str, tuple[tuple[ManagedFields, ...], bool, Decision]] = {
    "ours": ((OURS,), True, NOOP),
    "ours among others": ((OURS, entry("spec.b", manager="kubectl"), entry("spec.c", subresource="status")), True, NOOP),
    "none": ((entry("spec.a", manager="kubectl"),), False, DIFFERS),
    "a plain write": ((entry("spec.a", operation="Update"),), False, DIFFERS),
    "another version": ((entry("spec.a", api_version="apps/v1beta1"),), False, DIFFERS),
    "two of our name": ((OURS, entry("spec.z", operation="Update")), False, UNSURE),
    "two of our name, and a field lost": ((entry("spec.z"), entry("spec.a", operation="Update")), False, DIFFERS),
    "another's two, which the server would join": ((OURS, *[entry("spec.z", manager="helm", operation="Update")] * 2), True, UNSURE),
    "only through a subresource": ((entry("spec.a", subresource="scale"),), False, DIFFERS),
}


@pytest.mark.parametrize(("entries", "is_there", "decision"), ENTRIES.values(), ids=list(ENTRIES))
def test_our_entry(entries: tuple[ManagedFields, ...], is_there: bool, decision: Decision) -> None:
    assert (entry_of(entries, "reconciler", APPS) is not None) == is_there
    assert check(body(spec={"a": 1}), live_of(spec={"a": 1}), entries, "reconciler").decision is decision


def test_an_answer_without_a_change_may_move_times_and_versions_and_status_but_no_owner() -> None:
    def version(number: str, time: str, owner: str) -> Any:
        fields = [
            {"manager": owner, "operation": "Apply", "time": time, "fieldsV1": {"f:spec": {}}},
            {"manager": "controller", "operation": "Update", "subresource": "status", "time": time, "fieldsV1": {number: {}}},
        ]
        metadata = {"name": "x", "resourceVersion": number, "generation": int(number), "managedFields": fields}
        return {"metadata": metadata, "spec": {"a": 1}, "status": {"n": number}}

    assert unchanged(version("1", "t1", "reconciler"), version("2", "t2", "reconciler") | {"kind": "Thing"})
    assert not unchanged(version("1", "t1", "reconciler"), version("1", "t1", "kubectl"))
    assert not unchanged(version("1", "t1", "reconciler"), version("1", "t1", "reconciler") | {"spec": {"a": 2}})


# The view


def changes_of(wanted: Any, live: Any, ours: Owned, settled: bool = False) -> dict[str, tuple[Any, Any]]:
    view = live_view(body(spec=wanted), live_of(spec=live), ours, settled=settled)
    return {change.path: (change.old, change.new) for change in field_changes(view, body(spec=wanted))}


VIEWS: dict[str, tuple[Any, Any, tuple[str, ...], dict[str, tuple[Any, Any]]]] = {
    "another value": ({"a": 1, "b": 1}, {"a": 1, "b": 2, "c": 3}, ("spec.a", "spec.b"), {"/spec/b": (2, 1)}),
    "put back by somebody": ({"a": 1, "b": 1}, {"a": 1, "b": 1}, ("spec.a",), {"/spec/b": (ABSENT, 1)}),
    "somebody else's value": ({"a": 1, "b": 1}, {"a": 1, "b": 2}, ("spec.a",), {"/spec/b": (2, 1)}),
    "to be pruned": ({"a": 1}, {"a": 1, "b": {"c": 1, "d": 2}}, ("spec.a", "spec.b.c"), {"/spec/b": ({"c": 1}, ABSENT)}),
    "to be pruned, and not there": ({"a": 1}, {"a": 1}, ("spec.a", "spec.b"), {"/spec/b": (None, ABSENT)}),
    "zeros beside it count as equal": ({"a": 1, "b": False}, {"a": 2}, ("spec.a", "spec.b"), {"/spec/a": (2, 1)}),
    "spellings beside it count as equal": (
        {"a": 1, "resources": {"limits": {"cpu": "1000m"}}},
        {"a": 2, "resources": {"limits": {"cpu": "1"}}},
        ("spec.a", "spec.resources.limits.cpu"),
        {"/spec/a": (2, 1)},
    ),
    "defaults beside it count as equal": (
        {"a": 1, "fieldRef": {"b": "x"}},
        {"a": 2, "fieldRef": {"b": "x", "c": "y"}},
        ("spec.a", "spec.fieldRef"),
        {"/spec/a": (2, 1)},
    ),
    "a truth for a number": ({"a": 1}, {"a": True}, ("spec.a",), {"/spec/a": (ABSENT, 1)}),
    "a whole map not ours": ({"a": {"b": 1}, "x": 1}, {"a": {"b": 1}, "x": 1}, ("spec.x",), {"/spec/a": (ABSENT, {"b": 1})}),
    "a map not ours, one member other": (
        {"a": {"b": 1, "c": 2}, "x": 1},
        {"a": {"b": 1, "c": 3}, "x": 1},
        ("spec.x",),
        {"/spec/a/b": (ABSENT, 1), "/spec/a/c": (3, 2)},
    ),
    "an item gone from the middle": (
        {"env": [A, B]},
        {"env": [B]},
        AB,
        {"/spec/env/0/name": (ABSENT, "A"), "/spec/env/0/value": (ABSENT, "a")},
    ),
    "an item gone from the end": ({"env": [A, B]}, {"env": [A]}, AB, {"/spec/env/1": (ABSENT, B)}),
    "an item to be pruned": ({"env": [B]}, {"env": [A, C, B]}, AB, {"/spec/env/1": (A, ABSENT)}),
    "an item twice": ({"env": [A, B]}, {"env": [A, B, {**A, "value": "x"}]}, AB, {"/spec/env/2": ({**A, "value": "x"}, ABSENT)}),
    "an item not ours": ({"env": [A, B]}, {"env": [A, B]}, AB[:2], {"/spec/env/1": (ABSENT, B)}),
    "items not ours are told apart by name": (
        {"env": [A, B], "x": 1},
        {"env": [C, {**A, "value": "y"}, B], "x": 1},
        ("spec.x",),
        {"/spec/env/0/name": (ABSENT, "A"), "/spec/env/0/value": ("y", "a"), "/spec/env/1": (ABSENT, B)},
    ),
    "a set": ({"of": ["a", "b"]}, {"of": ["x", "a"]}, ("spec.of{a}", "spec.of{b}"), {"/spec/of/1": (ABSENT, "b")}),
}


@pytest.mark.parametrize(("wanted", "live", "paths", "changes"), VIEWS.values(), ids=list(VIEWS))
def test_what_a_person_reads(wanted: Any, live: Any, paths: tuple[str, ...], changes: dict[str, tuple[Any, Any]]) -> None:
    assert changes_of(wanted, live, owned(*paths)) == changes


def test_a_doubt_that_the_server_settled_is_no_change_and_one_that_it_did_not_is_shown() -> None:
    wanted, live, ours = {"a": False, "b": 1}, {"b": 1}, owned("spec.a", "spec.b")

    assert changes_of(wanted, live, ours, settled=True) == {}
    assert changes_of(wanted, live, ours) == {"/spec/a": (ABSENT, False)}


def test_a_doubt_without_a_field_of_its_own_shows_everything() -> None:
    assert changes_of({"a": 1}, {"a": 1}, owned("spec.a", doubt="x"), settled=True) == {}
    assert "/spec" in changes_of({"a": 1}, {"a": 1}, owned("spec.a", doubt="x"))


leaves = st.sampled_from([0, 1, 2, True, False, "", "1", "x", None, 1.0, [], {}, ["a"], ["a", "b"], {"k": "v"}])
specs = st.recursive(
    leaves, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
).filter(lambda value: isinstance(value, dict))  # fmt: skip


def set_of(value: Any) -> Any:
    """The field set of a value, as a custom kind would have it: maps by member, everything else as one value."""
    return {f"f:{name}": set_of(below) for name, below in value.items()} if isinstance(value, dict) else {}


@settings(derandomize=True, deadline=None, max_examples=100)
@given(wanted=specs, live=specs, applied=specs)
def test_the_view_is_equal_if_and_only_if_nothing_would_change(wanted: Any, live: Any, applied: Any) -> None:
    for before, now in ((applied, live), (wanted, live), (wanted, wanted), (applied, wanted)):
        ours = Owned(fields_of(json.dumps({"f:spec": set_of(before)})))
        found = verdict(body(CUSTOM, spec=wanted), live_of(spec=now), ours)

        view = live_view(body(CUSTOM, spec=wanted), live_of(spec=now), ours)
        settled = live_view(body(CUSTOM, spec=wanted), live_of(spec=now), ours, settled=True)

        assert (field_changes(view, body(CUSTOM, spec=wanted)) == ()) == (found.decision is NOOP)
        assert (field_changes(settled, body(CUSTOM, spec=wanted)) == ()) == (found.decision is not DIFFERS)


# Authors


def written(wanted: Any, live: Any, *entries: ManagedFields) -> dict[str, str]:
    ours = owned_by(entries, "reconciler", APPS)
    view = live_view(body(spec=wanted), live_of(spec=live), ours)
    authors = writers(body(spec=wanted), view, entries, "reconciler")
    return {change.path: str(authors[change.path]) for change in field_changes(view, body(spec=wanted)) if change.path in authors}


def test_the_author_of_a_difference_is_the_last_who_holds_the_field() -> None:
    first = entry("spec.a", "spec.env[name=B].value", manager="kubectl-edit", operation="Update", time="2026-01-02T00:00:00Z")
    last = entry("spec.a", manager="kubectl", operation="Update", subresource="scale", time="2026-01-03T00:00:00Z")
    wanted = {"a": 1, "b": 1, "env": [A, B]}
    live = {"a": 2, "env": [C, A, {**B, "value": "x"}]}

    found = written(wanted, live, entry("spec.b", *AB[:3]), first, last)

    assert found == {
        "/spec/a": "kubectl through scale at 2026-01-03T00:00:00Z",
        "/spec/env/1/value": "kubectl-edit at 2026-01-02T00:00:00Z",
    }


def test_inside_one_value_the_author_is_who_holds_the_value() -> None:
    edit = entry("spec.args", manager="kubectl-edit", operation="Update")

    found = written({"args": ["a", "b", "b"]}, {"args": ["b", "b"]}, entry("spec.x"), edit)

    assert found == {"/spec/args/0": "kubectl-edit at 2026-01-01T00:00:00Z"}


def added(live: Any, *entries: ManagedFields, **parts: Any) -> list[tuple[str, str]]:
    found = additions(live_of(spec=live, **parts), entries, "reconciler", ["controller"])
    return [(path, author.manager) for path, author in found]


def test_additions_are_named_at_the_topmost_field_that_we_do_not_own() -> None:
    theirs = entry(
        "spec.a", "spec.probe.path", "spec.probe.port", "spec.env[name=C].value", "spec.env[name=A].other", "spec.of{y}",
        "metadata.annotations.z", "status.ready", "spec.gone",
        manager="kubectl-edit",
    )  # fmt: skip
    live = {"a": 1, "probe": {"path": "/", "port": 1, "period": 5}, "env": [A, C], "of": ["x", "y"]}
    live["env"][0] = {**A, "other": 1}

    found = added(live, entry("spec.a", *AB, "spec.of{x}"), theirs, status={"ready": 1})

    assert found == [
        ("/spec/env/0/other", "kubectl-edit"),
        ("/spec/env/1", "kubectl-edit"),
        ("/spec/of/1", "kubectl-edit"),
        ("/spec/probe", "kubectl-edit"),
    ]


def test_what_controllers_and_autoscalers_write_is_no_addition() -> None:
    theirs = (
        entry("spec.a", manager="controller"),
        entry("spec.replicas", manager="anybody", subresource="scale"),
        entry("data.x", manager="reconciler", operation="Update"),
    )

    assert added({"a": 1, "replicas": 3}, entry("spec.b"), *theirs, data={"x": "1"}) == [("/data", "reconciler")]
