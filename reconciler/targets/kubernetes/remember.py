"""What a cluster was found equal to, kept from one command to the next: a fingerprint and a digest per resource.

A cache, never needed to be right: an entry says "this content of a live object was compared with this manifest, and nothing was to do",
and counts only while both are the same to the bit. A file that cannot be read is no file.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from reconciler.resource import ResourceKey
from reconciler.targets.kubernetes.decide import Verified

FOLDER: Final = "kubernetes"
FORMAT: Final = "2"  # of the file, and of the check whose results stand in it: raise it when the check changes


class Row(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    namespace: str
    name: str
    live: bytes
    wanted: str
    rewritten: float


class File(msgspec.Struct, frozen=True, array_like=True):
    format: str
    server: str
    rows: tuple[Row, ...]


class Memory:
    """Of one target: `<state folder>/kubernetes/<target>.seen`. server: the API server whose version was found new enough."""

    def __init__(self, folder: Path, target: str) -> None:
        self._path, self._target = folder / FOLDER / f"{target}.seen", target
        self.server = ""
        self.verified = Verified(self._load())

    def knows(self, server: str) -> None:
        """This server is known to be new enough."""
        self.server, self.verified.changed = server, True

    def _load(self) -> dict[ResourceKey, tuple[bytes, str, float]]:
        try:
            stored = msgspec.msgpack.decode(self._path.read_bytes(), type=File)
        except (OSError, msgspec.DecodeError):
            return {}
        rows = stored.rows if stored.format == FORMAT else ()
        self.server = stored.server if stored.format == FORMAT else ""
        return {ResourceKey(self._target, row.kind, row.namespace, row.name): (row.live, row.wanted, row.rewritten) for row in rows}

    def save(self) -> None:
        """Written where something new was learned; a full disk costs only the next command's time."""
        if not self.verified.changed:
            return
        self.verified.changed = False
        rows = tuple(Row(key.kind, key.namespace, key.name, *known) for key, known in self.verified.known.items())
        half = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            half.write_bytes(msgspec.msgpack.encode(File(FORMAT, self.server, rows)))
            half.replace(self._path)
