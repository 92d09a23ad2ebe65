"""Changes at a real gateway: under load, with open streams, killed between any two writes, refused by Envoy, edited by hand."""

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from envoy_gateway import TRAFFIC, Box, ask_on, backend, key_text, load, until
from replicas import Replicas

from reconciler import checkpoint
from reconciler.change import Create
from reconciler.errors import Busy, LocalError, TargetRefused, TargetUnavailable
from reconciler.local import envoy as local
from reconciler.resource import Binding, Json
from reconciler.targets.envoy import clusters
from reconciler.targets.envoy.state import RouteEntry
from reconciler.targets.envoy.target import open_target
from reconciler.targets.protocol import Claim, Context
from reconciler.targets.rendering import Backend
from tools.ports import free_port

pytestmark = pytest.mark.real

CHAT = "/team-a/chat/v1/chat/completions"


@pytest.fixture
def up(box: Box, replicas: Replicas) -> Box:
    """One endpoint on one replica, one key."""
    box.good(box.change(box.route("team-a/chat"), replicas["one"].address), box.change(box.key("team-a/alice")))
    return box


def test_an_empty_gateway_is_set_up_by_an_empty_wave(box: Box) -> None:
    assert not box.read(write=False)
    assert not box.gateway.exists()
    assert box.pending()
    assert box.write() == []
    assert box.ask("/healthz").status == 200
    assert not box.pending()
    assert not box.read()


def test_updates_under_load_lose_no_request(up: Box, replicas: Replicas) -> None:
    one, two, three = (replicas[name].address for name in ("one", "two", "three"))
    body = {"model": "team-a/chat", "messages": []}
    with load(up, [(CHAT, body, "alice"), ("/v1/chat/completions", body, "alice")]) as seen:
        for number in range(12):
            name = f"team-a/new{number}"
            up.good(up.change(up.route(name), two), up.change(up.key("team-a/alice", texts=(key_text("alice"), f"rcl_x{number}"))))
            assert up.ask(f"/{name}/v1/models", key="alice").status == 200
            assert up.ask(body={"model": name}, key=f"x{number}").status == 200
            assert up.rebind(up.route("team-a/chat"), *((one, two), (three,), (two, three))[number % 3]).applied
            assert up.put(up.route("team-a/chat", timeout=300.0 + number), two, one).applied
            assert up.delete(up.route(name)).applied
            assert up.ask(f"/{name}/v1/models", key="alice").status == 404
    assert seen.sent > 100
    assert seen.bad == []


def test_a_revoked_key_is_refused_on_connections_that_are_open(up: Box) -> None:
    connections = [http.client.HTTPConnection("127.0.0.1", up.port, timeout=20) for _ in range(8)]
    assert [ask_on(each, CHAT, {}, "alice").status for each in connections] == [200] * 8
    assert up.delete(up.key("team-a/alice")).applied
    assert [ask_on(each, CHAT, {}, "alice").status for each in connections] == [401] * 8
    for each in connections:
        each.close()


def test_a_stream_on_a_withdrawn_endpoint_goes_on_to_its_end(up: Box, replicas: Replicas) -> None:
    finished = replicas["one"].finished
    connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=20)
    headers = {"authorization": f"Bearer {key_text('alice')}", "x-test-chunks": "40"}
    connection.request("POST", CHAT, b"{}", headers)
    answer = connection.getresponse()
    answer.readline()
    assert up.delete(up.route("team-a/chat")).applied
    assert up.ask(CHAT, {}, "alice").code == "endpoint_not_found"
    assert answer.read().endswith(b"data: 39\n\n")
    connection.close()
    until(lambda: replicas["one"].finished == finished + 1)


def test_withdraw_drain_forget(up: Box) -> None:
    key = up.route("team-a/chat").key
    up.now = 2000.0
    assert up.delete(up.route("team-a/chat")).applied
    live = up.read()[key]
    assert live.withdrawn
    assert live.needs == ()
    assert live.binding.drains == ((backend("team-a", "chat"), 2000.0),)
    up.now = 3000.0
    assert up.read()[key].binding.drains == live.binding.drains
    assert b"team-a/chat" not in (up.gateway / "xds/cds.json").read_bytes()
    assert up.delete(up.route("team-a/chat")).applied
    assert key not in up.read()


