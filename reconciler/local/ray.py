"""A Ray head on this box: started, adopted, watched, put back, and ended only when asked.

It is kept up by small steps that never wait, so that the daemon's keeper can take one twice a second; `ensure` takes them until Ray
answers, `begin` takes one. All is decided from the record in the state folder and from /proc, so whoever finds a Ray that somebody else
began goes on with it.

- GCS, dashboard and the like gone: started again at once with their own command line and environment. With the control state on disk
  nothing is lost; replicas answer all the time.
- The raylet gone: the node is gone. The rest of it is ended and the head started again; Serve brings its applications back from storage.
- A storage that the head does not come up with is put aside, and a new one begun: the repository has the list of applications.
"""

import http.client
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from reconciler.errors import LocalError
from reconciler.local import LocalProgram
from reconciler.local.hand import locked
from reconciler.local.process import alive, boot_id, command_of, environment_of, members, spawn, stop_all, tell, wait_gone
from reconciler.local.ray_head import Home, Place, choose_place, command, environment, make_temp, ports_are_free
from reconciler.local.ray_record import ROLES, Part, Record, load, save, strays

START_LIMIT: Final = 180.0  # seconds for `ray start`, and for the API after it
TRIES: Final = 3
RETRY: Final = 30.0  # seconds until a failed start is tried again by the keeper
STEP: Final = 0.05
STORM: Final = (5, 60.0)  # a head that loses so many processes within so many seconds is started again as a whole
GRACE: Final = 3.0


@dataclass(frozen=True, slots=True)
class RunningRay:
    """address: of the dashboard. host: the node's own loopback address; serve_port: for Serve's proxy. fresh: began on empty storage."""

    address: str
    token: str = field(repr=False)
    host: str
    serve_port: int
    fresh: bool
    since: float


def home_of(folder: Path, name: str) -> Home:
    return Home(folder / "local" / "ray" / name)


def homes(folder: Path) -> list[Home]:
    return [Home(path.parent) for path in sorted((folder / "local" / "ray").glob("*/ray.json"))]


def ensure(folder: Path, name: str, model_root: Path) -> RunningRay:
    """Start Ray, or adopt the one that runs; returns when its API answers. Raises LocalError when it does not come up."""
    home = home_of(folder, name)
    return _running(home, _up(home, model_root, _until_running))


def begin(folder: Path, name: str, model_root: Path) -> RunningRay | None:
    """The same without waiting: None while it starts, which the keeper goes on with. Raises LocalError for a start that failed; the keeper
    tries it again."""
    home = home_of(folder, name)
    record = _up(home, model_root, _begun)
    return _running(home, record) if record.state == "running" else None


def _up(home: Home, model_root: Path, go: Callable[[Home], Record]) -> Record:
    try:
        with locked(home.lock):
            model_root.mkdir(parents=True, exist_ok=True)
            home.point_models(model_root)
            home.read_token()
            return go(home)
    except OSError as error:
        raise LocalError(f"the local Ray's folder cannot be used: {error}", code="L3", where=str(home.folder)) from error


def _begun(home: Home) -> Record:
    record = load(home.record)
    if record is None or record.state == "stopped":
        return _start(home, record, time.time(), tries=0)
    record = _step(home, record, time.time())
    if record.state == "failed":
        raise _failed(home, record)
    return record


def _until_running(home: Home) -> Record:
    record = load(home.record)
    if record is None or record.state in ("stopped", "failed"):
        record = _start(home, record, time.time(), tries=0)
    record = _step(home, record, time.time())
    while record.state != "running":
        if record.state == "failed":
            raise _failed(home, record)
        time.sleep(STEP)
        record = _step(home, record, time.time())
    return record


def _failed(home: Home, record: Record) -> LocalError:
    return LocalError("the local Ray does not start", code="L4", why=record.reason, todo=f"see {home.log}", where=home.folder.name)


def running(folder: Path, name: str) -> RunningRay | None:
    """The Ray that was started and not stopped, whether or not it answers now; None where there is none. Starts nothing."""
    home = home_of(folder, name)
    record = load(home.record)
    return _running(home, record) if record is not None and record.state != "stopped" else None


def _running(home: Home, record: Record) -> RunningRay:
    place = record.place
    return RunningRay(place.address, home.read_token(), place.host, place.ports["serve"], record.fresh, record.since)


def watch_once(folder: Path) -> None:
    """One step for every local Ray. Cheap while all is well; never waits. Raises LocalError."""
    for home in homes(folder):
        try:
            with locked(home.lock, wait=False) as mine:
                record = load(home.record) if mine else None
                if record is not None:
                    _step(home, record, time.time())
        except OSError as error:
            raise LocalError(f"the local Ray's folder cannot be used: {error}", code="L3", where=str(home.folder)) from error


def _step(home: Home, record: Record, now: float) -> Record:
    steps = {"starting": _starting, "running": _watch, "failed": _again}
    step = steps.get(record.state)
    return record if step is None else step(home, record, now)


def _again(home: Home, record: Record, now: float) -> Record:
    return _start(home, record, now, tries=0) if now - record.since > RETRY else record


def _start(home: Home, last: Record | None, now: float, tries: int) -> Record:
    """Begin a start. What is left of the last life is ended before, because Ray refuses to start beside it."""
    if last is not None:
        _end(last)
    place = last.place if last is not None and ports_are_free(last.place) else choose_place(last.place if last else None)
    line = command(place)
    record = Record("starting", place, now, tries=tries, fresh=not home.storage.exists(), boot=boot_id())
    save(home.record, record)  # before anything else: whoever comes after a kill, or a full disk, finds all of it by the temp folder's name
    if (made := make_temp(place)) != place:
        record, line = replace(record, place=made), command(made)
        save(home.record, record)
    leader = spawn(line, environment(home), home.log, cwd=home.folder)
    record = replace(record, leader=leader, sids=(leader.sid,))
    save(home.record, record)
    return record


