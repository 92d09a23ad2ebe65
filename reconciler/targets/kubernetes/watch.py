"""A hint that a pass is worth while: WATCH on what a route or a status depends on.

Workloads and EndpointSlices of ours, each by a thread of its own, begun at the version of a LIST and kept alive by bookmarks. A watch that
ends is begun again where it stopped; where the server has forgotten that place (410), or nobody knows what was missed, the LIST is done
anew and counts as a change. What it brings is never used: the next pass reads by LIST, so a hint too many costs a pass and a lost one a
poll's wait. A watch that is refused (a right is missing) ends nothing, and is told: without it everything comes a poll later.
"""

import contextlib
import threading
import urllib.parse
from collections.abc import Mapping
from types import TracebackType
from typing import Final

import msgspec

from reconciler.errors import Problem, TargetError, TargetRefused
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.api.failures import EXPIRED
from reconciler.targets.kubernetes.api.stream import Watch
from reconciler.targets.kubernetes.inventory import PART_OF, ApplySet
from reconciler.targets.kubernetes.kinds import path_of
from reconciler.targets.kubernetes.settings import LWS
from reconciler.targets.kubernetes.shapes import decoded, watch_line

FIRST_PAUSE: Final = 0.5  # seconds before a failed watch is begun again, doubled up to the longest
LONGEST_PAUSE: Final = 8.0  # a try costs two small requests, and what is missed meanwhile waits for the next poll
NAMES_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
LIST_OF_NAMES: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
BOOKMARK: Final = "BOOKMARK"


class VersionOnly(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class Versioned(msgspec.Struct):
    """A list, an object, or the bookmark of none: it has no name."""

    metadata: VersionOnly


VERSIONED: Final = msgspec.json.Decoder(Versioned)


class Watches:
    """One thread per watched kind, for as long as the block lasts."""

    def __init__(self, client: KubeClient, applyset: ApplySet) -> None:
        kinds = ["Deployment", "EndpointSlice", *(["LeaderWorkerSet"] if applyset.settings.can(LWS) else [])]
        self._client, self._selector = client, f"{PART_OF}={applyset.id}"
        self._news, self._ended = threading.Event(), threading.Event()
        self._open: dict[str, Watch] = {}
        self._refused: dict[str, Problem] = {}
        self._pauses: dict[str, float] = {}
        self._threads = [threading.Thread(target=self._follow, args=(kind,), name=f"watch-{kind}", daemon=True) for kind in kinds]

    def __enter__(self) -> "Watches":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        for watch in list(self._open.values()):
            watch.close()
        for thread in self._threads:
            thread.join(5)

    @property
    def refused(self) -> Mapping[str, Problem]:
        """Kinds that cannot be watched until somebody does something, and why."""
        return dict(self._refused)

    def wait(self, seconds: float) -> bool:
        """Did something change, now or within these seconds?"""
        heard = self._news.wait(seconds)
        if heard:  # else what comes at this very moment would be lost
            self._news.clear()
        return heard

    def _follow(self, kind: str) -> None:
        version = ""
        while not self._ended.is_set():
            try:
                if not version:
                    version = self._version(kind)
                    self._news.set()  # what happened before is not known
                before, version = version, self._hear(kind, version)
                if version == before:  # not even a bookmark: it ended at once
                    self._pause(kind)
            except TargetError as error:
                version = ""
                if isinstance(error, TargetRefused):
                    self._refused[kind] = error.problem
                if error.problem.code != EXPIRED:
                    self._pause(kind)

    def _pause(self, kind: str) -> None:
        """Longer each time, until something was heard."""
        pause = self._pauses.get(kind, FIRST_PAUSE)
        self._pauses[kind] = min(2 * pause, LONGEST_PAUSE)
        self._ended.wait(pause)

    def _version(self, kind: str) -> str:
        """Where to begin: the version of a LIST, of which the first name is enough."""
        query = urllib.parse.urlencode({"limit": 1, "labelSelector": self._selector})
        page = self._client.get(f"{path_of(kind)}?{query}", accept=LIST_OF_NAMES)
        return decoded(VERSIONED, page, f"the LIST of {kind}s").metadata.resource_version

    def _hear(self, kind: str, version: str) -> str:
        """One watch to its end, at whose version the next one begins. Raises TargetError."""
        with contextlib.closing(self._client.watch(path_of(kind), version, selector=self._selector, accept=NAMES_ONLY)) as watch:
            self._open[kind] = watch
            self._refused.pop(kind, None)
            for line in () if self._ended.is_set() else watch:  # it may have ended while this one was opened
                heard = watch_line(line, f"the WATCH of {kind}s")
                version = decoded(VERSIONED, heard.object, f"the WATCH of {kind}s").metadata.resource_version or version
                self._pauses.pop(kind, None)
                if heard.type != BOOKMARK:
                    self._news.set()
        return version