def test_a_route_that_moves_drains_what_it_left_and_not_what_it_uses_again(up: Box, replicas: Replicas) -> None:
    there = (Backend(backend("team-a", "chat", "other"), "/team-a/chat"),)
    up.now = 2000.0
    assert up.put(up.route("team-a/chat", backends=there), replicas["two"].address).applied
    answer = up.ask(CHAT, {}, "alice")
    assert (answer.replica, answer.json["path"]) == ("two", CHAT)
    live = up.read()[up.route("team-a/chat").key]
    assert live.needs == (backend("team-a", "chat", "other"),)
    assert live.binding.drains == ((backend("team-a", "chat"), 2000.0),)
    up.now = 3000.0
    assert up.put(up.route("team-a/chat"), replicas["one"].address).applied
    drains = up.read()[live.key].binding.drains
    assert drains == ((backend("team-a", "chat", "other"), 3000.0),)
    assert up.put(up.route("team-a/chat", paused=True)).applied
    assert up.ask(CHAT, {}, "alice").code == "endpoint_paused"
    assert up.put(up.route("team-a/chat"), replicas["one"].address).applied
    assert up.ask(CHAT, {}, "alice").status == 200


def test_addresses_follow_and_a_known_set_is_never_emptied(up: Box, replicas: Replicas) -> None:
    route = up.route("team-a/chat")
    assert up.rebind(route, replicas["two"].address).applied
    assert up.ask(CHAT, {}, "alice").replica == "two"
    assert up.rebind(route).applied
    assert up.ask(CHAT, {}, "alice").replica == "two"
    assert up.put(up.route("team-a/chat", timeout=5.0)).applied
    assert up.ask(CHAT, {}, "alice").replica == "two"
    live = up.read()[route.key]
    assert live.binding.addresses == ((backend("team-a", "chat"), (replicas["two"].address,)),)


def test_envoy_killed_is_back_at_once_with_the_same_answers(up: Box) -> None:
    pid = up.pid()
    os.kill(pid, signal.SIGKILL)
    until(lambda: local.running(up.folder, "public") is None)
    assert up.target(write=False).read({}).notes
    local.watch_once(up.folder)
    until(lambda: _answers(up), 60)
    assert up.pid() != pid
    assert not up.pending()
    os.kill(up.pid(), signal.SIGKILL)
    until(lambda: local.running(up.folder, "public") is None)
    assert up.put(up.route("team-a/chat", timeout=7.0)).applied  # a pass that may write brings it up itself
    assert up.ask(CHAT, {}, "alice").status == 200


@pytest.mark.parametrize("place", ["envoy: cds.json/after", "envoy: ecds_authn.json/before", "envoy: rds.json/after"])
def test_an_envoy_that_is_killed_in_the_middle_of_a_write_is_started_and_the_write_goes_on(up: Box, replicas: Replicas, place: str) -> None:
    def kill() -> None:
        os.kill(up.pid(), signal.SIGKILL)
        until(lambda: local.running(up.folder, "public") is None)

    wave = [up.change(up.route("team-a/new"), replicas["two"].address), up.change(up.key("team-a/fresh"))]
    checkpoint.listen(checkpoint.kill_at(place, kill))
    try:
        up.good(*wave)
    finally:
        checkpoint.listen(None)
    assert up.ask("/team-a/new/v1/models", key="fresh").replica == "two"
    assert not up.pending()


def test_an_envoy_that_does_not_stay_up_is_left_alone_for_a_while(up: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "STORM", (2, 60.0))

    def kill() -> None:
        os.kill(up.pid(), signal.SIGKILL)
        until(lambda: local.running(up.folder, "public") is None)

    for _ in range(2):
        kill()
        local.watch_once(up.folder)
    kill()
    with pytest.raises(LocalError, match="does not stay up"):
        local.watch_once(up.folder)
    local.watch_once(up.folder)
    assert local.running(up.folder, "public") is None
    [program] = local.status(up.folder)
    assert (program.state, "ended 2 times" in program.note) == ("not running", True)
    monkeypatch.setattr(local, "RETRY", 0.0)
    local.watch_once(up.folder)
    until(lambda: _answers(up), 60)


