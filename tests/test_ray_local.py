"""What a local Ray is started with, and what is remembered of it. The real one: tests/real/test_ray.py."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from reconciler.errors import LocalError
from reconciler.local import ray, ray_head
from reconciler.local.process import Proc, alive, boot_id, members, spawn, stop_all
from reconciler.local.ray_head import PORTS, Home, Place, choose_place, command, environment, free_ports, make_temp
from reconciler.local.ray_record import Part, Record, load, save

PLACE = Place("127.70.1.2", {name: 20000 + number for number, name in enumerate(PORTS)}, "/tmp/rcl-abcdef")


def record(**fields: object) -> Record:
    part = Part(Proc(4711, 1, 4700, "boot"), ("/x/gcs_server", "--a"), {"A": "b"})
    values = {"sids": (4700,), "leader": Proc(4700, 1, 4700, "boot"), "parts": {"gcs": part}, "boot": "boot", "returned": (1.0,), **fields}
    return Record("running", PLACE, 5.0, **values)  # type: ignore[arg-type]


def test_what_is_remembered_is_read_back_and_private(tmp_path: Path) -> None:
    save(tmp_path / "ray.json", record())

    assert load(tmp_path / "ray.json") == record()
    assert (tmp_path / "ray.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"place": {"ports": {}}}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "ray.json").write_text(text)

    assert load(tmp_path / "ray.json") is None
    assert load(tmp_path / "missing.json") is None


def test_processes_of_another_boot_are_never_ours() -> None:
    assert record(sids=(os.getsid(0),)).processes() == []


def test_a_session_that_only_has_the_number_is_not_ours(tmp_path: Path) -> None:
    stranger = spawn(["sleep", "60"], dict(os.environ), tmp_path / "log")
    try:
        assert record(boot=boot_id(), sids=(stranger.sid,)).processes() == []
        assert record(boot=boot_id(), sids=(stranger.sid,), leader=stranger).processes() == [stranger]
    finally:
        stop_all(members(stranger.sid), 1.0)


def test_ports_are_free_different_and_out_of_the_kernels_way() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = free_ports(10)

    assert len(set(ports)) == 10
    assert all(20000 <= port < 29900 for port in ports)


def test_a_place_is_new_every_time_and_keeps_what_the_control_state_knows() -> None:
    first, second = choose_place(), choose_place()
    moved = choose_place(first)

    assert first.host != second.host
    assert first.temp != second.temp
    assert len(first.temp) < 60
    assert (moved.host, moved.temp, moved.ports["serve"]) == (first.host, first.temp, first.ports["serve"])


def test_a_temp_folder_that_somebody_has_taken_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp")
    (tmp_path / "taken").write_text("theirs")
    place = make_temp(Place("127.70.1.2", PLACE.ports, str(tmp_path / "taken")))
    try:
        assert place.temp.startswith("/tmp/rcl-")
        assert make_temp(place) == place
    finally:
        os.rmdir(place.temp)


def test_the_head_listens_where_it_can_on_loopback_and_never_without_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TOKEN", "secret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    line, env = command(PLACE), environment(Home(tmp_path))

    assert "--head" in line
    assert "--block" not in line
    assert {"--dashboard-host=127.0.0.1", "--node-ip-address=127.70.1.2", "--min-worker-port=0"} <= set(line)
    assert env["RAY_AUTH_MODE"] == "token"
    assert env["RAY_SERVE_ENABLE_DIRECT_INGRESS"] == "1"
    assert env["RAY_gcs_storage"] == "rocksdb"
    assert env["LC_ALL"] == "C.UTF-8"
    assert "secret" not in json.dumps(env)
    assert "secret" not in json.dumps(line)


def test_without_ray_installed_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(LocalError, match=r"reconciler\[ray\]"):
        command(PLACE)


def test_the_token_is_made_once_and_private(tmp_path: Path) -> None:
    home = Home(tmp_path)

    token = home.read_token()

    assert len(token) == 64
    assert home.read_token() == token
    assert home.token.stat().st_mode & 0o777 == 0o600


def test_the_model_root_can_be_pointed_elsewhere(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for name in ("one", "two", "two"):
        (tmp_path / name).mkdir(exist_ok=True)
        home.point_models(tmp_path / name)
        assert home.models.resolve() == (tmp_path / name).resolve()


def test_a_head_that_does_not_start_is_tried_again_and_then_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []

    def failing(place: Place) -> list[str]:
        starts.append((ray.home_of(tmp_path, "lab").storage / "kept").exists())
        return ["sh", "-c", "echo the disk is full; exit 1"]

    monkeypatch.setattr(ray, "command", failing)
    storage = ray.home_of(tmp_path, "lab").storage
    storage.mkdir(parents=True)
    (storage / "kept").touch()

    with pytest.raises(LocalError, match="the disk is full"):
        ray.ensure(tmp_path, "lab", tmp_path / "models")

    (program,) = ray.status(tmp_path)
    ray.stop(tmp_path)
    assert starts == [True, True, False]
    assert (storage / "kept").exists()
    assert (program.state, program.processes) == ("not running", 0)
    assert "the disk is full" in program.note


def test_who_may_not_wait_is_told_that_it_starts_and_later_why_it_did_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tries are the keeper's to count: who asks again begins none of its own."""
    starts: list[Place] = []
    may_end = tmp_path / "may-end"

    def failing(place: Place) -> list[str]:
        starts.append(place)
        return ["sh", "-c", f"until [ -e {may_end} ]; do sleep 0.05; done; echo the disk is full; exit 1"]

    def begin() -> ray.RunningRay | None:
        return ray.begin(tmp_path, "lab", tmp_path / "models")

    monkeypatch.setattr(ray, "command", failing)
    assert [begin(), begin(), len(starts)] == [None, None, 1]

    may_end.touch()
    end = time.monotonic() + 30
    while ray.status(tmp_path)[0].state == "starting":
        assert time.monotonic() < end
        ray.watch_once(tmp_path)
    for _ in range(2):
        with pytest.raises(LocalError, match="the disk is full"):
            begin()
    ray.stop(tmp_path)
    assert len(starts) == ray.TRIES


