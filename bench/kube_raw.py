"""A client that knows nothing: sends ready-made requests over sixteen kept-alive connections and reads no more of an answer than its end.

    python -m bench.kube_raw HOST PORT CA TOKEN REQUESTS

REQUESTS: a file, a request a line: method, target, content type and body, with tabs between. An empty line waits until everything before it
is answered; all else goes in no order. What a writer in Python could reach at most: standard library alone, and no HTTP library; each
request is bytes before the first is sent.
"""

import itertools
import socket
import ssl
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

WIDE: Final = 16
ACCEPT: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"  # short answers, as ours asks for
PIECE: Final = 65536


def request(host: str, token: str, line: str) -> bytes:
    method, target, content, body = line.split("\t", 3)
    raw = body.encode()
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: raw\r\nAccept: {ACCEPT}\r\nAccept-Encoding: identity\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: {content}\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


def connection(host: str, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((host, port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname=host)


def answered(line: ssl.SSLSocket) -> None:
    """Read one answer to its end. Raises RuntimeError for one that is not 2xx."""
    raw = b""
    while not _whole(raw):
        piece = line.recv(PIECE)
        if not piece:
            raise RuntimeError(f"the server ended the connection: {raw[:300]!r}")
        raw += piece
    if not raw.startswith(b"HTTP/1.1 2"):
        raise RuntimeError(raw.decode(errors="replace"))


def _whole(raw: bytes) -> bool:
    head, end, body = raw.partition(b"\r\n\r\n")
    if not end:
        return False
    _, length, rest = head.lower().partition(b"\r\ncontent-length:")
    return len(body) >= int(rest.split(b"\r\n", 1)[0]) if length else body.endswith(b"0\r\n\r\n")


def send(requests: Sequence[bytes], lines: Sequence[ssl.SSLSocket]) -> None:
    """All of them, over all connections. Raises what the first failure was."""
    waiting, lock, failures = iter(requests), threading.Lock(), list[Exception]()
    threads = [threading.Thread(target=_work, args=(waiting, lock, line, failures)) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _work(waiting: Iterator[bytes], lock: threading.Lock, line: ssl.SSLSocket, failures: list[Exception]) -> None:
    while not failures:
        with lock:
            one = next(waiting, None)
        if one is None:
            return
        try:
            line.sendall(one)
            answered(line)
        except (OSError, RuntimeError) as error:
            failures.append(error)


def main() -> None:
    host, port, ca, token, file = sys.argv[1:]
    lines = Path(file).read_text().splitlines()
    stages = [list(stage) for some, stage in itertools.groupby(lines, key=bool) if some]
    prepared = [[request(host, Path(token).read_text(), line) for line in stage] for stage in stages]
    context = ssl.create_default_context(cafile=ca)
    connections = [connection(host, int(port), context) for _ in range(WIDE)]
    for stage in prepared:
        send(stage, connections)


if __name__ == "__main__":
    main()
