"""A wave merged into the state: what starts to drain, what is refused, what a kill would leave behind."""

from dataclasses import replace

import pytest
from envoy_states import CLAIM, SPEC, entry, example, key, route, states, workload
from hypothesis import given, settings

from reconciler.change import Change, ChangeClass, Create, Delete, Effects, Rebind, Update
from reconciler.resource import Binding, Resource, ResourceKey
from reconciler.targets.envoy.check import key_faults, route_faults
from reconciler.targets.envoy.manifest import KeyManifest, RouteManifest
from reconciler.targets.envoy.merge import Merged, merge
from reconciler.targets.envoy.read import observation
from reconciler.targets.envoy.state import RouteEntry, State

EFFECTS = Effects(ChangeClass.TRAFFIC)


def wanted(name: str, manifest: RouteManifest | KeyManifest) -> Resource:
    kind = "Route" if isinstance(manifest, RouteManifest) else "Key"
    needs = manifest.needs if isinstance(manifest, RouteManifest) else ()
    return Resource.make(
        ResourceKey(SPEC.name, kind, *name.split("/")), manifest.as_json(), owner=f"X/{name}", source="x.yaml:1", needs=needs
    )


def create(name: str, manifest: RouteManifest | KeyManifest, *hosts: str) -> Create:
    found = wanted(name, manifest)
    return Create(found, EFFECTS, Binding(tuple((need, hosts) for need in found.needs)))


def live(state: State, name: str, kind: str = "Route"):  # type: ignore[no-untyped-def]
    return observation(SPEC.name, state, CLAIM, {}, 0.0).resources[ResourceKey(SPEC.name, kind, *name.split("/"))]


def update(state: State, name: str, manifest: RouteManifest, *hosts: str) -> Update:
    found = wanted(name, manifest)
    return Update(found, live(state, name), (), EFFECTS, Binding(tuple((need, hosts) for need in found.needs)))


def delete(state: State, name: str, kind: str = "Route") -> Delete:
    return Delete(live(state, name, kind), EFFECTS)


def merged(state: State, *wave: Change) -> Merged:
    found = merge(state, wave, CLAIM)
    assert not found.refused, found.refused
    return found


EMPTY = State(CLAIM)
ONE = State(CLAIM, {"team-a/chat": entry("team-a/chat")}, {"team-a/ci": key("team-a/ci", ("id", "a" * 64, ""))})


def test_what_a_route_leaves_drains_with_no_clock_and_keeps_its_addresses() -> None:
    goal = merged(ONE, update(ONE, "team-a/chat", route("team-a/chat", cluster="new"), "127.0.0.1:2")).goal
    found = goal.routes["team-a/chat"]
    assert found.drains == ((workload("team-a/chat"), None),)
    assert found.addresses_of(workload("team-a/chat")) == ("127.0.0.1:1",)
    assert found.addresses_of(workload("team-a/chat", "new")) == ("127.0.0.1:2",)
    after = goal.settled(7.0).routes["team-a/chat"]
    assert after.drains == ((workload("team-a/chat"), 7.0),)
    assert after.addresses == ((workload("team-a/chat", "new"), ("127.0.0.1:2",)),)


def test_what_is_used_again_does_not_drain() -> None:
    moved = merged(ONE, update(ONE, "team-a/chat", route("team-a/chat", cluster="new"), "127.0.0.1:2")).goal.settled(7.0)
    back = merged(moved, update(moved, "team-a/chat", route("team-a/chat"), "127.0.0.1:1")).goal
    assert back.routes["team-a/chat"].drains == ((workload("team-a/chat", "new"), None),)


def test_a_delete_withdraws_what_takes_traffic_and_forgets_what_does_not() -> None:
    first = merged(ONE, delete(ONE, "team-a/chat"))
    gone = first.goal.routes["team-a/chat"]
    assert (gone.withdrawn, gone.needs, gone.drains) == (True, (), ((workload("team-a/chat"), None),))
    settled = first.goal.settled(7.0)
    second = merged(settled, delete(settled, "team-a/chat"))
    assert second.goal.routes == {}
    assert second.intent.routes.keys() == {"team-a/chat"}  # found again after a kill, and deleted again
    paused = State(CLAIM, {"team-a/off": entry("team-a/off", paused=True)})
    assert merged(paused, delete(paused, "team-a/off")).goal.routes == {}


def test_a_withdrawn_route_that_is_declared_again_takes_traffic_again() -> None:
    gone = merged(ONE, delete(ONE, "team-a/chat")).goal.settled(7.0)
    back = merged(gone, update(gone, "team-a/chat", route("team-a/chat"), "127.0.0.1:1")).goal.routes["team-a/chat"]
    assert (back.withdrawn, back.drains) == (False, ())


def test_a_key_that_goes_stays_in_the_intent() -> None:
    found = merged(ONE, delete(ONE, "team-a/ci", "Key"))
    assert found.goal.keys == {}
    assert found.intent.keys.keys() == {"team-a/ci"}


def test_addresses_are_never_emptied() -> None:
    need = workload("team-a/chat")
    found = merged(ONE, Rebind(live(ONE, "team-a/chat"), Binding(((need, ()),), 3), "")).goal.routes["team-a/chat"]
    assert (found.addresses_of(need), found.attempt) == (("127.0.0.1:1",), 3)
    found = merged(ONE, update(ONE, "team-a/chat", route("team-a/chat"))).goal.routes["team-a/chat"]
    assert found.addresses_of(need) == ("127.0.0.1:1",)


