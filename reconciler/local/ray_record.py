"""What we remember of a local Ray: enough to find exactly its processes again after our own end, and to put each of them back.

state: `starting` (a `ray start` is under way), `running`, `failed` (with the reason), `stopped` (on purpose: nobody puts it back).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from reconciler.local.process import Proc, alive, boot_id, command_of, identify, members
from reconciler.local.ray_head import Place
from reconciler.resource import Json

# Head processes by what their command line holds. The raylet is the node: with it everything ends. Each other one can be put back.
ROLES: Final = {
    "gcs": "/gcs_server",
    "raylet": "/raylet/raylet",
    "dashboard": "/dashboard/dashboard.py",
    "log_monitor": "/log_monitor.py",
    "client": "ray.util.client.server",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One head process, with what it takes to start it again."""

    proc: Proc
    argv: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """since: when this state began, seconds since the epoch. sids: every session that holds processes of this Ray. tries: starts that
    failed in a row. fresh: this life began on an empty storage. returned: when parts were put back lately."""

    state: str
    place: Place
    since: float
    sids: tuple[int, ...] = ()
    leader: Proc | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    tries: int = 0
    fresh: bool = False
    reason: str = ""
    boot: str = ""
    returned: tuple[float, ...] = ()

    def moved(self, state: str, now: float, reason: str = "") -> "Record":
        return replace(self, state=state, since=now, reason=reason)

    def processes(self) -> list[Proc]:
        """Everything of this Ray that is alive: head, replicas, engines; also what was started a moment before its starter was killed."""
        if self.boot != boot_id():
            return []
        known = [part.proc for part in self.parts.values()] + ([self.leader] if self.leader else [])
        living = {proc.sid for proc in known if alive(proc)}
        sids = {*self.sids, *(proc.sid for proc in strays(self.place))}
        return [proc for sid in sorted(sids) for proc in members(sid) if sid in living or _is_rays(proc, self.place)]


def strays(place: Place) -> list[Proc]:
    """Ray's own processes of a place, whoever started them: its temp folder, a name of ours alone, is in their command lines."""
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    found = (identify(pid) for pid in pids if _is_head(command_of(pid), place))
    return [proc for proc in found if proc is not None]


def _is_head(argv: list[str], place: Place) -> bool:
    return any(place.temp in part for part in argv) and any("/ray/" in part or part.startswith("ray.") for part in argv[:4])


def _is_rays(proc: Proc, place: Place) -> bool:
    """In a session none of whose known processes lives any more, the number alone proves nothing."""
    argv = command_of(proc.pid)
    return _is_head(argv, place) or " ".join(argv).startswith("ray::")


def load(path: Path) -> Record | None:
    """The record, or None where there is none or it cannot be understood."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    place = Place.from_json(value.get("place")) if isinstance(value, dict) else None
    if place is None:
        return None
    parts = {name: part for name, raw in value["parts"].items() if (part := _part(raw)) is not None}
    return Record(
        state=value["state"],
        place=place,
        since=value["since"],
        sids=tuple(value["sids"]),
        leader=Proc.from_json(value["leader"]),
        parts=parts,
        tries=value["tries"],
        fresh=value["fresh"],
        reason=value["reason"],
        boot=value["boot"],
        returned=tuple(value["returned"]),
    )


def _part(raw: Mapping[str, Json]) -> Part | None:
    proc, argv, env = Proc.from_json(raw["proc"]), raw["argv"], raw["env"]
    if proc is None or not isinstance(argv, list) or not isinstance(env, dict):
        return None
    return Part(proc, tuple(str(word) for word in argv), {name: str(value) for name, value in env.items()})


def save(path: Path, record: Record) -> None:
    """Whole or not at all, and for nobody else to read."""
    parts = {name: {"proc": part.proc.as_json(), "argv": list(part.argv), "env": dict(part.env)} for name, part in record.parts.items()}
    value = {
        "state": record.state,
        "place": record.place.as_json(),
        "since": record.since,
        "sids": list(record.sids),
        "leader": record.leader.as_json() if record.leader else None,
        "parts": parts,
        "tries": record.tries,
        "fresh": record.fresh,
        "reason": record.reason,
        "boot": record.boot,
        "returned": list(record.returned),
    }
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file)
    fresh.replace(path)
