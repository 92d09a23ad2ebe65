"""The body of an answer: whole or an error, and read in large portions.

An API server writes a LIST object by object, so that TLS makes some thousand records of it. Who reads each as it comes is woken a thousand
times; so an answer that turns out to be large is let gather for a moment whenever nothing is there to be read. That costs a small answer
nothing, a large one a third less processor time, and it is done sooner: the server is not interrupted either.
"""

import http.client
import io
import re
import select
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from reconciler.targets.kubernetes.api.failures import TooLarge

ANSWER_LIMIT: Final = 256 * 1024 * 1024  # bytes of one answer, unpacked: 500 objects of half a megabyte each
LARGE: Final = 64 * 1024  # bytes that came, from which on an answer is let gather
BREATH: Final = 0.002  # seconds
WINDOW: Final = 256 * 1024  # bytes that are taken out of the connection at once
RECORD: Final = 16 * 1024  # bytes of TLS's largest record: less room would cut one in two
HEAD_LIMIT: Final = 256  # bytes of a chunk's head
TRAILER_LIMIT: Final = 16 * 1024
FIRST_HEAD: Final = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
NEXT_HEAD: Final = re.compile(rb"\r\n" + FIRST_HEAD.pattern)  # with the end of the chunk before


class Cut(http.client.HTTPException):
    """The answer is not whole, or nobody can tell."""


class Framing(Protocol):
    """How an answer says where it ends."""

    whole: bool

    def take(self, piece: memoryview) -> None:
        """Raises Cut for what is not framed so, TooLarge."""

    def missing(self) -> str:
        """The connection ended: what is missing, "" for nothing."""


class Sized:
    """Content-Length."""

    def __init__(self, length: int, text: io.BytesIO) -> None:
        if length > ANSWER_LIMIT:
            raise _too_large()
        self._left, self._text = length, text
        self.whole = length == 0

    def take(self, piece: memoryview) -> None:
        self._left -= self._text.write(piece[: self._left])
        self.whole = self._left == 0

    def missing(self) -> str:
        return f"{self._left} bytes are missing"


class Chunked:
    """Transfer-Encoding: chunked (RFC 9112, 7.1). Extensions and trailers are passed over: the API server sends none."""

    def __init__(self, text: io.BytesIO) -> None:
        self._text = text
        self._left = 0  # of the chunk that is being read
        self._head, self._form = b"", FIRST_HEAD
        self._last = False  # the chunk of no bytes came: what follows is the trailer
        self.whole = False

    def take(self, piece: memoryview) -> None:
        at = 0
        while at < len(piece) and not self.whole:
            if self._left:
                taken = self._text.write(piece[at : at + self._left])
                self._left -= taken
                at += taken
            elif self._last:
                at = self._trailer(piece, at)
            else:
                at = self._begin(piece, at)

    def _begin(self, piece: memoryview, at: int) -> int:
        before = len(self._head)
        head = self._head + bytes(piece[at : at + HEAD_LIMIT - before])
        found = self._form.match(head)
        if found is None:
            if len(head) >= HEAD_LIMIT:
                raise Cut("it is not in chunks, as it said")
            self._head = head
            return len(piece)
        self._left, self._head, self._form = int(found[1], 16), b"", NEXT_HEAD
        self._last = self._left == 0
        if self._text.tell() + self._left > ANSWER_LIMIT:
            raise _too_large()
        return at + found.end() - before

    def _trailer(self, piece: memoryview, at: int) -> int:
        self._head += bytes(piece[at:])
        self.whole = self._head.startswith(b"\r\n") or b"\r\n\r\n" in self._head
        if len(self._head) > TRAILER_LIMIT:
            raise Cut("it does not end")
        return len(piece)

    def missing(self) -> str:
        return "its last chunk is missing"


class Ending:
    """The end of the connection, which nobody can tell from a cut: for the words of an error only."""

    def __init__(self, text: io.BytesIO) -> None:
        self._text, self.whole = text, False

    def take(self, piece: memoryview) -> None:
        if self._text.tell() + self._text.write(piece) > ANSWER_LIMIT:
            raise _too_large()

    def missing(self) -> str:
        return ""


def read_body(response: http.client.HTTPResponse, wire: socket.socket, deadline: float, clock: Callable[[], float]) -> bytes:
    """All of it, as it came. wire: the connection that it comes over. deadline: by the clock. Raises Cut, TooLarge, OSError."""
    text = io.BytesIO()  # grows in place; thousands of kept pieces would leave the memory in pieces, for good
    if not response.isclosed():  # as one without a body is
        _read(_framing(response, text), _pieces(response, wire), deadline, clock)
        response.close()  # http.client did not see its end, and would call the connection unfit for the next request
    return text.getvalue()


def _framing(response: http.client.HTTPResponse, text: io.BytesIO) -> Framing:
    if response.chunked:
        return Chunked(text)
    if response.length is not None:
        return Sized(response.length, text)
    if response.status < 400:
        raise Cut("it does not say where it ends")
    return Ending(text)


def _read(framing: Framing, pieces: Iterator[memoryview], deadline: float, clock: Callable[[], float]) -> None:
    while not framing.whole:
        if (piece := next(pieces, None)) is None:
            if missing := framing.missing():
                raise Cut(f"it is cut off, {missing}")
            return
        framing.take(piece)
        if clock() > deadline:
            raise TimeoutError("the answer takes too long")


def _pieces(response: http.client.HTTPResponse, wire: socket.socket) -> Iterator[memoryview]:
    """What comes over the connection, by as much as is there, until it ends. Each is good until the next one is asked for."""
    if first := response.fp.read1(RECORD):  # what came with the head; beside it `readinto1` would wait for more
        yield memoryview(first)
    came, taken = len(first), len(first)
    window = memoryview(bytearray(WINDOW if response.length is None else max(RECORD, min(response.length, WINDOW))))
    poll = select.poll()
    poll.register(wire, select.POLLIN)
    while taken:
        if came > LARGE and not poll.poll(0):
            time.sleep(BREATH)
        taken = more = response.fp.readinto1(window)
        while more and len(window) - taken >= RECORD and poll.poll(0):
            more = response.fp.readinto1(window[taken:])
            taken += more
        came += taken
        if taken:
            yield window[:taken]


def unpacked(raw: bytes) -> bytes:
    """Of gzip. Raises Cut, TooLarge."""
    packed = zlib.decompressobj(wbits=31)
    try:
        text = packed.decompress(raw, ANSWER_LIMIT)
    except zlib.error as error:
        raise Cut(f"it cannot be unpacked: {error}") from error
    if packed.unconsumed_tail:
        raise _too_large()
    if not packed.eof:
        raise Cut("it is packed, and cut off")
    return text


def _too_large() -> TooLarge:
    return TooLarge(f"the answer is larger than {ANSWER_LIMIT} bytes")
