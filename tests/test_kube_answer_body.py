"""How the body of an answer is taken out of its framing, however the network cuts it, and what is no whole answer."""

import http.client
import io
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from reconciler.targets.kubernetes.api import body
from reconciler.targets.kubernetes.api.body import BREATH, LARGE, RECORD, Chunked, Cut, read_body
from reconciler.targets.kubernetes.api.failures import TooLarge

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def in_chunks(parts: Sequence[bytes], end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


def taken(pieces: Sequence[bytes]) -> tuple[bytes, bool]:
    text = io.BytesIO()
    chunked = Chunked(text)
    for piece in pieces:
        chunked.take(memoryview(piece))
    return text.getvalue(), chunked.whole


def test_chunks_are_taken_out_wherever_the_network_cuts_them() -> None:
    said = in_chunks([b"a", b"\r\n0\r\n\r\n", b"x" * 300])
    for at in range(len(said) + 1):
        assert taken([said[:at], said[at:]]) == (b"a\r\n0\r\n\r\n" + b"x" * 300, True)


@pytest.mark.parametrize("seed", range(20))
def test_chunks_of_any_size_in_pieces_of_any_size(seed: int) -> None:
    dice = random.Random(seed)
    parts = [dice.randbytes(dice.choice((1, 7, 4096, 70_000))) for _ in range(dice.randint(0, 9))]
    said = in_chunks(parts)
    cuts = sorted(dice.randrange(len(said)) for _ in range(dice.randint(0, 12)))
    pieces = [said[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    assert taken(pieces) == (b"".join(parts), True)


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"0;last\r\n\r\n", b"000\r\n\r\n", b"0\r\nExpires: never\r\nSum: 1\r\n\r\n"])
def test_extensions_and_trailers_are_passed_over(end: bytes) -> None:
    said = b"3;name=value\r\nabc\r\n" + end
    for at in range(len(said)):
        assert taken([said[:at], said[at:]]) == (b"abc", True)


def test_what_lacks_the_end_of_its_last_chunk_is_not_whole() -> None:
    said = in_chunks([b"abc"], b"0\r\nA: b\r\n\r\n")
    assert [taken([said[:at]])[1] for at in range(len(said) + 1)] == [False] * len(said) + [True]


@pytest.mark.parametrize("said", [b"{", b"-3\r\nabc", b"0x3\r\nabc", b"3_0\r\nabc", b" 3\r\nabc", b"3\r\nabcd\r\n", b"123456789\r\n"])
def test_what_is_no_chunk_is_refused(said: bytes) -> None:
    with pytest.raises(Cut, match="not in chunks"):
        taken([said + b" " * body.HEAD_LIMIT])


def test_a_trailer_without_end_is_refused() -> None:
    with pytest.raises(Cut, match="does not end"):
        taken([b"0\r\n", b"Endless: " + b"x" * body.TRAILER_LIMIT])


@contextmanager
def answered(*pieces: bytes, pause: float = 0.0, end: bool = True) -> Iterator[tuple[http.client.HTTPResponse, socket.socket]]:
    """A server that says this and, if `end`, hangs up."""
    here, there = socket.socketpair()

    def say() -> None:
        for piece in pieces:
            there.sendall(piece)
            time.sleep(pause)
        if end:
            there.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=say)
    with here, there:
        here.settimeout(10)
        thread.start()
        try:
            response = http.client.HTTPResponse(here)
            response.begin()
            yield response, here
        finally:
            here.shutdown(socket.SHUT_RDWR)
            thread.join()


def read(response: http.client.HTTPResponse, wire: socket.socket, clock: float = 0.0) -> bytes:
    return read_body(response, wire, 1.0, lambda: clock)


@pytest.mark.parametrize("size", [0, 1, RECORD, LARGE + 1, 1_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_any_size_is_read_whole_and_not_waited_for_longer(size: int, chunked: bool) -> None:
    text = random.Random(size).randbytes(size)
    said = CHUNKED + in_chunks([text] if text else []) if chunked else SIZED % size + text
    with answered(said, end=False) as (response, wire):
        assert read(response, wire) == text
        assert response.isclosed()


def test_a_large_answer_that_comes_slowly_is_read_whole() -> None:
    parts = [bytes([number]) * (LARGE // 2) for number in range(8)]
    with answered(CHUNKED, *(in_chunks([part], b"") for part in parts), b"0\r\n\r\n", pause=BREATH / 2, end=False) as (response, wire):
        assert read(response, wire) == b"".join(parts)


@pytest.mark.parametrize("said", [CHUNKED + in_chunks([b"abc"], b""), SIZED % 4 + b"abc", CHUNKED + in_chunks([b"x" * LARGE * 2], b"")])
def test_an_answer_that_is_cut_off_is_an_error(said: bytes) -> None:
    with answered(said) as (response, wire), pytest.raises(Cut, match="it is cut off, "):
        read(response, wire)


def test_an_answer_that_does_not_say_where_it_ends_is_not_taken_but_for_an_error() -> None:
    with answered(b"HTTP/1.1 200 OK\r\n\r\n[1,2") as (response, wire), pytest.raises(Cut, match="where it ends"):
        read(response, wire)
    with answered(b"HTTP/1.1 500 Oh\r\n\r\nno") as (response, wire):
        assert read(response, wire) == b"no"


@pytest.mark.parametrize("head", [CHUNKED, SIZED % 100, b"HTTP/1.1 500 Oh\r\n\r\n"])
def test_an_answer_that_is_too_large_is_left(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "ANSWER_LIMIT", 99)
    said = head + (in_chunks([b"x" * 100]) if head == CHUNKED else b"x" * 100)
    with answered(said) as (response, wire), pytest.raises(TooLarge):
        read(response, wire)


def test_an_answer_that_comes_for_too_long_is_left() -> None:
    with answered(CHUNKED + in_chunks([b"x"], b""), end=False) as (response, wire), pytest.raises(TimeoutError, match="too long"):
        read(response, wire, clock=2.0)


def test_no_body_is_empty() -> None:
    with answered(b"HTTP/1.1 204 No Content\r\n\r\n", end=False) as (response, wire):
        assert read(response, wire) == b""