def test_a_rebind_drops_drains_that_are_over_and_not_those_that_have_not_begun() -> None:
    old, older = workload("team-a/chat", "old"), workload("team-a/chat", "older")
    state = replace(ONE, routes={"team-a/chat": replace(ONE.routes["team-a/chat"], drains=((old, 5.0), (older, None)))})
    found = merged(state, Rebind(live(state, "team-a/chat"), Binding(((workload("team-a/chat"), ("127.0.0.1:9",)),)), "")).goal
    assert found.routes["team-a/chat"].drains == ((older, None),)


def test_a_name_that_another_holds_is_refused_and_the_rest_of_the_wave_is_not() -> None:
    state = merged(EMPTY, create("team-a/first", route("team-a/first", "Shared"))).goal
    found = merge(state, [create("team-b/second", route("team-b/second", "sHARED")), create("team-b/third", route("team-b/third"))], CLAIM)
    assert [key.name for key in found.refused] == ["second"]
    assert "held by team-a/first [E60]" in next(iter(found.refused.values())).why
    assert found.goal.routes.keys() == {"team-a/first", "team-b/third"}


def test_a_name_can_move_within_one_wave() -> None:
    state = merged(EMPTY, create("team-a/first", route("team-a/first", "shared"))).goal
    wave = [create("team-b/second", route("team-b/second", "shared")), update(state, "team-a/first", route("team-a/first"))]
    assert merged(state, *wave).goal.routes["team-b/second"].manifest.models == ("team-b/second", "shared")


def test_the_own_name_of_an_endpoint_is_not_taken_away_by_an_alias() -> None:
    state = merged(EMPTY, create("team-a/thief", route("team-a/thief", "team-b/chat"))).goal
    assert "team-b/chat" in merged(state, create("team-b/chat", route("team-b/chat"))).goal.routes
    state = merged(EMPTY, create("team-b/chat", route("team-b/chat"))).goal
    assert merge(state, [create("team-a/thief", route("team-a/thief", "team-b/chat"))], CLAIM).refused


def test_what_another_instance_holds_is_not_touched() -> None:
    other = replace(ONE.routes["team-a/chat"].mark, instance="other")
    state = replace(ONE, routes={"team-a/chat": replace(ONE.routes["team-a/chat"], mark=other)})
    found = merge(state, [update(state, "team-a/chat", route("team-a/chat", "x")), delete(state, "team-a/chat")], CLAIM)
    assert found.goal == state
    assert "held by instance 'other'" in next(iter(found.refused.values())).why


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"models": ("",)}, "model name"),
        ({"models": ("x" * 257,)}, "model name"),
        ({"paths": ("POST /v1/a?b",)}, "path"),
        ({"paths": ("POST /metrics",)}, "path"),
        ({"paths": ("POST /v1/a b",)}, "path"),
        ({"strategy": "consistent-hash"}, "strategy"),
        ({"timeout": 0.0}, "timeoutSeconds"),
        ({"timeout": float("nan")}, "timeoutSeconds"),
        ({"timeout": 1e12}, "timeoutSeconds"),
        ({"backends": (replace(route("team-a/chat").backends[0], prefix="no-slash"),)}, "prefix"),
        ({"backends": (replace(route("team-a/chat").backends[0], prefix="/a/"),)}, "prefix"),
        ({"backends": (replace(route("team-a/chat").backends[0], weight=0),)}, "weight"),
        ({"backends": route("team-a/chat").backends * 2}, "twice"),
    ],
)
def test_a_route_that_envoy_would_refuse_is_refused_before(fields: dict[str, object], said: str) -> None:
    found = list(route_faults("team-a/chat", replace(route("team-a/chat"), **fields)))  # type: ignore[arg-type]
    assert any(said in fault for fault in found), found


@pytest.mark.parametrize("name", ["team-a/Chat", "team-a", "*/chat", "team-a/chat\n", "team a/chat", "team-a/chat/x", "/chat"])
def test_names_that_are_no_endpoint(name: str) -> None:
    assert list(route_faults(name, route("team-a/chat")))


@pytest.mark.parametrize("row", [("id", "A" * 64, ""), ("id", "a" * 63, ""), ("i\r\nd", "a" * 64, ""), ("id", "a" * 64, "tomorrow")])
def test_credentials_that_are_none(row: tuple[str, str, str]) -> None:
    assert list(key_faults("team-a/ci", key("team-a/ci", row).manifest))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", ":80", "a:b", "127.0.0.1:\u0661"])
def test_addresses_that_are_none(host: str) -> None:
    found = merge(EMPTY, [create("team-a/chat", route("team-a/chat"), host)], CLAIM)
    assert "is not host:port" in next(iter(found.refused.values())).why


@given(states())
@settings(max_examples=50, deadline=None)
def test_a_merge_of_nothing_is_nothing_and_settling_twice_is_settling_once(state: State) -> None:
    found = merge(state, (), CLAIM)
    assert (found.goal, found.intent) == (state, state)
    assert state.settled(5.0).settled(6.0) == state.settled(5.0)


def test_example_entries_are_entries() -> None:
    assert all(isinstance(found, RouteEntry) for found in example().routes.values())
