"""The HTTP client of the Kubernetes target: what is asked of the API server, how often again, and what comes back.

Synchronous and for many threads: sixteen requests at once over kept-alive connections. Every request has time-outs, every call a budget.
A DELETE of which nobody knows whether it was done is not repeated before the object was read. A LIST is whole or an error: pages are handed
out when the last one is there.
"""

import contextlib
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from reconciler.targets.kubernetes.api import failures
from reconciler.targets.kubernetes.api.access import Access
from reconciler.targets.kubernetes.api.connections import JSON, Request, Server
from reconciler.targets.kubernetes.api.credentials import Credentials
from reconciler.targets.kubernetes.api.failures import KubeUnavailable
from reconciler.targets.kubernetes.api.kubeconfig import is_loopback
from reconciler.targets.kubernetes.api.pacing import Limits, Pacing
from reconciler.targets.kubernetes.api.refusal import NO_JSON, cut
from reconciler.targets.kubernetes.api.sending import Sender
from reconciler.targets.kubernetes.api.stream import Watch, open_watch
from reconciler.targets.kubernetes.kinds import MANAGER

METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
PATCH: Final = "application/json-patch+json"
OLDEST: Final = (1, 30)  # the oldest that anybody still had support for when this was written
DELETES: Final = 3  # times that a DELETE of an object that is still there is sent


@dataclass(frozen=True, slots=True)
class Answer:
    """status: 2xx, or 404 for a delete. warnings: what the server says to whoever wrote the manifest."""

    status: int
    body: bytes
    warnings: tuple[str, ...] = ()

    @property
    def created(self) -> bool:
        return self.status == 201


@dataclass(frozen=True, slots=True)
class Version:
    """text: as the server writes it, `v1.36.3`."""

    major: int
    minor: int
    text: str


class _PageMetadata(msgspec.Struct):
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct):
    """What must be known of a page, to ask for the next one."""

    kind: str
    items: msgspec.Raw
    metadata: _PageMetadata


class _Version(msgspec.Struct, rename="camel"):
    major: str
    minor: str
    git_version: str


class _ObjectMetadata(msgspec.Struct, rename="camel"):
    uid: str = ""
    deletion_timestamp: str | None = None


class _Object(msgspec.Struct):
    metadata: _ObjectMetadata


ITEMS: Final = b',"items":'
HEAD: Final = 8192  # bytes in which the items of a list begin
_PAGE: Final = msgspec.json.Decoder(_Page)


