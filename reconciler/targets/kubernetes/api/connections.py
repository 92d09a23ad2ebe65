"""Kept-alive connections to one API server: http.client and ssl, no more, because nothing in Python is faster over HTTP/1.1.

A kept connection that the server has closed meanwhile is noticed before it is used, or opened once more where a repeat is harmless.
"""

import base64
import contextlib
import http.client
import select
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.targets.kubernetes.api.access import Access, Certificate, Login, Proxy
from reconciler.targets.kubernetes.api.body import read_body, unpacked
from reconciler.targets.kubernetes.api.failures import TooLarge
from reconciler.targets.kubernetes.api.tls import tls_context

LONGEST_IDLE: Final = 45.0  # seconds: middle boxes forget a connection after a minute and tell nobody

JSON: Final = "application/json"

Headers = tuple[tuple[str, str], ...]
Address = tuple[str, int]  # host and port


@dataclass(frozen=True, slots=True)
class Request:
    """target: path and query. read: seconds of silence. repeat: sending it twice does what sending it once does."""

    method: str
    target: str
    headers: Headers = ()
    body: bytes | None = None
    accept: str = JSON
    read: float = 30.0
    repeat: bool = True

    @property
    def asked(self) -> str:
        return f"{self.method} {self.target.partition('?')[0]}"


@dataclass(frozen=True, slots=True)
class Reply:
    """retry_after: the header, None when absent."""

    status: int
    body: bytes
    content: str
    retry_after: str | None
    warnings: tuple[str, ...]


class NoAnswer(Exception):
    """No whole answer came. sent: the server may have done what was asked."""

    def __init__(self, cause: Exception, sent: bool) -> None:
        super().__init__(str(cause))
        self.cause, self.sent = cause, sent


