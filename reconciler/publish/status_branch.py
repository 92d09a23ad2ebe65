"""Statuses go back to the repository: one branch per target, one commit per transition, from a thread of its own.

A failure never fails a pass: it is told, and tried again later with a pause that grows. The source branch is never written to, whatever the
Settings say. Changes are gathered for a moment, so that a start of ten endpoints is one commit and not thirty.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from reconciler.errors import ReconcilerError
from reconciler.publish.status_files import Files, files_of, message_of, targets_of
from reconciler.report.model import EndpointStatus, Report

LONGEST: Final = 300.0  # seconds between two tries


class Push(Protocol):
    """Make the branch hold exactly these files, by compare-and-swap, with retries that are bounded. Raises RepoError."""

    def __call__(self, branch: str, files: Files, message: str) -> object: ...


class Told(Protocol):
    """A structlog logger."""

    def info(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    branch: str
    files: Files
    statuses: tuple[EndpointStatus, ...]


@dataclass(slots=True)
class StatusBranches:
    """delay: seconds that changes are gathered. source_branch: tells what people write to. random: from 0 to 1, for the jitter."""

    push: Push
    source_branch: Callable[[], str]
    delay: float
    log: Told
    random: Callable[[], float]
    _pushed: dict[str, Files] = field(default_factory=dict)
    _wanted: dict[str, Wanted] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _ended: bool = False
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="publisher", daemon=True)
        self._thread.start()

    def close(self, patience: float = 2.0) -> None:
        """End; what was not pushed yet is found again by the next daemon, which compares with the branch."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(patience)

    def offer(self, report: Report) -> None:
        """Take the statuses of a pass. Returns at once."""
        if report.outcomes is None:
            return
        self._known |= set(targets_of(report))
        wanted = {target: self._wanted_of(target, report) for target in self._known}
        with self._changed:
            for target, want in wanted.items():
                if want is None:
                    continue
                if self._pushed.get(target) == want.files:
                    self._wanted.pop(target, None)
                else:
                    self._wanted[target] = want
            if self._wanted:
                self._changed.notify_all()

    def _wanted_of(self, target: str, report: Report) -> Wanted | None:
        branch = report.status_branch.replace("{target}", target)
        if branch == self.source_branch() or "{target}" not in report.status_branch:
            self.log.warning("status_branch_refused", target=target, branch=branch, problem="it is not a branch of this target alone")
            return None
        statuses = tuple(status for status in report.statuses if target in status.targets)
        return Wanted(branch, files_of(target, report), statuses)

    def _work(self) -> None:
        failures = 0
        while True:
            with self._changed:
                while not (self._wanted or self._ended):
                    self._changed.wait()
                if self._changed.wait_for(lambda: self._ended, self._pause(failures)):
                    return
                batch = dict(self._wanted)
            failures = failures + 1 if not self._push_all(batch) else 0

    def _pause(self, failures: int) -> float:
        if not failures:
            return self.delay
        return min(LONGEST, max(self.delay, 1.0) * 2.0 ** min(failures, 10)) * (0.9 + 0.2 * self.random())

    def _push_all(self, batch: Mapping[str, Wanted]) -> bool:
        results = [self._push_one(target, want) for target, want in batch.items()]
        return all(results)

    def _push_one(self, target: str, want: Wanted) -> bool:
        try:
            self.push(want.branch, want.files, message_of(self._pushed.get(target), want.files, want.statuses))
        except Exception as error:  # whatever it is, it must not end this thread
            text = error.problem.text() if isinstance(error, ReconcilerError) else f"{type(error).__name__}: {error}"
            self.log.warning("status_publish_failed", target=target, branch=want.branch, problem=text)
            return False
        self.log.info("status_published", target=target, branch=want.branch, endpoints=len(want.statuses))
        with self._changed:
            self._pushed[target] = want.files
            if self._wanted.get(target) is want:
                del self._wanted[target]
        return True
