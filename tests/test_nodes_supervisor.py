"""The engine as a child: what it is started with, how it ends, and that nothing of it stays behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.nodes.supervisor import EngineError, EngineProcess, EngineSpec, Port, fill, fill_part

PARENT = """
import sys, time
from reconciler.nodes.supervisor import EngineProcess, EngineSpec
engine = EngineProcess(EngineSpec(("sh", "-c", "sleep 60 & echo $! ; wait")), lambda line: None, lambda reason: None)
while not engine.tail: time.sleep(0.01)
print(engine.process.pid, engine.tail[0], flush=True)
time.sleep(60)
"""


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


class Engines:
    def __init__(self) -> None:
        self.started: list[EngineProcess] = []
        self.log: list[str] = []
        self.ended = threading.Event()
        self.reasons: list[str] = []

    def start(self, *command: str, **fields: Any) -> EngineProcess:
        self.started.append(EngineProcess(EngineSpec(command, **fields), self.log.append, self.end))
        return self.started[-1]

    def end(self, reason: str) -> None:
        self.reasons.append(reason)
        self.ended.set()

    def said(self, *words: str, **fields: Any) -> str:
        self.start(*words, **fields)
        assert self.ended.wait(10)
        return "\n".join(self.log)


@pytest.fixture
def engines() -> Iterator[Engines]:
    engines = Engines()
    yield engines
    for engine in engines.started:
        engine.stop(0.1)


def test_placeholders_are_filled_and_other_braces_stay() -> None:
    values = {"host": "127.0.0.1", "port": "1"}

    assert fill('--x {host}:{port} {"a": {"b": 1}} {other}', values) == '--x 127.0.0.1:1 {"a": {"b": 1}} {other}'


def test_a_model_is_below_the_root_of_its_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_MODEL_ROOT", str(tmp_path))
    for name in ("a-q4.gguf", "b-q4.gguf", "b-q8.gguf"):
        (tmp_path / name).touch()

    assert fill_part("{models}/any.gguf", {}) == f"{tmp_path}/any.gguf"
    assert fill_part("{models}/*q8.gguf", {}) == f"{tmp_path}/b-q8.gguf"
    with pytest.raises(EngineError, match=r"\*q4.gguf matches 2 files .*: a-q4.gguf, b-q4.gguf; name exactly one"):
        fill_part("{models}/*q4.gguf", {})
    with pytest.raises(EngineError, match=r"matches 0 files .*: none"):
        fill_part("{models}/c*", {})


def test_a_node_without_a_model_root_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECONCILER_MODEL_ROOT", raising=False)

    with pytest.raises(EngineError, match="RECONCILER_MODEL_ROOT"):
        fill_part("{models}/any.gguf", {})


def test_the_engine_gets_a_clean_environment_and_its_own(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/the/token")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")

    said = engines.said("env", env={"PORT": "{port}", "JSON": '{"a": {}}'})

    assert "/the/token" not in said
    assert "OMP_NUM_THREADS" not in said
    assert "CUDA_VISIBLE_DEVICES=3" in said
    assert 'JSON={"a": {}}' in said
    assert f"PORT={engines.started[0].port.number}" in said


def test_a_secret_reaches_the_engine_and_no_log(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_very_secret\n")

    said = engines.said(
        "sh", "-c", 'echo "[$HF_TOKEN]"; [ "$HF_TOKEN" = hf_very_secret ] && echo equal', secret_files={"HF_TOKEN": str(tmp_path / "token")}
    )

    assert said == "[***]\nequal"
    assert "hf_very_secret" not in engines.reasons[0]


def test_a_secret_that_is_not_there_is_named(engines: Engines, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"secret for HF_TOKEN: .*/missing cannot be read"):
        engines.start("true", secret_files={"HF_TOKEN": str(tmp_path / "missing")})


@pytest.mark.parametrize("command", [("no-such-engine",), ("/etc/hostname",)])
def test_a_program_that_cannot_be_started_is_named(engines: Engines, command: tuple[str, ...]) -> None:
    with pytest.raises(EngineError, match=f"engine program {command[0]} cannot be started on node {socket.gethostname()}"):
        engines.start(*command)


def test_an_engine_that_ends_says_how_and_with_which_words(engines: Engines) -> None:
    engines.start("sh", "-c", "echo loading; echo out of memory >&2; exit 3")

    assert engines.ended.wait(10)
    assert engines.reasons == ["engine exited with code 3: loading | out of memory"]


def test_an_engine_that_is_killed_is_noticed_although_a_worker_holds_its_output(engines: Engines) -> None:
    engine = engines.start("sh", "-c", "sleep 60 & echo $!; wait")
    until(lambda: engine.tail)

    engine.process.send_signal(signal.SIGKILL)

    assert engines.ended.wait(10)
    assert "was killed by SIGKILL" in engines.reasons[0]
    until(lambda: not is_running(int(engine.tail[0])))


def test_a_stop_ends_the_whole_group_and_tells_nobody(engines: Engines) -> None:
    engine = engines.start("sh", "-c", "trap '' TERM; sleep 60 & echo $!; wait; sleep 60")
    until(lambda: engine.tail)

    engine.stop(0.2)

    assert not is_running(engine.process.pid)
    until(lambda: not is_running(int(engine.tail[0])))
    assert not engines.ended.is_set()


def test_a_replica_that_is_killed_takes_its_engine_and_the_engines_workers_along() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        engine, worker = map(int, parent.stdout.readline().split())
        assert os.getpgid(engine) != os.getpgid(parent.pid)
        assert os.getsid(engine) == os.getsid(parent.pid)

        parent.kill()

    until(lambda: not is_running(engine) and not is_running(worker), 5)


def test_a_port_that_somebody_took_is_told_from_other_ends(engines: Engines) -> None:
    for words, taken in (("OSError: [Errno 98] Address already in use", True), ("no CUDA device", False)):
        engine = engines.start("sh", "-c", f"echo '{words}'; exit 1")
        until(lambda engine=engine: engine.dead() and engine.tail)
        assert engine.port_was_taken() is taken


def test_two_replicas_never_choose_one_port() -> None:
    ports = [Port() for _ in range(30)]

    assert len({port.number for port in ports}) == 30
    for port in ports:
        port.release()


def test_a_line_without_end_and_bytes_that_are_no_text_do_not_hurt(engines: Engines) -> None:
    said = engines.said("sh", "-c", r"head -c 30000 /dev/zero | tr '\0' x; printf '\n\377\376 end\n'")

    assert said.endswith("end")
    assert max(len(line) for line in engines.log) <= 8192


@pytest.mark.parametrize(
    "args", [{"command": []}, {"command": 5}, {"command": ["a"], "env": ["x"]}, {"command": ["a"], "secret_files": "x"}]
)
def test_args_of_another_shape_are_refused(args: dict[str, object]) -> None:
    with pytest.raises(EngineError):
        EngineSpec.from_args(args)


def test_args_that_only_make_a_difference_are_let_through() -> None:
    spec = EngineSpec.from_args({"command": ["a"], "_attempt": 3, "restartedAt": "now", "node_version": "1"})

    assert (spec.health_path, spec.startup_timeout_s) == ("/health", 600.0)
