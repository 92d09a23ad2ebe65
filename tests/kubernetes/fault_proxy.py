"""A proxy in front of the real API server that breaks what a rule tells it to break, at the boundary where a network would.

It ends TLS (with a certificate authority of its own), so the rule sees every request. What the rule lets through gets the server's own
answer, watches included. `FaultProxy.seen` has every request that came, in order.

    proxy.rule = first(2, Reply(503), lambda seen: seen.method == "PATCH")
    with proxy.refusing(): ...                      # nothing listens; kept connections are closed, too
"""

import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tools.controlplane.access import kubeconfig
from tools.controlplane.certificates import Authority
from tools.ports import free_port

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came. query: of several values of one name, the last."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and "limit" in self.query


@dataclass(frozen=True, slots=True)
class Reset:
    """RST in place of an answer. after: the server has done what was asked."""

    after: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the proxy is closed. after: the server has done what was asked, and the first bytes of the body have come."""

    after: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of our own, that the server knows nothing of. body None: a Status of this code and reason."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Truncate:
    """The server's answer, of whose body only this share arrives. chunked: its length is not said beforehand; framed=False: nor its end."""

    share: float = 0.5
    chunked: bool = False
    framed: bool = True


@dataclass(frozen=True, slots=True)
class Slow:
    """The server's answer in small pieces, with a pause (seconds) after each."""

    piece: int = 200
    pause: float = 0.05


@dataclass(frozen=True, slots=True)
class CloseAfter:
    """The whole answer, and then the end of the connection, of which nothing was said."""


Fault = Reset | Hang | Reply | Truncate | Slow | CloseAfter
Rule = Callable[[Seen], Fault | None]


def first(times: int, fault: Fault, matches: Callable[[Seen], bool] = lambda seen: True) -> Rule:
    """Breaks the first so many requests that match."""
    left, lock = [times], threading.Lock()

    def rule(seen: Seen) -> Fault | None:
        with lock:
            if left[0] == 0 or not matches(seen):
                return None
            left[0] -= 1
        return fault

    return rule


def always(fault: Fault, matches: Callable[[Seen], bool] = lambda seen: True) -> Rule:
    return lambda seen: fault if matches(seen) else None


class FaultProxy:
    """url: where it listens. rule: asked about every request. seen: what came. connections: how many were opened to it so far."""

    def __init__(self, upstream: str, ca: Path, folder: Path) -> None:
        parts = urllib.parse.urlsplit(upstream)
        assert parts.hostname
        self._upstream = (parts.hostname, parts.port or 443, ssl.create_default_context(cafile=str(ca)))
        self._folder = folder
        authority = Authority.make(folder)
        authority.server("proxy", ["localhost", "127.0.0.1"])
        self.ca = folder / "ca.crt"
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(folder / "proxy.crt", folder / "proxy.key")
        self.rule: Rule | None = None
        self.seen: list[Seen] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._open: set[tuple[socket.socket, http.client.HTTPConnection]] = set()
        self._threads: list[threading.Thread] = []
        self.port = free_port()
        self._listen()
        self.url = f"https://127.0.0.1:{self.port}"

    def kubeconfig(self, user: Mapping[str, str], name: str = "proxy.kubeconfig") -> Path:
        """A kubeconfig by which this user reaches the server through the proxy. (A client certificate would not get through.)"""
        return kubeconfig(self._folder / name, self.url, self.ca, user)

    def count(self, method: str = "", ending: str = "") -> int:
        """How many requests of that method, whose path ends so, came."""
        return sum(1 for one in self.seen if one.method.startswith(method) and one.path.endswith(ending))

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody listens meanwhile."""
        self._deafen()
        self.drop()
        try:
            yield
        finally:
            self._listen()

    def listen_again(self) -> None:
        """For the inside of `refusing`: ends it early."""
        self._listen()

    def drop(self) -> None:
        """Close every open connection, on both sides."""
        with self._lock:
            pairs = tuple(self._open)
        for client, upstream in pairs:
            for one in (client, upstream.sock):
                if one is not None:
                    with contextlib.suppress(OSError):
                        socket.socket.shutdown(one, socket.SHUT_RDWR)

    def close(self) -> None:
        self._ending.set()
        self._deafen()
        self.drop()
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        if self._ending.is_set() or getattr(self, "_listener", None) is not None:
            return
        self._listener: socket.socket | None = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._start(self._accept, self._listener)

    def _deafen(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            listener.close()

    def _start(self, work: Callable[[socket.socket], None], argument: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(argument,), daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, raw)

    def _serve(self, raw: socket.socket) -> None:
        """One client's connection: request after request, until somebody ends it. The server may be gone, and so may the client."""
        host, port, context = self._upstream
        upstream = http.client.HTTPSConnection(host, port, context=context, timeout=60)
        try:
            raw.settimeout(60)
            with self._tls.wrap_socket(raw, server_side=True) as client, self._known(client, upstream):
                talk = _Talk(client, upstream, self._ending)
                while (seen := talk.request()) is not None:
                    with self._lock:
                        self.seen.append(seen)
                    if not talk.answer(seen, self.rule(seen) if self.rule is not None else None):
                        return
        except (OSError, http.client.HTTPException, ValueError):
            return
        finally:
            raw.close()
            upstream.close()

    @contextlib.contextmanager
    def _known(self, client: socket.socket, upstream: http.client.HTTPConnection) -> Iterator[None]:
        with self._lock:
            self._open.add((client, upstream))
        try:
            yield
        finally:
            with self._lock:
                self._open.discard((client, upstream))


