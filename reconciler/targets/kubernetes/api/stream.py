"""A WATCH: lines of events over a connection of its own, closed from any thread.

It ends quietly when the server ends it (after `timeoutSeconds`) or when it is closed. Everything else is raised: the caller goes on from
the last resourceVersion it saw, or lists again when the server has no history that far back (KUBE17).
"""

import http.client
import socket
from collections import deque
from types import TracebackType
from typing import Final

import msgspec

from reconciler.targets.kubernetes.api import failures
from reconciler.targets.kubernetes.api.access import Login
from reconciler.targets.kubernetes.api.connections import Request, Server, begin, hang_up
from reconciler.targets.kubernetes.api.credentials import Credentials
from reconciler.targets.kubernetes.api.failures import KubeRefused, KubeUnavailable
from reconciler.targets.kubernetes.api.refusal import NO_JSON, refusal

PIECE: Final = 64 * 1024
LONGEST_LINE: Final = 16 * 1024 * 1024


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class Watch:
    """Iterates over events as the server writes them: one JSON text each, without its line end. For one reader; `close` from any thread."""

    def __init__(self, one: socket.socket, response: http.client.HTTPResponse, asked: str, where: str) -> None:
        self._socket, self._response, self._asked, self._where = one, response, asked, where
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self.closed = False

    def __iter__(self) -> "Watch":
        return self

    def __next__(self) -> bytes:
        """Raises KubeUnavailable: KUBE1 for silence and broken connections, KUBE17 when everything must be listed again."""
        while not self._lines:
            self._read()
        line = self._lines.popleft()
        if line.startswith(b'{"type":"ERROR"'):
            self.close()
            raise self._told(line)
        return line

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True
        hang_up(self._socket)
        self._response.close()  # waits for the reader to leave, which hanging up has woken
        self._socket.close()

    def _read(self) -> None:
        piece = self._piece()
        if not piece:
            self.close()
            if self._rest:
                raise failures.no_answer(ConnectionError("the connection ended in the middle of an event"), self._asked, self._where)
            raise StopIteration
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._lines += [line for line in lines if line]
        if len(self._rest) > LONGEST_LINE:
            self.close()
            raise failures.no_answer(ConnectionError("an event has no end"), self._asked, self._where)

    def _piece(self) -> bytes:
        if self.closed:
            return b""
        try:
            return self._response.read1(PIECE)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            if self.closed:  # by another thread, under our hands
                self._rest = b""
                return b""
            self.close()
            raise failures.no_answer(error, self._asked, self._where) from error

    def _told(self, line: bytes) -> KubeRefused | KubeUnavailable:
        try:
            said = bytes(msgspec.json.decode(line, type=_Event).object)
        except NO_JSON:
            said = b""
        return failures.error_of(refusal(500, said), self._asked, self._where)


def open_watch(server: Server, credentials: Credentials, request: Request, where: str) -> Watch:
    """Raises KubeUnavailable, KubeRefused."""
    login = credentials.current()
    try:
        return _opened(server, login, request, where)
    except KubeRefused as error:
        if error.refusal is None or error.refusal.status != 401 or not credentials.renew(login):
            raise
    return _opened(server, credentials.current(), request, where)


def _opened(server: Server, login: Login, request: Request, where: str) -> Watch:
    try:
        connection = server.open(login.certificate)
        try:
            one = connection.sock  # which the connection lets go of when the server wants to close it
            response = begin(connection, request, login, request.read)
            if response.status == 200:
                return Watch(one, response, request.asked, where)
            body = response.read(PIECE)
        except BaseException:
            connection.close()
            raise
    except (OSError, http.client.HTTPException) as error:
        raise failures.no_answer(error, request.asked, where) from error
    response.close()
    connection.close()
    raise failures.error_of(refusal(response.status, body, response.headers.get("Retry-After")), request.asked, where)
