"""The API server's own log of what one user asked for: the proof of "no write", of the order of writes, of the number of reads.

One JSON line per stage of a request. A request counts once: when its answer is complete, but a watch when it begins, for its end may
never come. The server appends while we read, so a last line without its end of line is left for the next reading.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tools.controlplane.programs import NotAvailable

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
QUESTIONS: Final = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
POLL: Final = 0.02  # seconds

# Users are named, so that set-up by the administrator and what the controllers do is not counted.
POLICY: Final = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, users: [reconciler], verbs: [create, update, patch, delete, deletecollection]}
- {level: Metadata, users: [reconciler], verbs: [get, list, watch]}
- {level: None}
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. `resource` is the plural (`deployments`), empty for a path that is none; `received` sorts in time, also across two
    servers of one machine."""

    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    uri: str
    agent: str
    received: str

    @property
    def dry_run(self) -> bool:
        return "All" in parse_qs(urlsplit(self.uri).query).get("dryRun", [])

    @property
    def write(self) -> bool:
        """Whether it could change what is stored: a dry run cannot, nor can a question that is put as an object (who am I, may I)."""
        return self.verb in WRITES and not self.dry_run and self.group not in QUESTIONS


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The log of one control plane. An existing cluster has none that we could read: then every question raises NotAvailable, for an
    empty answer would prove whatever is to be proved."""

    file: Path | None

    @property
    def path(self) -> Path:
        if self.file is None:
            raise NotAvailable("the audit log of an existing cluster cannot be read")
        return self.file

    def mark(self) -> int:
        """The place in the log where the next entry will stand, to be given to `since`."""
        if not self.path.exists():
            return 0
        text = self.path.read_bytes()
        return text.rfind(b"\n") + 1

    def since(self, mark: int = 0) -> Iterator[Entry]:
        """The entries that are there now, from `mark` on, in the order in which their answers were complete."""
        if not self.path.exists():
            return
        with self.path.open("rb") as log:
            log.seek(mark)
            for line in log:
                if line.endswith(b"\n") and (entry := parse(line)) is not None:
                    yield entry

    def wait(self, condition: Callable[[Entry], bool], mark: int = 0, seconds: float = 10.0) -> Entry:
        """The first entry from `mark` on that meets the condition, waited for. Raises TimeoutError."""
        until = time.monotonic() + seconds
        while True:
            found = next(filter(condition, self.since(mark)), None)
            if found is not None:
                return found
            if time.monotonic() > until:
                raise TimeoutError(f"no such entry in {self.path} within {seconds:g} s; there are {len(list(self.since(mark)))} others")
            time.sleep(POLL)


def parse(line: bytes) -> Entry | None:
    """One request, or None for a line that is not the one that counts."""
    event: dict[str, Any] = json.loads(line)
    verb, code = event["verb"], event.get("responseStatus", {}).get("code", 0)
    begins = verb == "watch" and code < 400  # a watch that is refused never begins
    if event["stage"] != ("ResponseStarted" if begins else "ResponseComplete"):
        return None
    subject: dict[str, str] = event.get("objectRef", {})
    return Entry(
        verb=verb,
        group=subject.get("apiGroup", ""),
        resource=subject.get("resource", ""),
        subresource=subject.get("subresource", ""),
        namespace=subject.get("namespace", ""),
        name=subject.get("name", ""),
        code=code,
        uri=event["requestURI"],
        agent=event.get("userAgent", ""),
        received=event["requestReceivedTimestamp"],
    )