class _Talk:
    """The requests of one connection."""

    def __init__(self, client: ssl.SSLSocket, upstream: http.client.HTTPSConnection, ending: threading.Event) -> None:
        self._client, self._upstream, self._ending = client, upstream, ending
        self._rest = b""

    def request(self) -> Seen | None:
        while b"\r\n\r\n" not in self._rest:
            if not self._more():
                return None
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in fields)}
        length = int(headers.get("content-length", "0"))
        while len(self._rest) < length:
            if not self._more():
                return None
        body, self._rest = self._rest[:length], self._rest[length:]
        path, _, query = target.partition("?")
        return Seen(method, path, dict(urllib.parse.parse_qsl(query)), headers, body, target)

    def answer(self, seen: Seen, fault: Fault | None) -> bool:
        """False when the connection must not be used again."""
        match fault:
            case Reply():
                return self._own(fault)
            case Reset(after=False):
                return self._reset()
            case Hang(after=False):
                return self._hang()
        return self._relay(self._ask(seen), fault)

    def _more(self) -> bool:
        piece = self._client.recv(65536)
        self._rest += piece
        return bool(piece)

    def _ask(self, seen: Seen) -> http.client.HTTPResponse:
        headers = {name: value for name, value in seen.headers.items() if name not in HOP | {"host"}}
        self._upstream.request(seen.method, seen.target, seen.body or None, headers)
        return self._upstream.getresponse()

    def _relay(self, response: http.client.HTTPResponse, fault: Fault | None) -> bool:
        match fault:
            case Reset(after=True):
                response.read()
                return self._reset()
            case Truncate():
                return self._truncated(response, fault)
            case Hang(after=True):
                self._head(response, chunked=True)
                self._chunk(response.read1(1024))
                return self._hang()
            case Slow():
                return self._slowly(response, fault)
        self._whole(response)
        return not isinstance(fault, CloseAfter)

    def _whole(self, response: http.client.HTTPResponse) -> None:
        """As the server frames it, piece by piece, so that a watch flows."""
        if not response.chunked:
            body = response.read()
            self._head(response, length=len(body))
            self._client.sendall(body)
            return
        self._head(response, chunked=True)
        while piece := response.read1(65536):
            self._chunk(piece)
        self._client.sendall(b"0\r\n\r\n")

    def _truncated(self, response: http.client.HTTPResponse, fault: Truncate) -> bool:
        body = response.read()
        part = body[: int(len(body) * fault.share)]
        if fault.chunked:
            self._head(response, chunked=True)
            self._chunk(part)
        else:
            self._head(response, length=len(body) if fault.framed else None)
            self._client.sendall(part)
        return False

    def _slowly(self, response: http.client.HTTPResponse, fault: Slow) -> bool:
        body = response.read()
        self._head(response, length=len(body))
        for at in range(0, len(body), fault.piece):
            self._client.sendall(body[at : at + fault.piece])
            if self._ending.wait(fault.pause):
                return False
        return True

    def _own(self, fault: Reply) -> bool:
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": fault.status,
            "reason": fault.reason,
            "message": "a fault",
        }
        body = json.dumps(status).encode() if fault.body is None else fault.body
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **fault.headers}
        lines = [f"HTTP/1.1 {fault.status} Fault", *(f"{name}: {value}" for name, value in headers.items())]
        self._client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return True

    def _reset(self) -> bool:
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.close()
        return False

    def _hang(self) -> bool:
        self._ending.wait()
        return False

    def _head(self, response: http.client.HTTPResponse, length: int | None = None, chunked: bool = False) -> None:
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in HOP]
        headers += [("Transfer-Encoding", "chunked")] if chunked else []
        headers += [("Content-Length", str(length))] if length is not None else []
        lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in headers)]
        self._client.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def _chunk(self, piece: bytes) -> None:
        self._client.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")


