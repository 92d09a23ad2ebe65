"""The state folder: one record, one lock per target, and the places of what else lies there.

Writes are a temporary file, fsync, rename: a kill or a full disk leaves the old record or the new one, never half of one.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec

from reconciler.checkpoint import reach
from reconciler.errors import StateError
from reconciler.state.lock import Lock
from reconciler.state.record import Reader, Record, as_json


class Held(Protocol):
    """A lock as the pass sees it."""

    def held(self) -> bool: ...

    def release(self) -> None: ...


class State(Protocol):
    """What a pass needs of the state folder; `StateFolder` on disk, `MemoryState` in simulations."""

    path: Path

    def load(self) -> Record: ...

    def save(self, record: Record) -> None: ...

    def lock(self, target: str, who: str) -> Held: ...


class StateFolder:
    """`path` is made (mode 0700) when it is first written to. Raises StateError with what to do about it."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._last: tuple[tuple[int, int, int], Record] | None = None

    @property
    def record_path(self) -> Path:
        return self.path / "record.json"

    @property
    def socket_path(self) -> Path:
        return self.path / "reconciler.sock"

    def load(self) -> Record:
        """The record; an empty one on the first pass. A record that cannot be read is an error, never an empty one."""
        try:
            found = self.record_path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._last is not None and self._last[0] == seen:
                return self._last[1]
            text = self.record_path.read_bytes()
        except FileNotFoundError:
            return Record()
        except OSError as error:
            raise self._unusable("cannot be read", error) from error
        record = self._parse(text)
        self._last = (seen, record)
        return record

    def _parse(self, text: bytes) -> Record:
        try:
            return Reader(json.loads(text)).record()
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise StateError(
                f"the record is damaged: {type(error).__name__}: {error}",
                where=str(self.record_path),
                why="it says what was applied and acknowledged; guessing that could delete what runs",
                todo="restore it from a copy, or move it away: then nothing is deleted until a plan is acknowledged",
                code="S4",
            ) from error

    def save(self, record: Record) -> None:
        """Write it whole. Called only when something changed."""
        text = msgspec.json.format(msgspec.json.encode(as_json(record), order="sorted"), indent=1)
        reach("state: record", "before")
        self.write(self.record_path, text)
        reach("state: record", "after")

    def write(self, path: Path, content: bytes, mode: int = 0o600) -> None:
        """Replace one file of the folder, atomically and durably."""
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise self._unusable("cannot be written", error) from error

    def make(self) -> None:
        """Make the folder, so that a full disk or missing rights are said before anything else is tried."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._unusable("cannot be made", error) from error

    def check(self) -> None:
        """A folder that is not there yet remembers nothing; something else in its place is a mistake. Raises StateError."""
        try:
            os.listdir(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable("cannot be read", error) from error

    def lock(self, target: str, who: str) -> Lock:
        """The right to write to a target from this box, until `release`. Raises Busy with who holds it and since when."""
        self.make()
        return Lock.take(self.path / "locks" / f"{target}.lock", target, who)

    @contextmanager
    def locked(self, target: str, who: str) -> Iterator[Lock]:
        lock = self.lock(target, who)
        try:
            yield lock
        finally:
            lock.release()

    def _unusable(self, what: str, error: OSError) -> StateError:
        return StateError(
            f"the state folder {what}: {error.strerror or error}",
            where=str(error.filename or self.path),
            why="without it nothing is known of the applied revision, so nothing is written anywhere",
            todo="free space or correct the rights, or name another folder with --state",
            code="S1",
        )