def _answers(box: Box) -> bool:
    with contextlib.suppress(OSError):
        return box.ask(CHAT, {}, "alice").status == 200
    return False


def test_a_new_start_of_ours_adopts_the_envoy_that_runs(up: Box) -> None:
    pid = up.pid()
    assert not up.pending()
    assert up.pid() == pid
    [program] = local.status(up.folder)
    assert (program.state, program.pid) == ("running", pid)
    local.stop(up.folder)
    [program] = local.status(up.folder)
    assert program.state == "not running"
    local.watch_once(up.folder)
    assert local.running(up.folder, "public") is None  # stopped on purpose


@pytest.mark.parametrize("name", ["xds/rds.json", "xds/cds.json", "xds/ecds_authn.json", "xds/lds.json", "bootstrap.json", "validate.json"])
def test_a_file_changed_by_hand_is_drift_and_is_healed_by_an_empty_wave(up: Box, name: str) -> None:
    path = up.gateway / name
    good = path.read_bytes()
    for edit in (lambda: path.write_bytes(b"{}"), path.unlink):
        edit()
        assert any(name in said for said in up.pending())
        assert up.write() == []
        assert path.read_bytes() == good
        assert not up.pending()
        assert up.ask(CHAT, {}, "alice").status == 200


@pytest.mark.parametrize("spoil", ["missing", "truncated", "format", "unknown field", "wrong type", "not JSON"])
def test_a_state_that_cannot_be_read_is_an_error_and_nothing_is_removed(up: Box, spoil: str) -> None:
    state = up.gateway / "state.json"
    value = json.loads(state.read_bytes())
    texts = {
        "truncated": state.read_text()[:-20],
        "format": json.dumps(value | {"format": 2}),
        "unknown field": json.dumps(value | {"more": 1}),
        "wrong type": json.dumps(value | {"routes": []}),
        "not JSON": "\x00\xff",
    }
    if spoil == "missing":
        state.unlink()
    else:
        state.write_text(texts[spoil], encoding="latin-1")
    before = {path: path.read_bytes() for path in (up.gateway / "xds").iterdir()}
    for write in (True, False):
        with pytest.raises(TargetRefused) as caught:
            up.target(write).read({})
        assert caught.value.problem.todo
    with pytest.raises(TargetRefused), up.target().session(()) as writer:
        list(writer.write(()))
    assert {path: path.read_bytes() for path in (up.gateway / "xds").iterdir()} == before
    assert up.ask(CHAT, {}, "alice").status == 200
    shutil.copyfile(up.gateway / "previous/state.json", state)  # as the message says
    assert not up.pending()
    assert up.route("team-a/chat").key in up.read()


def test_the_gateway_of_another_repo_is_a_conflict_for_every_key(up: Box) -> None:
    other, route = Box(up.folder, up.port, Claim("default", "another")), up.route("team-z/new")
    live = other.target().read({route.key: route}).resources
    assert all(found.mark is not None and found.mark.repo == "root" for found in live.values())
    assert route.key in live
    with pytest.raises(TargetRefused, match="belongs to instance"):
        other.write(other.change(other.route("team-z/new")))
    assert up.ask(CHAT, {}, "alice").status == 200


class Killed(BaseException):
    """Stands for SIGKILL at a place between two writes."""


@contextlib.contextmanager
def killed_at(number: int) -> Iterator[list[str]]:
    places: list[str] = []

    def hook(place: str) -> None:
        places.append(place)
        if len(places) == number:
            raise Killed

    checkpoint.listen(hook)
    try:
        with contextlib.suppress(Killed):
            yield places
    finally:
        checkpoint.listen(None)