def test_a_record_that_cannot_be_kept_starts_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("127.70.1.2", PLACE.ports, str(tmp_path / "temp"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ray, "choose_place", lambda last=None: place)
    monkeypatch.setattr(ray, "save", full)
    with pytest.raises(LocalError, match="No space left"):
        ray.ensure(tmp_path, "lab", tmp_path / "models")

    assert not Path(place.temp).exists()


def test_nothing_is_put_back_after_a_stop(tmp_path: Path) -> None:
    home = ray.home_of(tmp_path, "lab")
    home.folder.mkdir(parents=True)
    save(home.record, record().moved("stopped", 0.0))

    ray.watch_once(tmp_path)

    assert ray.running(tmp_path, "lab") is None
    assert ray.status(tmp_path)[0].state == "not running"


def test_a_process_of_the_head_is_put_back_with_its_own_words(tmp_path: Path) -> None:
    home = ray.home_of(tmp_path, "lab")
    home.folder.mkdir(parents=True)
    raylet = spawn(["sleep", "60"], dict(os.environ), tmp_path / "log")
    gone = Proc(raylet.pid, raylet.started - 1, raylet.sid, raylet.boot)
    parts = {"raylet": Part(raylet, ("sleep", "60"), {}), "gcs": Part(gone, ("sleep", "61"), {"PATH": os.environ["PATH"]})}
    save(home.record, record(parts=parts, sids=(raylet.sid,), leader=None, boot=boot_id(), returned=()))
    try:
        ray.watch_once(tmp_path)
        after = load(home.record)
        assert after is not None
        put_back = after.parts["gcs"].proc
        assert alive(put_back)
        assert put_back.sid in after.sids
        assert after.parts["raylet"].proc == raylet
        assert ray.status(tmp_path)[0].processes == 2
    finally:
        ray.stop(tmp_path)
    assert not alive(raylet)
    assert not alive(put_back)


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "local").write_text("a file")

    with pytest.raises(LocalError, match="L3"):
        ray.ensure(tmp_path, "lab", tmp_path / "models")


def test_a_place_without_room_for_sockets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/" + "x" * 80)
    monkeypatch.setattr(ray_head.os, "access", lambda *_: False)

    with pytest.raises(LocalError, match="short"):
        choose_place()
