"""Talking to the daemon of a state folder: who it is, what it saw, and a pass at once. JSON lines over a Unix socket in the folder."""

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from reconciler.errors import Busy, Problem, ReconcilerError, StateError
from reconciler.report.status_json import RunningDaemon, Seen
from reconciler.resource import Json
from reconciler.state.folder import StateFolder

LOCK: Final = "run.lock"
SHORT: Final = 100  # bytes; a Unix socket's name has at most 107
STARTING: Final = 10.0  # seconds from a daemon's lock to its socket, at most
LONGEST: Final = 64 << 20  # bytes of an answer


class NoDaemon(ReconcilerError):
    """Nobody runs on this state folder."""

    default_code = "D1"


class DaemonRefused(ReconcilerError):
    """The daemon could not do what it was asked."""

    default_code = "D2"


def holder(folder: Path) -> RunningDaemon | None:
    """The daemon that runs on this state folder, by the lock that it holds: the kernel lets go of it when it dies."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(os.pread(descriptor, 4096, 0))
    finally:
        os.close(descriptor)
    return None


def _named(text: bytes) -> RunningDaemon:
    try:
        found = json.loads(text)
        return RunningDaemon(int(found["pid"]), float(found["since"]))
    except (ValueError, KeyError, TypeError):
        return RunningDaemon(0, 0.0)


@contextmanager
def address(folder: Path) -> Iterator[str]:
    """The name under which the folder's socket is bound and found: a long path goes through a descriptor of the folder."""
    path = StateFolder(folder).socket_path
    if len(os.fsencode(path)) <= SHORT:
        yield str(path)
        return
    if sys.platform != "linux":
        raise StateError("the path of the state folder is too long for a socket", where=str(folder), todo="name a shorter one with --state")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def ask(folder: Path, question: Mapping[str, Json], timeout: float | None = None) -> Mapping[str, Json]:
    """One question, one answer. Raises NoDaemon, or DaemonRefused with the daemon's own words. timeout None: as long as a pass takes."""
    try:
        with address(folder) as name, socket.socket(socket.AF_UNIX) as line:
            line.settimeout(timeout)
            _connect(line, name, folder)
            line.sendall(json.dumps(question).encode() + b"\n")
            answer = _read(line)
    except OSError as error:
        raise _unreachable(folder, error) from error
    if not answer:
        raise DaemonRefused("the daemon ended before it answered", todo="see its log; start it again with `reconciler run`")
    return _checked(json.loads(answer))


def _connect(line: socket.socket, name: str, folder: Path) -> None:
    """A daemon that has just started has its lock before its socket: it is given a moment."""
    end = time.monotonic() + STARTING
    while True:
        try:
            return line.connect(name)
        except (FileNotFoundError, ConnectionRefusedError):
            if holder(folder) is None or time.monotonic() > end:
                raise
        time.sleep(0.05)


def _read(line: socket.socket) -> bytes:
    with line.makefile("rb") as stream:
        return stream.readline(LONGEST)


def _checked(answer: Mapping[str, Json]) -> Mapping[str, Json]:
    refused = answer.get("error")
    if not isinstance(refused, Mapping):
        return answer
    parts = {name: str(refused.get(name, "")) for name in ("what", "why", "todo", "where", "code")}
    raise DaemonRefused(parts.pop("what"), **parts)


def _unreachable(folder: Path, error: OSError) -> ReconcilerError:
    running = holder(folder)
    if running is None:
        todo = "start one with `reconciler run`, or use `reconciler apply`"
        return NoDaemon("no daemon runs on this state folder", where=str(folder), todo=todo)
    what = f"the daemon (pid {running.pid}) does not answer: {error.strerror or error}"
    return Busy(what, where=str(folder), todo="see its log", code="D2")


def last_seen(folder: Path) -> Seen:
    """What the last pass saw: from the record, with the daemon's word on when that was, where one runs. Raises StateError."""
    record = StateFolder(folder).load()
    running, at = holder(folder), record.at
    if running is not None:
        try:
            told = ask(folder, {"op": "status"}, 2.0).get("passAt")
            at = max(at, told) if isinstance(told, int | float) else at
        except ReconcilerError:
            pass  # it is just starting or ending; the record says enough
    statuses = tuple(status for _, status in sorted(record.statuses.items()))
    return Seen(statuses, record.remembered.revision, at, running)


def problem_json(problem: Problem) -> Mapping[str, Json]:
    """A problem as `ask` reads it."""
    parts = {"what": problem.what, "why": problem.why, "todo": problem.todo, "where": problem.where, "code": problem.code}
    return {"error": cast(Json, parts)}