class KubeClient:
    """For many threads. Opens nothing before the first request.

    compress: have answers packed; None for "unless the server is on this box or in this cluster". cancelled: asked before every repeat.
    sleep, random (0 to 1), clock: for tests; a sleep of ours is one that `close` wakes.
    All methods raise KubeUnavailable and KubeRefused with the codes of failures.py.
    """

    def __init__(
        self,
        access: Access,
        *,
        limits: Limits | None = None,
        compress: bool | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], object] | None = None,
        random: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.where = access.where
        self.limits = limits or Limits()
        self._server = Server(access, self.limits.connect)
        self._credentials = Credentials(access)
        self._sender = Sender(self._server, self._credentials, self.limits, access.where, Pacing(cancelled, sleep, random, clock))
        self._version: Version | None = None
        near = access.in_cluster or is_loopback(urllib.parse.urlsplit(access.server).hostname or "")
        packed = not near if compress is None else compress
        self._headers = (("User-Agent", MANAGER), ("Accept-Encoding", "gzip" if packed else "identity"), *access.user.headers)
        self._lock = threading.Lock()
        self._watches: list[Watch] = []

    @property
    def requests(self) -> int:
        """Sent so far, repeats too."""
        return self._sender.sent

    @property
    def width(self) -> int:
        """How many requests may be under way at once now."""
        return self._sender.width

    def version(self) -> Version:
        """What the server is; asked once. KUBE5 for one that is too old, or no Kubernetes."""
        if self._version is None:
            self._version = self._checked_version(self.get("/version"))
        return self._version

    def get(self, path: str, *, accept: str = JSON) -> bytes:
        """The whole body. KUBE14 when the object or its namespace is not there, KUBE10 when its kind is not."""
        return self._sender.call(self._request("GET", path, accept=accept)).body

    def find(self, path: str, *, accept: str = JSON) -> bytes | None:
        """The same; None when the object (not its kind) is not there."""
        try:
            return self.get(path, accept=accept)
        except KubeUnavailable as error:
            if error.problem.code != failures.MISSING:
                raise
            return None

    def list_pages(self, path: str, selector: str = "", *, fields: str = "", limit: int = 500, accept: str = JSON) -> Iterator[bytes]:
        """The whole LIST, in pages that are JSON of a kind ...List. Nothing comes before the last page has come."""
        query = {"limit": str(limit), "labelSelector": selector, "fieldSelector": fields}
        try:
            pages = self._pages(path, query, accept)
        except KubeUnavailable as error:
            if error.problem.code != failures.EXPIRED:
                raise
            pages = self._pages(path, query, accept)
        pages.reverse()
        while pages:  # what was read is not kept
            yield pages.pop()

    def patch_apply(self, path: str, body: bytes, *, manager: str, force: bool, dry_run: bool = False, whole: bool = False) -> Answer:
        """Server-side apply. The answer is the object when `whole` or in a dry run, else its metadata."""
        query = {"fieldManager": manager, "force": "true" if force else "", "fieldValidation": "Strict", "dryRun": "All" if dry_run else ""}
        accept = JSON if whole or dry_run else METADATA
        return self._write(self._request("PATCH", path, query, body=body, content=APPLY, accept=accept))

    def patch_merge(self, path: str, body: bytes, *, manager: str = MANAGER, dry_run: bool = False) -> Answer:
        query = {"fieldManager": manager, "fieldValidation": "Strict", "dryRun": "All" if dry_run else ""}
        return self._write(self._request("PATCH", path, query, body=body, content=MERGE))

    def patch_json(self, path: str, body: bytes, *, manager: str = MANAGER, dry_run: bool = False) -> Answer:
        """Never sent again when it may have been done: then KUBE1 or KUBE16, and the object must be read."""
        query = {"fieldManager": manager, "fieldValidation": "Strict", "dryRun": "All" if dry_run else ""}
        return self._write(self._request("PATCH", path, query, body=body, content=PATCH, repeat=dry_run))

    def patch_status(self, path: str, body: bytes, *, manager: str = MANAGER) -> Answer:
        """A strategic merge patch of a built-in object's status: conditions merge by their type. path: of the object."""
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        return self._write(self._request("PATCH", f"{path}/status", query, body=body, content=STRATEGIC))

    def delete(self, path: str, uid: str, resource_version: str = "", propagation: str = "Background") -> Answer:
        """Only this object, and only as it was seen ("" for any version): else KUBE7. 404 is an Answer: it is gone."""
        conditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions, "propagationPolicy": propagation}
        request = self._request("DELETE", path, body=msgspec.json.encode(options), content=JSON, repeat=False)
        for attempt in range(1, DELETES + 1):
            try:
                return self._write(request)
            except KubeUnavailable as error:
                if error.problem.code == failures.MISSING:
                    return Answer(404, b"")
                if attempt == DELETES or not error.unknown:
                    raise
            if (answer := self._after_delete(path, uid)) is not None:
                return answer
        raise AssertionError("the last attempt returns or raises")

    def watch(
        self, path: str, resource_version: str, *, selector: str = "", fields: str = "", timeout: float = 300.0, accept: str = JSON
    ) -> Watch:
        """Events from that version on, bookmarks too, over a connection of its own. timeout: seconds after which the server ends it."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(int(timeout)),
            "labelSelector": selector,
            "fieldSelector": fields,
        }
        request = self._request("GET", path, query, accept=accept, read=self.limits.silence)
        watch = open_watch(self._server, self._credentials, request, self.where)
        with self._lock:
            self._watches = [one for one in self._watches if not one.closed] + [watch]
        return watch

    def close(self) -> None:
        """Ends what is under way in other threads, too: they get KUBE1."""
        self._sender.close()
        with self._lock:
            watches, self._watches = self._watches, []
        for watch in watches:
            watch.close()

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        content: str = "",
        accept: str = JSON,
        read: float = 0.0,
        repeat: bool = True,
    ) -> Request:
        words = urllib.parse.urlencode({key: value for key, value in (query or {}).items() if value})
        joined = f"{self._server.base}{path}" + ((("&" if "?" in path else "?") + words) if words else "")
        headers = (*self._headers, ("Content-Type", content)) if content else self._headers
        return Request(method, joined, headers, body, accept, read or self.limits.read, repeat)

    def _write(self, request: Request) -> Answer:
        reply = self._sender.call(request)
        return Answer(reply.status, reply.body, reply.warnings)

    def _pages(self, path: str, query: Mapping[str, str], accept: str) -> list[bytes]:
        pages: list[bytes] = []
        token = ""
        while True:
            request = self._request("GET", path, {**query, "continue": token}, accept=accept, read=self.limits.list_read)
            pages.append(self._sender.call(request, self.limits.list_budget).body)
            if not (token := self._continue(request, pages[-1])):
                return pages

    def _continue(self, request: Request, raw: bytes) -> str:
        """Where the next page begins, "" after the last one. That the items are whole is for who decodes them to see, or to compare with
        a page that was."""
        try:
            page = _page(raw)
        except NO_JSON as error:
            why = f"{request.asked}: the answer is no list in JSON: {cut(str(error))}"
            raise failures.refused(failures.NOT_KUBERNETES, why, "", self.where) from None
        if not page.kind.endswith("List"):
            why = f"{request.asked}: the answer is of kind {cut(page.kind)}, which is no list"
            raise failures.refused(failures.NOT_KUBERNETES, why, "", self.where)
        return page.metadata.continue_

    def _after_delete(self, path: str, uid: str) -> Answer | None:
        """What became of a DELETE that nobody answered; None when the object stands as before."""
        raw = self.find(path, accept=METADATA)
        if raw is None:
            return Answer(404, b"")
        try:
            metadata = msgspec.json.decode(raw, type=_Object).metadata
        except NO_JSON:
            raise failures.refused(failures.NOT_KUBERNETES, f"GET {path}: the answer is no object", "", self.where) from None
        if metadata.uid != uid:
            return Answer(404, b"")
        return Answer(202, raw) if metadata.deletion_timestamp else None

    def _checked_version(self, raw: bytes) -> Version:
        try:
            said = msgspec.json.decode(raw, type=_Version)
            major, minor = (int(text.rstrip("+")) for text in (said.major, said.minor))
        except NO_JSON:
            raise failures.refused(failures.NOT_KUBERNETES, "it has no /version that Kubernetes would give", "", self.where) from None
        if (major, minor) < OLDEST:
            why = f"it is Kubernetes {cut(said.git_version)}"
            todo = f"use a cluster of {OLDEST[0]}.{OLDEST[1]} or newer"
            raise failures.raised(failures.NOT_KUBERNETES, "Kubernetes is too old there", why, todo, self.where)
        return Version(major, minor, said.git_version)


def _page(raw: bytes) -> _Page:
    """By the head alone where the server writes the items last: a few hundred bytes of megabytes. Raises NO_JSON."""
    at = raw.find(ITEMS, 0, HEAD)
    if at > 0 and raw[-4:].rstrip().endswith(b"]}"):
        with contextlib.suppress(*NO_JSON):
            return _PAGE.decode(raw[:at] + ITEMS + b"[]}")
    return _PAGE.decode(raw)
