"""Processes that outlive us: known by pid, start time and boot; started apart from us; ended politely, then hard."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.errors import LocalError
from reconciler.local import process
from reconciler.local.process import Proc, alive, members, spawn, stop, tell

ENV = dict(os.environ)
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Proc]]:
    procs: list[Proc] = []

    def start(*argv: str, cwd: Path | None = None) -> Proc:
        procs.append(spawn(argv, ENV, tmp_path / "log", cwd))
        return procs[-1]

    yield start
    for proc in procs:
        process.stop_all(members(proc.sid), 0.1)


def wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_process_has_a_session_of_its_own_and_no_terminal(started: Callable[..., Proc], tmp_path: Path) -> None:
    proc = started("sh", "-c", "sleep 60")

    assert alive(proc)
    assert proc.pid == proc.sid == os.getsid(proc.pid) == os.getpgid(proc.pid)
    assert os.readlink(f"/proc/{proc.pid}/fd/0") == os.devnull
    assert os.readlink(f"/proc/{proc.pid}/fd/1") == str(tmp_path / "log")
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_session_is_listed_with_its_leader_first(started: Callable[..., Proc]) -> None:
    proc = started("sh", "-c", "sleep 60 & sleep 60 & wait")

    wait(lambda: len(members(proc.sid)) == 3)
    assert members(proc.sid)[0] == proc
    stop(proc, 1.0)
    assert len(members(proc.sid)) == 2


def test_it_starts_where_it_is_told_and_appends_to_its_log(started: Callable[..., Proc], tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    folder = tmp_path / "a b"
    folder.mkdir()
    proc = started("pwd", cwd=folder)

    wait(lambda: not alive(proc))
    assert (tmp_path / "log").read_text() == f"before\n{folder}\n"


def test_a_log_that_has_grown_is_put_aside_once(started: Callable[..., Proc], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_LIMIT", 3)
    (tmp_path / "log").write_text("long\n")

    wait_for = started("true")

    wait(lambda: not alive(wait_for))
    assert (tmp_path / "log.1").read_text() == "long\n"
    assert (tmp_path / "log").read_text() == ""


def test_signals_that_we_ignore_are_not_ignored_there(started: Callable[..., Proc]) -> None:
    old = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        proc = started("sleep", "60")
    finally:
        signal.signal(signal.SIGTERM, old)

    tell(proc, signal.SIGTERM)

    wait(lambda: not alive(proc))


def test_a_child_that_has_ended_is_not_alive_although_nobody_waited(started: Callable[..., Proc]) -> None:
    proc = started("true")

    wait(lambda: not alive(proc))
    assert process.identify(proc.pid) is None


def test_a_recycled_pid_is_another_process(started: Callable[..., Proc]) -> None:
    proc = started("sleep", "60")

    for other in (replace(proc, started=proc.started - 1), replace(proc, boot="an earlier boot")):
        assert not alive(other)
        tell(other, signal.SIGKILL)
        stop(other, 0.1)
    assert alive(proc)


def test_stop_is_polite_and_then_hard(started: Callable[..., Proc], tmp_path: Path) -> None:
    polite, stubborn = started("sleep", "60"), started("sh", "-c", STUBBORN)
    wait(lambda: "ready" in (tmp_path / "log").read_text())

    stop(polite, 5.0)
    before = time.monotonic()
    stop(stubborn, 0.2)

    assert not alive(polite)
    assert not alive(stubborn)
    assert time.monotonic() - before >= 0.2


def test_it_survives_the_hard_end_of_its_starter(tmp_path: Path) -> None:
    code = "import json, os, sys; from pathlib import Path; from reconciler.local.process import spawn; "
    code += "print(json.dumps(spawn(['sleep', '60'], dict(os.environ), Path(sys.argv[1])).as_json()), flush=True); os.kill(os.getpid(), 9)"
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path / "log")], capture_output=True, text=True, check=False)

    proc = Proc.from_json(json.loads(said.stdout))

    assert said.returncode == -signal.SIGKILL
    assert proc is not None
    assert alive(proc)
    stop(proc, 1.0)
    assert not alive(proc)


@pytest.mark.parametrize("value", [None, [], {}, {"pid": "1"}, {"pid": 0, "started": 1, "sid": 1, "boot": "x"}])
def test_what_is_no_process_is_none(value: object) -> None:
    assert Proc.from_json(value) is None  # type: ignore[arg-type]


def test_a_program_that_is_not_there_or_cannot_run(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="no-such-program is not installed"):
        spawn(["no-such-program"], ENV, tmp_path / "log")
    (tmp_path / "folder").write_text("")
    with pytest.raises(LocalError, match="can be written"):
        spawn(["true"], ENV, tmp_path / "folder" / "log")


def test_command_line_and_environment_can_be_read_back(started: Callable[..., Proc]) -> None:
    proc = started("sleep", "60")

    wait(lambda: process.command_of(proc.pid))
    assert process.command_of(proc.pid)[-1] == "60"
    assert process.environment_of(proc.pid)["PATH"] == ENV["PATH"]
    assert process.command_of(2**22 + 1) == []
    assert process.environment_of(2**22 + 1) == {}