def test_killed_between_any_two_writes_the_next_pass_converges(up: Box, replicas: Replicas) -> None:
    one, two = replicas["one"].address, replicas["two"].address
    base = [up.route("team-a/chat"), up.route("team-a/gone"), up.key("team-a/alice"), up.key("team-a/old")]
    there = (Backend(backend("team-a", "chat", "other"), ""),)
    goal = [up.route("team-a/chat", backends=there), up.route("team-a/new"), up.key("team-a/alice"), up.key("team-a/fresh")]

    places: list[str] = []
    number = 0
    while not number or len(places) == number:
        number += 1
        up.towards(base, one)
        up.now += 100.0
        with killed_at(number) as places:
            up.towards(goal, two)
        up.now += 100.0
        up.towards(goal, two)
        assert not up.pending(), places
        assert {key.name for key in up.read()} == {"chat", "new", "alice", "fresh"}
        assert up.ask(CHAT, {}, "alice").replica == "two"
        assert up.ask("/team-a/gone/v1/models", key="alice").status == 404
        assert up.ask(CHAT, {}, "old").status == 401
        assert up.ask("/team-a/new/v1/models", key="fresh").replica == "two"
        assert b"team-a/chat/lab" not in (up.gateway / "xds/cds.json").read_bytes()
        drains = dict(up.read()[base[0].key].binding.drains)
        assert drains[backend("team-a", "chat")] >= up.now - 100.0
    assert number > 12
    assert {place.rsplit("/", 1)[0] for place in places} >= {
        "envoy: state.json",
        "envoy: cds.json",
        "envoy: rds.json",
        "envoy: ecds_authn.json",
    }


