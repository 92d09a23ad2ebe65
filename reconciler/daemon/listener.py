"""The daemon's Unix socket (mode 0600): `{"op": "trigger", "wait": true}` and `{"op": "status"}`, a line each, answered with a line.

A socket that is left from a killed daemon is replaced, but only when nobody answers on it.
"""

import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from reconciler.daemon.control import address
from reconciler.errors import Busy, StateError
from reconciler.resource import Json

Answer = Callable[[Mapping[str, Json]], Mapping[str, Json]]
LONGEST: Final = 64 << 10  # bytes of a question
PATIENCE: Final = 10.0  # seconds for a question to come in whole
MOST: Final = 32  # callers at once
REFUSED: Final[Mapping[str, Json]] = {"error": {"what": "this is no question of ours", "todo": "use the `reconciler` of the same version"}}


class Listener:
    """Answers from threads of its own until `close`."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        self._folder, self._answer = folder, answer
        self._room = threading.BoundedSemaphore(MOST)
        self._path = folder / "reconciler.sock"
        self._socket = self._bind()
        self._made = self._path.stat().st_ino
        self._thread = threading.Thread(target=self._serve, name="listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._socket.close()
        self._thread.join(2)
        with suppress(OSError):
            if self._path.stat().st_ino == self._made:
                self._path.unlink()

    def _bind(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        try:
            with address(self._folder) as name:
                self._clear(name)
                mask = os.umask(0o177)
                try:
                    made.bind(name)
                finally:
                    os.umask(mask)
            made.listen(MOST)
        except OSError as error:
            made.close()
            raise StateError(f"the daemon's socket cannot be made: {error.strerror or error}", where=str(self._path)) from error
        except BaseException:
            made.close()
            raise
        return made

    def _clear(self, name: str) -> None:
        """Remove what a killed daemon left. Raises Busy where somebody answers."""
        if not os.path.lexists(self._path):
            return
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2)
            try:
                probe.connect(name)
            except (ConnectionRefusedError, FileNotFoundError):
                with suppress(FileNotFoundError):
                    self._path.unlink()
                return
        raise Busy("another daemon answers on this state folder", where=str(self._path), todo="stop it first, or use `reconciler trigger`")

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            if not self._room.acquire(blocking=False):
                line.close()
                continue
            threading.Thread(target=self._one, args=(line,), name="caller", daemon=True).start()

    def _one(self, line: socket.socket) -> None:
        try:
            with line, suppress(OSError):
                line.settimeout(PATIENCE)
                with line.makefile("rb") as stream:
                    answer = self._reply(stream.readline(LONGEST))
                line.sendall(json.dumps(answer).encode() + b"\n")
        finally:
            self._room.release()

    def _reply(self, question: bytes) -> Mapping[str, Json]:
        try:
            asked = json.loads(question)
        except ValueError:
            return REFUSED
        return self._answer(asked) if isinstance(asked, dict) else REFUSED
