"""What we remember of a local Envoy: enough to find exactly this process again, and to start it again with the same files.

state: `running`, `failed` (with the reason; tried again after a while), `stopped` (on purpose: nobody puts it back).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from reconciler.local.process import Proc
from reconciler.resource import Json


@dataclass(frozen=True, slots=True)
class Launch:
    """What an Envoy is started with. directory: absolute, holds its files; address, port: where it listens for clients."""

    directory: str
    address: str
    port: int
    workers: int

    @classmethod
    def from_json(cls, value: Json) -> "Launch | None":
        if not isinstance(value, Mapping):
            return None
        directory, address, port, workers = (value.get(name) for name in ("directory", "address", "port", "workers"))
        if not (isinstance(directory, str) and isinstance(address, str) and isinstance(port, int) and isinstance(workers, int)):
            return None
        return cls(directory, address, port, workers)


@dataclass(frozen=True, slots=True)
class Record:
    """since: when this state began, seconds since the epoch. returned: when it was put back lately."""

    state: str
    launch: Launch
    since: float
    proc: Proc | None = None
    reason: str = ""
    returned: tuple[float, ...] = ()

    def moved(self, state: str, now: float, reason: str = "") -> "Record":
        return replace(self, state=state, since=now, reason=reason)


def load(path: Path) -> Record | None:
    """The record, or None where there is none or it cannot be understood."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    launch = Launch.from_json(value.get("launch")) if isinstance(value, dict) else None
    if launch is None:
        return None
    since, returned = value.get("since"), value.get("returned")
    return Record(
        str(value.get("state")),
        launch,
        float(since) if isinstance(since, int | float) else 0.0,
        Proc.from_json(value.get("proc")),
        str(value.get("reason", "")),
        tuple(float(moment) for moment in returned if isinstance(moment, int | float)) if isinstance(returned, list) else (),
    )


def save(path: Path, record: Record) -> None:
    """Whole or not at all."""
    part = path.with_name(path.name + ".tmp")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(record), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