class ConnectProxy:
    """A forward proxy as companies have it: CONNECT, then bytes both ways. heads: of the requests that came."""

    GRANTED: ClassVar = b"HTTP/1.1 200 Connection established\r\n\r\n"

    def __init__(self) -> None:
        self.heads: list[str] = []
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.port = self._sockets[0].getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def close(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._sockets[0].accept()
                self._sockets.append(client)
                if (address := self._asked(client)) is not None:
                    server = socket.create_connection(address)
                    self._sockets.append(server)
                    client.sendall(self.GRANTED)
                    self._start(self._copy, client, server)
                    self._start(self._copy, server, client)

    def _asked(self, client: socket.socket) -> tuple[str, int] | None:
        """Where the client wants to go; None where it was told no."""
        self.heads.append(client.recv(4096).decode())
        host, _, port = self.heads[-1].split(" ")[1].rpartition(":")
        return host, int(port)

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)


class SocksProxy(ConnectProxy):
    """SOCKS5 (RFC 1928) as `ssh -D` speaks it; with a login (RFC 1929) where one is given. heads: `host:port` of what was asked for.

    logins: `user:password` of who came. refuses: it says of every server that its connection is refused.
    """

    GRANTED: ClassVar = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00"
    REFUSED: ClassVar = b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"

    def __init__(self, *, login: bool = False, refuses: bool = False) -> None:
        self.logins: list[str] = []
        self._login, self._refuses = login, refuses
        super().__init__()

    def _asked(self, client: socket.socket) -> tuple[str, int] | None:
        with client.makefile("rb") as said:
            methods = said.read(said.read(2)[1])
            chosen = 2 if self._login else 0
            assert chosen in methods
            client.sendall(bytes((5, chosen)))
            if self._login:
                if not said.read(1):
                    return None  # it has gone: its login does not fit
                self.logins.append(":".join(said.read(said.read(1)[0]).decode() for _ in ("user", "password")))
                client.sendall(b"\x01\x00")
            kind = said.read(4)[3]
            host = said.read(said.read(1)[0]).decode() if kind == 3 else socket.inet_ntoa(said.read(4))
            (port,) = struct.unpack("!H", said.read(2))
        self.heads.append(f"{host}:{port}")
        if self._refuses:
            client.sendall(self.REFUSED)
            return None
        return host, port