def test_a_full_disk_is_said_and_loses_nothing(up: Box) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    change = up.change(up.route("team-a/chat", timeout=9.0))
    target = up.target()
    target.read({})
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        with pytest.raises(TargetUnavailable) as caught, target.session([change]) as writer:
            list(writer.write([change]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "state.json cannot be written" in caught.value.problem.what
    assert caught.value.problem.todo
    assert not list(up.gateway.rglob("*.tmp"))
    assert up.ask(CHAT, {}, "alice").status == 200
    assert not up.pending()
    assert up.put(up.route("team-a/chat", timeout=9.0)).applied


def test_a_taken_port_is_said_with_its_holder(box: Box) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", box.port))
        other.listen()
        with pytest.raises(TargetUnavailable) as caught:
            box.write()
        problem = caught.value.problem
        assert f"port {box.port} on 127.0.0.1 is taken by" in problem.what
        assert f"(pid {os.getpid()})" in problem.what
        assert problem.todo
    assert box.write() == []
    assert box.ask("/healthz").status == 200


def test_a_program_that_is_missing_is_said(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "program", lambda: "envoy-that-is-nowhere")
    with pytest.raises(TargetUnavailable, match="not installed"):
        box.write()
    monkeypatch.undo()
    assert box.write() == []
    assert box.ask("/healthz").status == 200


def test_names_that_two_claim_fail_alone(up: Box, replicas: Replicas) -> None:
    one = replicas["one"].address
    up.good(up.change(up.route("team-b/first", models=("team-b/first", "Shared")), one))
    wave = [
        up.change(up.route("team-b/second", models=("team-b/second", "sHARED")), one),
        up.change(up.route("team-b/third", models=("team-b/third", "other")), one),
        up.change(up.key("team-b/bob")),
        up.change(up.key("team-b/thief", texts=(key_text("alice"),))),
    ]
    outcomes = up.write(*wave)
    assert {outcome.change.key.name: outcome.applied for outcome in outcomes} == {
        "second": False,
        "third": True,
        "bob": True,
        "thief": False,
    }
    problem = next(outcome.problem for outcome in outcomes if outcome.change.key.name == "second")
    assert problem is not None
    assert "held by team-b/first [E60]" in problem.why
    assert problem.where == "team-b/second.yaml:1"
    assert up.ask(body={"model": "other"}, key="bob").status == 200


def test_what_envoy_refuses_fails_alone_with_its_reason(up: Box, replicas: Replicas, monkeypatch: pytest.MonkeyPatch) -> None:
    real = clusters._cluster

    def broken(name: str, entry: RouteEntry, addresses: tuple[str, ...]) -> Json:
        found = real(name, entry, addresses)
        assert isinstance(found, dict)
        return {**found, "connect_timeout": "-5s"} if "culprit" in name else found

    monkeypatch.setattr(clusters, "_cluster", broken)
    one, body = replicas["one"].address, {"model": "team-a/chat"}
    names = ["team-a/good1", "team-a/culprit", "team-a/good2", "team-a/good3"]
    with load(up, [(CHAT, body, "alice")]) as seen:
        outcomes = up.write(*(up.change(up.route(name), one) for name in names))
    assert [(outcome.change.key.name, outcome.applied) for outcome in outcomes] == [
        ("good1", True),
        ("culprit", False),
        ("good2", True),
        ("good3", True),
    ]
    problem = outcomes[1].problem
    assert problem is not None
    assert "positive duration" in problem.why
    assert seen.bad == []
    assert not up.pending()
    assert up.route("team-a/culprit").key not in up.read()
    assert up.ask("/team-a/good3/v1/models", key="alice").status == 200


def test_settings_of_the_gateway_are_applied_without_any_change_of_a_route(up: Box) -> None:
    large = b'{"x": "' + b"a" * 100_000 + b'"}'
    assert up.ask(CHAT, key="alice", raw=large).status == 200
    up.limit = 50_000
    assert up.pending()
    assert up.write() == []
    assert not up.pending()
    assert up.ask(CHAT, key="alice", raw=large).status == 413


def test_the_gateway_moves_to_another_port(up: Box) -> None:
    up.port = free_port()
    assert up.pending()
    assert up.write() == []
    assert up.ask(CHAT, {}, "alice").status == 200
    assert not up.pending()


def test_settings_that_envoy_refuses_keep_the_listener_and_stop_no_route(up: Box) -> None:
    good = up.port
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        up.port = other.getsockname()[1]
        with pytest.raises(TargetRefused, match="new settings are refused"):
            up.write()
        assert up.pending()
        [outcome] = up.write(up.change(up.route("team-a/new"), "127.0.0.1:1"))
        assert outcome.applied
        assert "refused" in outcome.message
        taken, up.port = up.port, good
        assert up.ask("/team-a/new/v1/models", key="alice").code == "no_healthy_replica"
        up.port = taken
    assert up.write() == []
    assert not up.pending()
    assert up.ask(CHAT, {}, "alice").status == 200


def test_without_run_the_files_are_written_and_it_is_said_that_nobody_answered(box: Box) -> None:
    box.run = False
    [outcome] = box.write(box.change(box.route("team-a/chat"), "127.0.0.1:1"))
    assert outcome.applied
    assert "nobody answers" in outcome.message
    assert not box.pending()
    assert local.status(box.folder) == []


def test_a_lost_lock_stops_every_further_write(up: Box) -> None:
    held = iter([True, False])
    target = open_target(up.spec, Context(up.folder, up.claim, True, lambda: 1.0, lambda: next(held, False)))
    change = up.change(up.route("team-a/chat", timeout=3.0))
    with pytest.raises(Busy), target.session([change]) as writer:
        list(writer.write([change]))
    up.towards([up.route("team-a/chat", timeout=3.0), up.key("team-a/alice")])
    assert not up.pending()


def test_changed_tells_of_a_lost_envoy_and_of_edited_files_and_not_of_our_own_writes(up: Box) -> None:
    target, heard = up.target(), threading.Semaphore(0)
    target.read({})
    change = up.change(up.route("team-a/chat", timeout=3.0))
    with target.session([change]) as writer:
        assert all(outcome.applied for outcome in writer.write([change]))
    listener = threading.Thread(target=lambda: [heard.release() for _ in target.changed()])
    listener.start()
    try:
        assert not heard.acquire(timeout=1.5)
        os.kill(up.pid(), signal.SIGKILL)
        assert heard.acquire(timeout=60)
        target.read({})
        (up.gateway / "xds/rds.json").write_bytes(b"{}")
        assert heard.acquire(timeout=60)
    finally:
        target.close()
        listener.join(10)


def test_logs_are_turned_at_their_limit(up: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    log = up.gateway / "access.log"
    up.ask(CHAT, {}, "alice")
    until(lambda: log.stat().st_size > 0)
    monkeypatch.setattr(local, "LOG_LIMIT", 10)
    local.watch_once(up.folder)
    assert (up.gateway / "access.log.1").stat().st_size > 0
    up.ask(CHAT, {}, "alice")
    until(lambda: log.exists() and b"team-a/chat" in log.read_bytes())


def test_a_folder_with_a_long_path_is_served_all_the_same(tmp_path: Path, replicas: Replicas) -> None:
    box = Box(tmp_path / ("d" * 90))
    try:
        box.good(box.change(box.route("team-a/chat"), replicas["one"].address), box.change(box.key("team-a/alice")))
        assert box.ask(CHAT, {}, "alice").status == 200
        assert not box.pending()
    finally:
        box.close()


@pytest.mark.parametrize("strategy", ["round-robin", "random", "least-request", "power-of-two"])
def test_every_strategy_uses_every_replica(up: Box, replicas: Replicas, strategy: str) -> None:
    addresses = [replicas[name].address for name in ("one", "two", "three")]
    assert up.put(up.route("team-a/chat", strategy=strategy), *addresses).applied
    assert {up.ask(CHAT, {}, "alice").replica for _ in range(60)} == {"one", "two", "three"}


def test_names_that_hold_anything_stay_names(up: Box, replicas: Replicas) -> None:
    evil = ['a"b', "a\\b", "a\nb\r\nx-evil: 1", "]] end os.exit() --", "\u6a21\u578b", '"},{"id":"x', "${x}", "%REQ(:path)%", "'"]
    served = 'ser"ved\\ \n\u00e9'
    up.good(up.change(up.route("team-a/evil", models=("team-a/evil", *evil), served_name=served), replicas["one"].address))
    for name in evil:
        answer = up.ask(body={"model": name, "x": 1}, key="alice")
        assert answer.status == 200, name
        assert json.loads(replicas["one"].asked[-1].body) == {"model": served, "x": 1}
        assert "x-evil" not in answer.headers
    listed = {row["id"] for row in up.ask("/v1/models", key="alice").json["data"]}
    assert listed == {*evil, "team-a/evil", "team-a/chat"}


def test_envoy_takes_the_folded_configuration(up: Box) -> None:
    assert local.refuses((up.gateway / "validate.json").read_bytes(), up.folder) == ""
    assert local.refuses(b'{"static_resources": {"nonsense": 1}}', up.folder)


@pytest.mark.slow
def test_hundreds_of_endpoints_and_thousands_of_keys(box: Box, replicas: Replicas) -> None:
    """More rows than one Lua function takes, in one wave; then one change among them under load."""
    one, two = replicas["one"].address, replicas["two"].address
    routes = [
        box.route(f"team-{number % 7}/ep{number}", models=(f"team-{number % 7}/ep{number}", f"alias-{number}")) for number in range(300)
    ]
    keys = [box.key(f"team-{number % 7}/k{number}") for number in range(3000)]
    wave = [Create(each, TRAFFIC, Binding(tuple((need, (one,)) for need in each.needs))) for each in [*routes, *keys]]
    box.good(*wave)
    assert not box.pending()
    for number in (0, 299):
        assert box.ask(body={"model": f"alias-{number}"}, key=f"k{number}").status == 200
    assert box.ask(body={"model": "alias-1"}, key="k2999").status == 403
    body = {"model": "alias-299"}
    with load(box, [("/v1/chat/completions", body, "k299")]) as seen:
        assert box.rebind(routes[0], two).applied
        assert box.put(box.route("team-0/another"), two).applied
        assert box.delete(routes[7]).applied
    assert seen.sent > 10
    assert seen.bad == []
    assert box.ask(body={"model": "alias-0"}, key="k0").replica == "two"
