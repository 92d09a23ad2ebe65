"""`state.json`: what is written is read back, and nothing else is read at all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from envoy_states import CLAIM, example, states, workload
from hypothesis import given, settings

from reconciler.errors import TargetRefused
from reconciler.resource import LiveResource, ResourceKey
from reconciler.targets.envoy.files import Folder
from reconciler.targets.envoy.read import is_foreign, observation
from reconciler.targets.envoy.state import State, parse
from reconciler.targets.protocol import Claim


@given(states())
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_read_back(state: State) -> None:
    assert parse(state.text()) == state


def test_every_field_is_needed_and_none_is_added() -> None:
    """Any field dropped, added or of another type anywhere is an error that names it, or changes nothing that is read."""
    whole = json.loads(example().text())
    for path in _paths(whole):
        for spoil in (_dropped, _renamed, _retyped):
            spoilt = json.loads(json.dumps(whole))
            spoil(spoilt, path)
            with pytest.raises(ValueError, match=r"state\.json"):
                parse(json.dumps(spoilt).encode())


def _paths(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Fields that we name ourselves: not the names of routes and files, and nothing inside a mark, which is read by `Mark`."""
    if isinstance(value, list):
        return [path for number, item in enumerate(value) for path in _paths(item, (*at, number))]
    if not isinstance(value, dict):
        return []
    free = at in (("routes",), ("keys",), ("files",))
    found = [] if free else [(*at, name) for name in value]
    return found + [path for name, item in value.items() if name != "mark" for path in _paths(item, (*at, name))]


def _inside(value: object, path: tuple[str | int, ...]) -> dict[str, object]:
    for step in path[:-1]:
        value = value[step]  # type: ignore[index]
    assert isinstance(value, dict)
    return value


def _dropped(value: object, path: tuple[str | int, ...]) -> None:
    del _inside(value, path)[str(path[-1])]


def _renamed(value: object, path: tuple[str | int, ...]) -> None:
    _inside(value, path)["more"] = 1


def _retyped(value: object, path: tuple[str | int, ...]) -> None:
    _inside(value, path)[str(path[-1])] = {"a": [1]}


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{", b"\xff\x00", b"1e999", b"[" * 100_000])
def test_what_is_no_state_is_an_error(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse(raw)


def test_files_of_envoy_without_a_state_are_refused_and_an_empty_folder_is_not(tmp_path: Path) -> None:
    assert Folder(tmp_path / "missing").read_state() is None
    (tmp_path / "access.log").write_text("")
    assert Folder(tmp_path).read_state() is None
    (tmp_path / "bootstrap.json").write_text("{}")
    with pytest.raises(TargetRefused, match="stands here without") as caught:
        Folder(tmp_path).read_state()
    assert caught.value.problem.todo


def _seen(state: State, claim: Claim = CLAIM) -> dict[str, LiveResource]:
    found = observation("public", state, claim, {}, 5000.0).resources
    return {f"{key.namespace}/{key.name}": live for key, live in found.items() if key.kind == "Route"}


def test_live_routes_say_what_they_need_and_what_drains() -> None:
    live = _seen(example())
    assert live["team-a/chat"].needs == (workload("team-a/chat"),)
    assert live["team-a/chat"].binding.addresses == ((workload("team-a/chat"), ("127.0.0.1:30001",)),)
    assert live["team-b/empty"].binding.addresses == ((workload("team-b/empty"), ()),)
    assert (live["team-b/gone"].needs, live["team-b/gone"].withdrawn) == ((), True)
    assert live["team-b/gone"].binding.drains == ((workload("team-b/gone"), 1700000000.5),)


def test_a_drain_whose_clock_has_not_started_starts_now_for_everybody_who_asks() -> None:
    assert _seen(example())["team-a/moved"].binding.drains == ((workload("team-a/moved", "old"), 5000.0),)
    settled = example().settled(4000.0)
    assert _seen(settled)["team-a/moved"].binding.drains == ((workload("team-a/moved", "old"), 4000.0),)
    assert settled.routes["team-a/moved"].addresses_of(workload("team-a/moved", "old")) == ()


def test_a_gateway_of_another_repo_holds_every_wanted_key() -> None:
    state, wanted = example(), ResourceKey("public", "Route", "team-z", "new")
    claim = Claim("default", "another")
    found = observation("public", state, claim, {wanted: None}, 0.0).resources  # type: ignore[dict-item]
    assert is_foreign(state, claim)
    assert found[wanted].mark is not None
    assert found[wanted].mark.repo == "root"
    assert not is_foreign(state, Claim("default", ""))
    assert is_foreign(state, Claim("other", "root"))
    assert not is_foreign(replace(state, claim=Claim("default", "")), claim)
