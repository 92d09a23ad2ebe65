"""Processes that outlive us, known by more than a number.

A process is `pid` + start time + boot: a recycled pid is never taken for ours and never signalled. What we start here gets a session of
its own (setsid), no terminal, default signals, and no file of ours but its log: our end, however hard, ends nothing of it. Linux only:
everything is read from /proc.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.errors import LocalError
from reconciler.resource import Json

LOG_LIMIT = 16 * 1024 * 1024  # bytes; a log above it is put aside once, when its program is started again
POLL = 0.02


@dataclass(frozen=True, slots=True)
class Proc:
    """started: clock ticks since boot (field 22 of /proc/<pid>/stat); boot: the kernel's id of this boot."""

    pid: int
    started: int
    sid: int
    boot: str

    def as_json(self) -> dict[str, Json]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Json) -> "Proc | None":
        """The process in a JSON value, or None where it is not one."""
        if not isinstance(value, Mapping):
            return None
        numbers = [value.get(name) for name in ("pid", "started", "sid")]
        pid, started, sid = (number if isinstance(number, int) else 0 for number in numbers)
        return cls(pid, started, sid, str(value.get("boot", ""))) if pid > 0 else None


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Proc | None:
    """The running process with this pid; None for none and for a zombie."""
    fields = _stat(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return None
    return Proc(pid, int(fields[19]), int(fields[3]), boot_id())


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from the third on: the name before them may hold blanks and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def alive(proc: Proc) -> bool:
    """Is it still this process? A child of ours that has ended is reaped on the way."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(proc.pid, os.WNOHANG)
    return identify(proc.pid) == proc


def command_of(pid: int) -> list[str]:
    """Its command line; empty when it is gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.rstrip(b"\0").split(b"\0")] if raw else []


def environment_of(pid: int) -> dict[str, str]:
    """The environment that it was started with; empty when it is gone or not ours to see."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (part.decode(errors="surrogateescape").partition("=") for part in raw.split(b"\0") if b"=" in part)
    return {name: value for name, _, value in pairs}


def members(sid: int) -> list[Proc]:
    """Everything alive in a session, its leader first."""
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    found = (identify(pid) for pid in sorted(pids) if _sid(pid) == sid)
    return sorted((proc for proc in found if proc is not None), key=lambda proc: (proc.pid != sid, proc.started))


def _sid(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def spawn(argv: Sequence[str], env: Mapping[str, str], log: Path, cwd: Path | None = None) -> Proc:
    """Start a program in a session of its own, output appended to `log` (0600). Raises LocalError when it cannot be started."""
    program = shutil.which(argv[0], path=env.get("PATH"))
    if program is None:
        raise LocalError(
            f"{argv[0]} is not installed", code="L2", why="it is not on PATH", todo="install it, or use a target that is already running"
        )
    line = list(argv) if cwd is None else ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(cwd), program, *argv[1:]]
    try:
        pid = _spawn(program if cwd is None else "/bin/sh", line, env, _turn(log))
    except OSError as error:
        raise LocalError(
            f"{argv[0]} does not start", code="L2", why=str(error), todo=f"see that it can be run, and that {log} can be written"
        ) from error
    started = _stat(pid)
    return Proc(pid, int(started[19]) if started else 0, pid, boot_id())


def _spawn(program: str, line: list[str], env: Mapping[str, str], log: Path) -> int:
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    usual = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    return os.posix_spawn(program, line, dict(env), file_actions=actions, setsid=True, setsigmask=[], setsigdef=usual)


def _turn(log: Path) -> Path:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_name(log.name + ".1"))
    return log


def tell(proc: Proc, number: signal.Signals) -> None:
    """Send a signal, to this process and no other that has got its pid meanwhile."""
    try:
        handle = os.pidfd_open(proc.pid)
    except OSError:
        return
    try:
        if alive(proc):  # asked while the handle is open: from here on the pid cannot mean another one
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def wait_gone(procs: Sequence[Proc], seconds: float) -> list[Proc]:
    """Those still alive after at most `seconds`."""
    end = time.monotonic() + seconds
    left = [proc for proc in procs if alive(proc)]
    while left and time.monotonic() < end:
        time.sleep(POLL)
        left = [proc for proc in left if alive(proc)]
    return left


def stop(proc: Proc, grace: float) -> None:
    """SIGTERM, and SIGKILL when it is still there after `grace` seconds. Returns when it is gone."""
    stop_all([proc], grace)


def stop_all(procs: Sequence[Proc], grace: float) -> None:
    """The same for several at once."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        for proc in procs:
            tell(proc, number)
        procs = wait_gone(procs, seconds)
