"""The files of the gateway: golden, deterministic, and safe whatever a name holds. `--update` rewrites tests/golden/envoy."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from envoy_states import CLAIM, PLACE, SETTINGS, entry, example, key, states
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.targets.envoy.gate import claimed, expires, lower, quoted, source
from reconciler.targets.envoy.generate import fingerprint, generate
from reconciler.targets.envoy.state import State
from reconciler.targets.envoy.xds import CDS, ECDS, RDS, VALIDATE, Place, version_of

GOLDEN = Path(__file__).parent / "golden" / "envoy"


@pytest.mark.parametrize("name", sorted(generate(example(), SETTINGS, PLACE)))
def test_the_files_are_as_they_were(name: str, request: pytest.FixtureRequest) -> None:
    found, golden = generate(example(), SETTINGS, PLACE)[name], GOLDEN / name
    if request.config.getoption("--update", default=False) or os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_bytes(found)
    assert golden.read_bytes() == found


@given(states())
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_state_makes_no_difference(state: State) -> None:
    other = State(state.claim, dict(reversed(state.routes.items())), dict(reversed(state.keys.items())), state.files)
    assert generate(state, SETTINGS, PLACE) == generate(other, SETTINGS, PLACE)


@given(states())
@settings(max_examples=30, deadline=None)
def test_every_file_is_ascii_json_and_its_version_follows_its_content(state: State) -> None:
    for name, content in generate(state, SETTINGS, PLACE).items():
        json.loads(content.decode("ascii"))
        if name.startswith("xds/"):
            assert re.fullmatch(r"[0-9a-f]{16}", version_of(content))


def test_an_address_change_touches_the_clusters_alone() -> None:
    state = example()
    moved = replace(state.routes["team-a/chat"], addresses=((*state.routes["team-a/chat"].manifest.needs, ("127.0.0.1:5",)),))
    before, after = (
        generate(state, SETTINGS, PLACE),
        generate(replace(state, routes={**state.routes, "team-a/chat": moved}), SETTINGS, PLACE),
    )
    assert {name for name in before if before[name] != after[name]} == {CDS}


def test_a_key_change_touches_the_gate_alone() -> None:
    state = example()
    before, after = generate(state, SETTINGS, PLACE), generate(replace(state, keys={}), SETTINGS, PLACE)
    assert {name for name in before if before[name] != after[name]} == {ECDS, VALIDATE}


def test_a_withdrawn_route_is_in_no_file_and_a_leaving_backend_keeps_its_cluster_until_it_is_settled() -> None:
    files = generate(example(), SETTINGS, PLACE)
    assert all(b"team-b/gone" not in content for content in files.values())
    assert b"team-a/moved/old" in files[CDS]
    assert b"team-a/moved/old" not in files[RDS]
    assert b"team-a/moved/old" not in generate(example().settled(1.0), SETTINGS, PLACE)[CDS]


def test_the_fingerprint_follows_settings_and_place() -> None:
    whole = fingerprint(SETTINGS, PLACE)
    assert whole == fingerprint(SETTINGS, PLACE)
    assert whole != fingerprint(replace(SETTINGS, max_request_bytes=1), PLACE)
    assert whole != fingerprint(replace(SETTINGS, port=1), PLACE)
    assert whole != fingerprint(SETTINGS, Place("/elsewhere", PLACE.admin))


def _unquoted(lua: str) -> bytes:
    """A Lua string read as Lua reads it."""
    assert re.fullmatch(r'"(?:[ !#-\[\]-~]|\\\d{3})*"', lua)
    return re.sub(rb"\\(\d{3})", lambda found: bytes([int(found[1])]), lua[1:-1].encode())


@given(st.text())
def test_a_lua_string_holds_anything_and_stays_one(text: str) -> None:
    assert _unquoted(quoted(text)) == text.encode("utf-8", "surrogatepass")


def test_no_name_leaves_its_string() -> None:
    evil = '"]] end os.execute("x") --\n\\'
    state = State(CLAIM, {"team-a/chat": entry("team-a/chat", evil)}, {"team-a/k": key("team-a/k", ("id", "a" * 64, ""), grants=(evil,))})
    tables = source(state, SETTINGS).split(";(function()")[1:]
    strings = re.findall(r'"(?:[ !#-\[\]-~]|\\\d{3})*"', "".join(tables))
    assert quoted(evil) in strings
    assert "execute" not in re.sub(r'"(?:[ !#-\[\]-~]|\\\d{3})*"', "", "".join(tables))


def test_an_alias_goes_to_the_first_by_name_and_never_before_an_endpoints_own_name() -> None:
    state = State(
        CLAIM,
        {name: entry(name, *models) for name, models in {"team-a/one": ("same", "team-b/two"), "team-b/two": ("SAME", "own")}.items()},
    )
    assert claimed(state) == {"team-a/one": "team-a/one", "team-b/two": "team-b/two", "same": "team-a/one", "own": "team-b/two"}


def test_letters_are_compared_as_lua_does() -> None:
    assert lower("AbZ\u00c9\u0130") == "abz\u00c9\u0130"


def test_times_of_expiry() -> None:
    assert expires("1970-01-02T00:00:00Z") == expires("1970-01-02T01:00:00+01:00") == expires("1970-01-02T00:00:00") == 86400


def test_ten_thousand_keys_stay_in_functions_of_a_bounded_size() -> None:
    rows = {f"team-a/k{n}": key(f"team-a/k{n}", (f"id{n}", f"{n:064x}", "")) for n in range(2500)}
    tables = [line for line in source(State(CLAIM, {}, rows), SETTINGS).splitlines() if line.startswith(";(function()")]
    assert tables == [";(function() keys{"] * 3