def _starting(home: Home, record: Record, now: float) -> Record:
    if record.leader is None:
        record = _find_leader(record)
    if record.leader is not None and alive(record.leader) and now - record.since < START_LIMIT:
        return record
    parts = _find_parts(record)
    if "gcs" not in parts or "raylet" not in parts or now - record.since >= START_LIMIT:
        return _failed_start(home, record, now)
    if not _answers(record.place, home.read_token()):
        return record
    record = replace(record, parts=_find_parts(record), tries=0).moved("running", now)
    save(home.record, record)
    return record


def _find_leader(record: Record) -> Record:
    found = strays(record.place)
    sids = tuple(sorted({proc.sid for proc in found}))
    return replace(record, leader=next((proc for proc in found if proc.pid == proc.sid), None), sids=sids)


def _failed_start(home: Home, record: Record, now: float) -> Record:
    """Another try, the last one on an empty storage. When that fails too, the storage was not why, and it is put back for a later start."""
    _end(record)
    if record.tries + 1 < TRIES:
        if record.tries + 2 == TRIES and home.storage.exists():
            shutil.rmtree(home.aside, ignore_errors=True)
            home.storage.replace(home.aside)
        return _start(home, replace(record, place=choose_place(record.place)), now, record.tries + 1)
    if home.aside.exists():
        shutil.rmtree(home.storage, ignore_errors=True)
        home.aside.replace(home.storage)
    record = record.moved("failed", now, _log_tail(home.log))
    save(home.record, record)
    return record


def _log_tail(log: Path, lines: int = 5) -> str:
    try:
        text = log.read_text(errors="replace")[-4000:]
    except OSError:
        return "it left no log"
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:]) or "it printed nothing"


def _find_parts(record: Record) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for proc in (proc for sid in record.sids for proc in members(sid)):
        argv = command_of(proc.pid)
        role = next((role for role, word in ROLES.items() if any(word in part for part in argv[:4])), None)
        if role is not None and role not in found:
            found[role] = Part(proc, tuple(argv), environment_of(proc.pid))
    return found


def _answers(place: Place, token: str) -> bool:
    connection = http.client.HTTPConnection(*place.dashboard, timeout=2)
    try:
        connection.request("GET", "/api/ray/version", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _watch(home: Home, record: Record, now: float) -> Record:
    gone = [role for role, part in record.parts.items() if not alive(part.proc)]
    if not gone:
        return record
    recent = tuple(moment for moment in record.returned if now - moment < STORM[1])
    if "raylet" in gone or len(recent) + len(gone) > STORM[0]:
        return _start(home, record, now, tries=0)
    for role in gone:
        record = _put_back(home, record, role)
    record = replace(record, returned=(*recent, *(now for _ in gone)))
    save(home.record, record)
    return record


def _put_back(home: Home, record: Record, role: str) -> Record:
    part = record.parts[role]
    proc = next((one for one in strays(record.place) if command_of(one.pid) == list(part.argv)), None)  # its starter was killed
    proc = proc or spawn(part.argv, part.env, home.log, cwd=home.folder)
    return replace(record, sids=(*record.sids, proc.sid), parts={**record.parts, role: replace(part, proc=proc)})


def _end(record: Record) -> None:
    """The raylet first: it ends its replicas, and they their engines. Then whatever is left of our sessions."""
    raylet = record.parts.get("raylet")
    if raylet is not None and alive(raylet.proc):
        tell(raylet.proc, signal.SIGTERM)
        wait_gone([raylet.proc], GRACE)
    for _ in range(3):  # a process that ends may have started one more
        left = record.processes()
        if not left:
            return
        stop_all(left, GRACE)


def status(folder: Path) -> list[LocalProgram]:
    """Every Ray of this state folder, as a person sees it."""
    return [_program(home, record) for home in homes(folder) if (record := load(home.record)) is not None]


def _program(home: Home, record: Record) -> LocalProgram:
    processes = record.processes()
    lost = [role for role, part in record.parts.items() if not alive(part.proc)]
    state = {"stopped": "not running", "failed": "not running", "starting": "starting"}.get(record.state, "running")
    if state == "running" and lost:
        state = "partly running" if processes else "not running"
    gcs = record.parts.get("gcs")
    note = record.reason or (f"gone: {', '.join(sorted(lost))}" if lost and record.state == "running" else "")
    return LocalProgram(
        f"ray {home.folder.name}", state, gcs.proc.pid if gcs and not lost else 0, len(processes), record.place.address, str(home.log), note
    )


def stop(folder: Path) -> None:
    """End every Ray of this state folder with its replicas; remove its temp folder, keep its control state. Raises LocalError."""
    for home in homes(folder):
        with locked(home.lock):
            record = load(home.record)
            if record is not None:
                _stop_one(home, record)


def _stop_one(home: Home, record: Record) -> None:
    save(home.record, record.moved("stopped", time.time()))  # first: nobody may put back what is being ended
    _end(record)
    if left := record.processes():
        pids = ", ".join(str(proc.pid) for proc in left)
        raise LocalError(f"processes of the local Ray do not end: {pids}", code="L5", where=home.folder.name)
    shutil.rmtree(record.place.temp, ignore_errors=True)
    save(home.record, replace(record.moved("stopped", time.time()), parts={}, sids=(), leader=None))
