"""The gateway's folder: whole files or none, each write a named place where a test can kill us.

An error is not an empty gateway: files of Envoy beside a missing or broken `state.json` are refused, and nothing is removed.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconciler.checkpoint import reach
from reconciler.errors import TargetRefused, TargetUnavailable
from reconciler.targets.envoy.state import State, parse
from reconciler.targets.envoy.xds import BOOTSTRAP, CDS, ECDS, LDS, RDS, STATE, VALIDATE, hash_of

GENERATED: Final = (BOOTSTRAP, CDS, ECDS, RDS, LDS, VALIDATE)
PREVIOUS: Final = "previous"

Stamp = tuple[int, int, int]


@dataclass
class Folder:
    """Not frozen: it remembers the state, and the hash of each file, as long as the file looks untouched."""

    path: Path
    _hashes: dict[str, tuple[Stamp, str]] = field(default_factory=dict)
    _state: tuple[Stamp, State] | None = None

    def read_state(self) -> State | None:
        """What is live; None for a folder without any file of a gateway. Raises TargetRefused, TargetUnavailable."""
        stamp = self._stamp(STATE)
        if self._state is not None and self._state[0] == stamp:
            return self._state[1]
        raw = self.read(STATE)
        if raw is None:
            self._refuse_orphans()
            return None
        found = self._parsed(raw)
        self._state = (stamp, found) if stamp is not None else None
        return found

    def _parsed(self, raw: bytes) -> State:
        try:
            return parse(raw)
        except ValueError as error:
            raise TargetRefused(
                f"{STATE} cannot be read: {error}",
                where=str(self.path / STATE),
                why="it says what is live, so nothing can be planned without it; traffic goes on as it is",
                todo=self._way_out(),
                code="T33",
            ) from error

    def _refuse_orphans(self) -> None:
        found = [name for name in GENERATED if (self.path / name).exists()]
        if found:
            raise TargetRefused(
                f"{found[0]} stands here without {STATE}",
                where=str(self.path),
                why="what is live is not known, and an unknown gateway is not an empty one; traffic goes on as it is",
                todo=self._way_out(),
                code="T33",
            )

    def _way_out(self) -> str:
        back = f"bring {STATE} back from {PREVIOUS}/{STATE}, the last that was acknowledged"
        return f"{back}; or, to begin anew, stop Envoy and move the folder away"

    def write_state(self, state: State) -> None:
        """Where it differs from what stands there. Raises TargetUnavailable."""
        if self._state is not None and self._state == (self._stamp(STATE), state):
            return
        self.write(STATE, state.text())
        stamp = self._stamp(STATE)
        self._state = (stamp, state) if stamp is not None else None

    def read(self, name: str) -> bytes | None:
        with self._readable():
            try:
                return (self.path / name).read_bytes()
            except FileNotFoundError:
                return None

    def hash(self, name: str) -> str:
        """`sha256:...` of a file as it is now, "" where there is none."""
        stamp = self._stamp(name)
        if stamp is None:
            return ""
        known = self._hashes.get(name)
        if known is None or known[0] != stamp:
            known = (stamp, hash_of(self.read(name) or b""))
            self._hashes[name] = known
        return known[1]

    def stamps(self) -> tuple[Stamp | None, ...]:
        """What changes when a file does: cheap enough for every second."""
        return tuple(self._stamp(name) for name in (STATE, *GENERATED))

    def _stamp(self, name: str) -> Stamp | None:
        try:
            found = os.stat(self.path / name)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def write(self, name: str, content: bytes) -> None:
        """Temporary file, fsync, rename. Raises TargetUnavailable for a full disk or a folder that cannot be written."""
        path = self.path / name
        reach(f"envoy: {path.name}", "before")
        try:
            self._write(path, content)
        except OSError as error:
            raise TargetUnavailable(
                f"{name} cannot be written: {error.strerror}",
                where=str(path),
                why="Envoy goes on with what it has",
                todo="make room or give this user the right to write there; the next pass goes on from here",
                code="T34",
            ) from error
        reach(f"envoy: {path.name}", "after")

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(path.name + ".tmp")
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise

    def keep_good(self) -> None:
        """A second copy of the state as it was acknowledged, for the day when the first is damaged. Best effort."""
        copy = self.path / PREVIOUS / STATE
        with contextlib.suppress(OSError):
            copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(self.path / STATE, copy.with_name(copy.name + ".tmp"))
            copy.with_name(copy.name + ".tmp").replace(copy)

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TargetUnavailable(
                f"the gateway's folder cannot be read: {error.strerror}",
                where=str(self.path),
                todo="give this user the right to read it; until then nothing of it is changed",
                code="T34",
            ) from error