class _Connection(http.client.HTTPConnection):
    """To a server, behind a proxy or not. tls: with a name of our choice in the certificate; None for plain HTTP."""

    def __init__(self, server: Address, timeout: float, proxy: Proxy | None, tls: tuple[ssl.SSLContext, str] | None) -> None:
        self._server, self._socks, self._tls = server, proxy if proxy is not None and proxy.socks else None, tls
        tunnel = proxy if self._socks is None else None
        self.default_port = 443 if tls is not None else 80  # for the Host header
        super().__init__(*((tunnel.host, tunnel.port) if tunnel is not None else server), timeout=timeout)
        if tunnel is not None:
            login = base64.b64encode(f"{tunnel.user}:{tunnel.password.reveal()}".encode()).decode()
            self.set_tunnel(*server, {"Proxy-Authorization": f"Basic {login}"} if tunnel.user else {})

    def connect(self) -> None:
        if self._socks is not None:
            self.sock = through_socks(self._socks, self._server, self.timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as http.client does
        else:
            super().connect()
        if self._tls is not None:
            context, name = self._tls
            self.sock = context.wrap_socket(self.sock, server_hostname=name)


def through_socks(proxy: Proxy, server: Address, timeout: float | None) -> socket.socket:
    """A connection to the server, whose name the proxy finds. Raises OSError, which names the proxy."""
    from python_socks import ProxyError, ProxyType
    from python_socks.sync import Proxy as Socks

    user, password = (proxy.user, proxy.password.reveal()) if proxy.user else (None, None)
    way = Socks(ProxyType.SOCKS5, proxy.host, proxy.port, user, password, rdns=True)
    try:
        return way.connect(*server, timeout=timeout)
    except (ProxyError, OSError, ValueError) as error:  # the last for a login that SOCKS cannot carry
        raise OSError(f"the proxy {proxy.host}:{proxy.port}: {error}") from error


class Server:
    """Where connections lead, and by what TLS. Opens nothing by itself; for many threads."""

    def __init__(self, access: Access, connect: float) -> None:
        parts = urllib.parse.urlsplit(access.server)
        self._access, self._connect = access, connect
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self.base = parts.path.rstrip("/")
        self._lock = threading.Lock()
        self._context: tuple[Certificate | None, ssl.SSLContext] | None = None

    def open(self, certificate: Certificate | None) -> http.client.HTTPConnection:
        """A connection that stands. Raises OSError."""
        connection = self._connection(certificate)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection

    def _connection(self, certificate: Certificate | None) -> http.client.HTTPConnection:
        tls = (self._tls_context(certificate), self._access.server_name or self._host) if self._secure else None
        return _Connection((self._host, self._port), self._connect, self._access.proxy, tls)

    def _tls_context(self, certificate: Certificate | None) -> ssl.SSLContext:
        with self._lock:
            if self._context is None or self._context[0] != certificate:
                self._context = (certificate, tls_context(self._access, certificate))
            return self._context[1]


@dataclass(frozen=True, slots=True)
class _Kept:
    connection: http.client.HTTPConnection
    certificate: Certificate | None
    since: float


class Pool:
    """Connections that wait for the next request, the last used first, so that few stay open when little is asked. For many threads."""

    def __init__(self, server: Server, clock: Callable[[], float] = time.monotonic) -> None:
        self._server, self._clock = server, clock
        self._lock = threading.Lock()
        self._idle: list[_Kept] = []
        self._out: dict[http.client.HTTPConnection, socket.socket] = {}
        self.closed = False
        self.sent = 0  # requests

    def exchange(self, request: Request, login: Login, deadline: float) -> Reply:
        """One request and its whole answer. deadline: by the clock. Raises NoAnswer."""
        kept = self._take(login.certificate)
        if kept is not None:
            try:
                return self._on(kept, request, login, deadline)
            except NoAnswer as error:
                if not (request.repeat and isinstance(error.cause, ConnectionError | ssl.SSLEOFError)):
                    raise
        return self._on(self._open(login.certificate), request, login, deadline)

    def close(self) -> None:
        """Ends what is under way, too: who waits for an answer gets none."""
        with self._lock:
            self.closed = True
            idle, self._idle = self._idle, []
            out = tuple(self._out.values())
        for kept in idle:
            kept.connection.close()
        for one in out:
            hang_up(one)

    def _on(self, connection: http.client.HTTPConnection, request: Request, login: Login, deadline: float) -> Reply:
        with self._lock:
            self._out[connection] = connection.sock
            self.sent += 1
        try:
            reply, keep = _talk(connection, request, login, deadline, self._clock)
        except BaseException as error:
            self._give(connection, login.certificate, keep=False)
            if isinstance(error, OSError | http.client.HTTPException | ValueError | TooLarge):
                raise NoAnswer(error, sent=True) from error
            raise
        self._give(connection, login.certificate, keep)
        return reply

    def _open(self, certificate: Certificate | None) -> http.client.HTTPConnection:
        if self.closed:
            raise NoAnswer(ConnectionAbortedError("the client is closed"), sent=False)
        try:
            return self._server.open(certificate)
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(error, sent=False) from error

    def _take(self, certificate: Certificate | None) -> http.client.HTTPConnection | None:
        """One that still stands, or None."""
        while True:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is None:
                return None
            young = self._clock() - kept.since < LONGEST_IDLE
            if young and kept.certificate == certificate and not _readable(kept.connection):
                return kept.connection
            kept.connection.close()

    def _give(self, connection: http.client.HTTPConnection, certificate: Certificate | None, keep: bool) -> None:
        with self._lock:
            self._out.pop(connection, None)
            keep = keep and not self.closed
            if keep:
                self._idle.append(_Kept(connection, certificate, self._clock()))
        if not keep:
            connection.close()


def hang_up(one: socket.socket) -> None:
    """From another thread than the one that reads: the socket itself is shut, which wakes the reader; TLS is not spoken to."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(one, socket.SHUT_RDWR)


def _readable(connection: http.client.HTTPConnection) -> bool:
    """Nothing was asked: what can be read is the end of the connection."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def begin(connection: http.client.HTTPConnection, request: Request, login: Login, silence: float) -> http.client.HTTPResponse:
    """Send the request, wait for the head of the answer. silence: seconds. Raises OSError, http.client.HTTPException."""
    connection.sock.settimeout(silence)
    connection.putrequest(request.method, request.target, skip_accept_encoding=True)
    connection.putheader("Accept", request.accept)
    for name, value in request.headers:
        connection.putheader(name, value)
    if login.authorization:
        connection.putheader("Authorization", login.authorization.reveal())
    if request.body is not None:
        connection.putheader("Content-Length", str(len(request.body)))
    connection.endheaders(request.body)
    return connection.getresponse()


def _talk(
    connection: http.client.HTTPConnection, request: Request, login: Login, deadline: float, clock: Callable[[], float]
) -> tuple[Reply, bool]:
    left = deadline - clock()
    if left <= 0:
        raise TimeoutError("no time is left")
    wire = connection.sock  # which the connection lets go of when the server wants to close it
    response = begin(connection, request, login, min(request.read, left))
    raw = read_body(response, wire, deadline, clock)
    if response.headers.get("Content-Encoding") == "gzip":
        raw = unpacked(raw)
    warnings = tuple(_warning(text) for text in response.headers.get_all("Warning", ()))
    content = response.headers.get_content_type()
    reply = Reply(response.status, raw, content, response.headers.get("Retry-After"), warnings)
    return reply, not response.will_close


def _warning(header: str) -> str:
    """`299 - "text"` of RFC 7234, as Kubernetes sends it."""
    return header.partition('"')[2].rpartition('"')[0].replace('\\"', '"') or header
