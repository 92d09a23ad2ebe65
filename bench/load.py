"""A load generator of a page: keep-alive connections in one process, one request in flight on each, answers counted and checked.

    python -m bench.load ADDRESS CONNECTIONS SECONDS CORE < REQUEST

The request's bytes come on stdin and are sent as they are. Prints JSON: requests, errors, seconds, cpu. `wrk` would be faster; this is
fast enough, because what is measured is the processor time of the proxy per request, not how fast it can be asked.
"""

import json
import os
import select
import socket
import sys
import time
from dataclasses import dataclass
from typing import Final

HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length: "
GOOD: Final = b"HTTP/1.1 200"


@dataclass(slots=True)
class Connection:
    socket: socket.socket
    buffer: bytes = b""

    def complete(self) -> bool:
        """Is a whole answer in the buffer? Answers here carry a content-length."""
        head, found, body = self.buffer.partition(HEAD_END)
        if not found:
            return False
        at = head.lower().find(LENGTH)
        length = int(head[at + len(LENGTH) :].split(b"\r", 1)[0]) if at >= 0 else 0
        return len(body) >= length


class Load:
    """Connections that ask for `seconds`, and then let what is in flight come home."""

    def __init__(self, address: tuple[str, int], connections: int, request: bytes) -> None:
        self.address, self.request = address, request
        self.poll = select.epoll()
        self.open: dict[int, Connection] = {}
        self.done = self.errors = 0
        for _ in range(connections):
            self._connect()

    def _connect(self) -> Connection:
        sock = socket.create_connection(self.address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open[sock.fileno()] = Connection(sock)
        self.poll.register(sock, select.EPOLLIN)
        return self.open[sock.fileno()]

    def run(self, seconds: float) -> dict[str, float]:
        begin, cpu = time.perf_counter(), time.process_time()
        for one in self.open.values():
            one.socket.sendall(self.request)
        in_flight = len(self.open)
        while in_flight:
            asking = time.perf_counter() < begin + seconds
            in_flight -= sum(self._answered(self.open[number], asking) for number, _ in self.poll.poll())
        for one in self.open.values():
            one.socket.close()
        spent = time.perf_counter() - begin
        return {"requests": self.done, "errors": self.errors, "seconds": spent, "cpu": time.process_time() - cpu}

    def _answered(self, one: Connection, asking: bool) -> bool:
        """Take what came; ask again, or say that this connection is done."""
        received = one.socket.recv(65536)
        if not received:
            return self._closed(one)
        one.buffer += received
        if not one.complete():
            return False
        self.done += 1
        self.errors += not one.buffer.startswith(GOOD)
        one.buffer = b""
        if asking:
            one.socket.sendall(self.request)
        return not asking

    def _closed(self, one: Connection) -> bool:
        """A server may close between two answers (llama.cpp's does after a hundred): ask again on a new connection."""
        if one.buffer:
            raise ConnectionError("a connection was closed in the middle of an answer")
        del self.open[one.socket.fileno()]
        one.socket.close()
        self._connect().socket.sendall(self.request)
        return False


def main() -> None:
    host, port = sys.argv[1].rsplit(":", 1)
    os.sched_setaffinity(0, {int(sys.argv[4])})
    request = sys.stdin.buffer.read()
    print(json.dumps(Load((host, int(port)), int(sys.argv[2]), request).run(float(sys.argv[3]))))


if __name__ == "__main__":
    main()
