"""Statuses go back to the repository: one branch per target, one commit per transition, from a thread of its own.

A failure never fails a pass: it is told, and tried again later with a pause that grows. The source branch is never written to, whatever the
Settings say. Changes are gathered for a moment, so that a start of ten endpoints is one commit and not thirty.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from reconciler.errors import ReconcilerError
from reconciler.publish.status_files import Files, Writer, message_of, same_news, targets_of
from reconciler.report.model import Report

LONGEST: Final = 300.0  # seconds between two tries


class Push(Protocol):
    """Make the branch hold these files, by compare-and-swap, with bounded retries; None where it does already. Raises RepoError."""

    def __call__(self, branch: str, files: Files, message: str) -> object: ...


class Told(Protocol):
    """A structlog logger."""

    def info(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...


@dataclass(slots=True)
class StatusBranches:
    """delay: seconds that changes are gathered. source_branch: tells what people write to. random: from 0 to 1, for the jitter."""

    push: Push
    source_branch: Callable[[], str]
    delay: float
    log: Told
    random: Callable[[], float]
    _writer: Writer = field(default_factory=Writer)
    _pushed: dict[str, Files] = field(default_factory=dict)
    _latest: Report | None = None
    _dirty: bool = False
    _ended: bool = False
    _refused: str = ""
    _changed: threading.Condition = field(default_factory=threading.Condition)
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
        """Take the statuses of a pass. Returns at once; a plan is none, and what is known already is no news."""
        if report.outcomes is None or (self._latest is not None and same_news(self._latest, report)):
            return
        with self._changed:
            self._latest, self._dirty = report, True
            self._changed.notify_all()

    def _work(self) -> None:
        failures = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._dirty or self._ended)
                if self._changed.wait_for(lambda: self._ended, self._pause(failures)):
                    return
                report, self._dirty = self._latest, False
            good = report is None or self._publish(report)
            failures = 0 if good else failures + 1
            if not good:
                with self._changed:
                    self._dirty = True

    def _pause(self, failures: int) -> float:
        if not failures:
            return self.delay
        return min(LONGEST, max(self.delay, 1.0) * 2.0 ** min(failures, 10)) * (0.9 + 0.2 * self.random())

    def _publish(self, report: Report) -> bool:
        """Push what differs from what was pushed last; a target that no endpoint stands on any more keeps its branch, emptied."""
        targets = sorted({*targets_of(report), *self._pushed})
        results = [self._one(target, report) for target in targets if self._allowed(target, report)]
        return all(results)

    def _allowed(self, target: str, report: Report) -> bool:
        template = report.status_branch
        if "{target}" in template and _branch(target, report) != self.source_branch():
            return True
        if template != self._refused:
            self._refused = template
            self.log.warning("status_branch_refused", target=target, branch=template, problem="it is not a branch of this target alone")
        return False

    def _one(self, target: str, report: Report) -> bool:
        branch = _branch(target, report)
        try:
            files = self._writer.files_of(target, report)
            before = self._pushed.get(target)
            if before == files:
                return True
            statuses = tuple(status for status in report.statuses if target in status.targets)
            made = self.push(branch, files, message_of(before, files, statuses))
        except Exception as error:  # whatever it is, it must not end this thread
            text = error.problem.text() if isinstance(error, ReconcilerError) else f"{type(error).__name__}: {error}"
            self.log.warning("status_publish_failed", target=target, branch=branch, problem=text)
            return False
        self._pushed[target] = files
        if made is not None:
            self.log.info("status_published", target=target, branch=branch, endpoints=len(statuses))
        return True


def _branch(target: str, report: Report) -> str:
    return report.status_branch.replace("{target}", target)
