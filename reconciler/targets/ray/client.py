"""Ray's dashboard over HTTP: the five calls that the target needs, and what their failures mean.

One kept-alive connection; nothing of a browser in the headers, because Ray refuses a browser's writes and hides values from its reads.
`TargetUnavailable` where trying again may help, `TargetRefused` where somebody must do something first:

    RAY1 nobody answers        RAY2 the token is refused       RAY3 Ray's control plane is down
    RAY4 Ray refuses the list  RAY5 that is not Ray            RAY6 empty could mean "not found"
    RAY7 changed since planned RAY8 a hidden value would be written   RAY9 somebody else wrote at the same time
"""

import http.client
import json
import ssl
import threading
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.errors import TargetError, TargetRefused, TargetUnavailable
from reconciler.resource import Json

TIMEOUT: Final = 30.0  # seconds; the call that starts Serve takes up to six
LIGHT_TIMEOUT: Final = 5.0
LIMIT: Final = 64 * 1024 * 1024  # bytes of an answer
APPLICATIONS: Final = "/api/serve/applications/"
CONTROLLER: Final = "/api/v0/actors?filter_keys=name&filter_predicates=%3D&filter_values=SERVE_CONTROLLER_ACTOR&detail=true"
UNAVAILABLE: Final = frozenset({408, 429, 500, 502, 503, 504})


class Token:
    """A cluster's token: whoever has it runs code there, so it is printed nowhere."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Token(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._text}"} if self._text else {}


@dataclass(frozen=True, slots=True)
class Version:
    """session: changes with every start of the head on an empty storage."""

    session: str
    ray: str


class RayClient:
    """Not for two threads at once to wait on; a lock keeps their requests apart. Raises TargetUnavailable, TargetRefused."""

    def __init__(self, address: str, token: Token) -> None:
        parts = urllib.parse.urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TargetRefused(
                f"{address!r} is no address of a Ray dashboard", code="RAY5", todo="write http://host:8265 into ray.dashboardUrl"
            )
        self.address = address.rstrip("/")
        self._host, self._port, self._tls = parts.hostname, parts.port, parts.scheme == "https"
        self._base = parts.path.rstrip("/")
        self._token = token
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None

    def fits(self, address: str, token: Token) -> bool:
        """Is it the client for this address with this token?"""
        return (self.address, self._token) == (address.rstrip("/"), token)

    def version(self) -> Version:
        answer = self._get("/api/ray/version")
        if not isinstance(answer, Mapping) or not answer.get("ray_version"):
            raise self._not_ray("it has no /api/ray/version")
        return Version(str(answer.get("session_name", "")), str(answer["ray_version"]))

    def applications(self, timeout: float = TIMEOUT) -> Json:
        """The whole answer of Serve, of every owner, unfiltered."""
        return self._get(APPLICATIONS, timeout)

    def put(self, body: Mapping[str, Json]) -> None:
        """Replace the list of declarative applications."""
        self._call("PUT", APPLICATIONS, body, TIMEOUT)

    def no_controller(self) -> bool:
        """The second source: True only when Ray says for sure that no Serve controller is alive."""
        answer = self._get(CONTROLLER)
        rows = answer
        for name in ("data", "result"):
            rows = rows.get(name) if isinstance(rows, Mapping) else None
        if not isinstance(answer, Mapping) or answer.get("result") is not True or not isinstance(rows, Mapping):
            return False
        found = rows.get("result")
        if not isinstance(found, list) or rows.get("partial_failure_warning"):
            return False
        return all(isinstance(row, Mapping) and row.get("state") == "DEAD" for row in found)

    def log_tail(self, node: str, file: str, lines: int = 40) -> str:
        """The last lines of a log on a node; "" when they cannot be had: a message is never worth an error."""
        query = urllib.parse.urlencode({"node_id": node, "filename": file.lstrip("/"), "lines": lines})
        try:
            return self._call("GET", f"/api/v0/logs/file?{query}", None, LIGHT_TIMEOUT).decode(errors="replace")
        except TargetError:
            return ""

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _get(self, path: str, timeout: float = TIMEOUT) -> Json:
        raw = self._call("GET", path, None, timeout)
        try:
            value: Json = json.loads(raw)
        except ValueError:
            raise self._not_ray(f"{path} answers something that is not JSON") from None
        return value

    def _call(self, method: str, path: str, body: Mapping[str, Json] | None, timeout: float) -> bytes:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Accept": "application/json", **self._token.header()} | ({"Content-Type": "application/json"} if data else {})
        with self._lock:
            status, raw = self._exchange(method, self._base + path, data, headers, timeout)
        if status != 200:
            raise self._refusal(method, path, status, raw[:2000].decode(errors="replace").strip())
        return raw

    def _exchange(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str], timeout: float) -> tuple[int, bytes]:
        """One request. A kept connection that the other side has closed meanwhile is opened once more, for reads only."""
        kept = self._connection is not None
        try:
            return self._request(method, path, data, headers, timeout)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            self._drop()
            if not (kept and method == "GET"):
                raise self._away(error) from error
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise self._away(error) from error
        try:
            return self._request(method, path, data, headers, timeout)
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise self._away(error) from error

    def _request(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str], timeout: float) -> tuple[int, bytes]:
        connection = self._connection or self._open()
        self._connection = connection
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        connection.request(method, path, body=data, headers=dict(headers))
        answer = connection.getresponse()
        raw = answer.read(LIMIT + 1)
        if answer.will_close or len(raw) > LIMIT:
            self._drop()
        return answer.status, raw

    def _open(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=ssl.create_default_context())
        return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _away(self, error: Exception) -> TargetUnavailable:
        if isinstance(error, ConnectionRefusedError):
            why = "the connection is refused: nothing listens there"
        elif isinstance(error, TimeoutError):
            why = "no answer in time"
        else:
            why = str(error) or type(error).__name__
        return TargetUnavailable(
            "Ray does not answer",
            code="RAY1",
            where=self.address,
            why=why,
            todo="see that the head runs and that ray.dashboardUrl is right",
        )

    def _not_ray(self, why: str) -> TargetRefused:
        return TargetRefused(
            "that is no Ray dashboard", code="RAY5", where=self.address, why=why, todo="write the dashboard's address into ray.dashboardUrl"
        )

    def _refusal(self, method: str, path: str, status: int, text: str) -> TargetError:
        said = f"{method} {path.partition('?')[0]} answers {status}" + (f": {text}" if text and not text.startswith("<") else "")
        if status in (401, 403):
            todo = (
                "put the cluster's token into the entry that ray.tokenRef names" if status == 401 else "see that it is this cluster's token"
            )
            return TargetRefused("Ray refuses the token", code="RAY2", where=self.address, why=said[:300], todo=todo)
        if status == 501:
            return TargetRefused("Serve is not installed on the head", code="RAY4", where=self.address, todo='install "ray[serve]" there')
        if status in UNAVAILABLE:
            return TargetUnavailable(
                "Ray's control plane is down", code="RAY3", where=self.address, why=said[:600], todo="see the GCS on the head"
            )
        if status == 404:
            return self._not_ray(said[:300])
        return TargetRefused("Ray refuses the list of applications", code="RAY4", where=self.address, why=said[:1200])
