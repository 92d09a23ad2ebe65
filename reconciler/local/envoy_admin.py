"""Envoy's admin address: a Unix socket in the gateway's folder, so that nobody but this user can ask or order anything.

A socket's path may be 107 bytes long at most. Where the folder's own path is longer, Envoy is started inside it and told a relative path,
and we reach it through /proc/self/fd.
"""

import contextlib
import http.client
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOCKET: Final = "admin.sock"
LONGEST: Final = 107  # bytes of sun_path without its end
TIMEOUT: Final = 10.0


def told(folder: Path) -> str:
    """The path of the socket as Envoy is told it."""
    whole = str(folder / SOCKET)
    return whole if len(os.fsencode(whole)) <= LONGEST else SOCKET


class AdminAway(Exception):
    """Nobody answers there, or not as Envoy does. Never leaves the modules that ask."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, folder: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._folder = folder

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.settimeout(self.timeout)
            with _reachable(self._folder) as path:
                self.sock.connect(path)
        except OSError:
            self.close()
            raise


@contextlib.contextmanager
def _reachable(folder: Path) -> Iterator[str]:
    if told(folder) != SOCKET:
        yield told(folder)
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET}"
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin address of the Envoy that serves from `folder`."""

    folder: Path

    def ask(self, path: str, method: str = "GET") -> str:
        """The answer's text. Raises AdminAway when there is none, or no 200."""
        connection = _Connection(self.folder)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise AdminAway(f"{self.folder / SOCKET}: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise AdminAway(f"{path}: {answer.status} {text[:200].strip()}")
        return text

    def ready(self) -> bool:
        """Has it read everything, and does it listen?"""
        try:
            return self.ask("/ready").startswith("LIVE")
        except AdminAway:
            return False

    def stats(self, pattern: str) -> Mapping[str, str]:
        """Statistics whose names match. Raises AdminAway."""
        lines = self.ask(f"/stats?filter={pattern}").splitlines()
        return {name: value.strip('"') for name, _, value in (line.partition(": ") for line in lines)}

    def reopen_logs(self) -> None:
        with contextlib.suppress(AdminAway):
            self.ask("/reopen_logs", "POST")
