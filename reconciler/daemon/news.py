"""From report to log: only what is new since the last pass. An unchanged pass says nothing."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from reconciler.change import Outcome, Reason, Rebind
from reconciler.errors import Severity
from reconciler.report.model import EndpointStatus, Report
from reconciler.report.words import class_of, short_digest, short_revision

if TYPE_CHECKING:
    from reconciler.daemon.log import Log


class News:
    """Remembers what was said."""

    def __init__(self, log: "Log") -> None:
        self._log = log
        self._statuses: Mapping[str, EndpointStatus] = {}
        self._held: frozenset[tuple[str, str]] = frozenset()
        self._problems: frozenset[str] = frozenset()
        self._revision = ""

    def remember(self, statuses: Mapping[str, EndpointStatus]) -> None:
        """What an earlier daemon has said already."""
        self._statuses = statuses

    def tell(self, report: Report, seconds: float) -> bool:
        """Log a pass. Was there anything new in it?"""
        log = self._log.bind(revision=short_revision(report.plan.revision))
        said = [*self._outcomes(report, log), *self._endpoints(report, log), *self._holds(report, log), *self._found(report, log)]
        if said or report.plan.revision != self._revision:
            counts = {"applied": sum(said == "change_applied" for said in said), "failed": sum(said == "change_failed" for said in said)}
            log.info("pass_finished", **counts, held=len(report.plan.held), exit_code=report.exit_code, seconds=round(seconds, 3))
        self._revision = report.plan.revision
        return bool(said)

    def _outcomes(self, report: Report, log: "Log") -> Iterator[str]:
        for outcome in report.outcomes or ():
            yield self._outcome(outcome, log.bind(target=outcome.change.key.target))

    def _outcome(self, outcome: Outcome, log: "Log") -> str:
        change = outcome.change
        if outcome.applied:
            event = "addresses_changed" if isinstance(change, Rebind) else "change_applied"
            more = {"message": outcome.message} if outcome.message else {}
            log.info(event, resource=str(change.key), kind=class_of(change).value, **more)
            return event
        problem = outcome.problem.text() if outcome.problem else outcome.message
        log.error("change_failed", resource=str(change.key), kind=class_of(change).value, problem=problem)
        return "change_failed"

    def _endpoints(self, report: Report, log: "Log") -> Iterator[str]:
        now = {status.owner: status for status in report.statuses}
        for owner, status in now.items():
            before = self._statuses.get(owner)
            if before is None or _shown(before) != _shown(status):
                was = before.word.value if before else None
                ready = f"{status.ready}/{status.desired}"
                log.info("endpoint_changed", endpoint=owner, status=status.word.value, was=was, ready=ready, reason=status.reason)
                yield "endpoint_changed"
        for owner in self._statuses.keys() - now.keys():
            log.info("endpoint_removed", endpoint=owner)
            yield "endpoint_removed"
        self._statuses = now

    def _holds(self, report: Report, log: "Log") -> Iterator[str]:
        texts = {(held.subject, held.reason.value): held.text for held in report.plan.held}
        now = frozenset(texts)
        new = now - self._held
        for subject, reason in sorted(new):
            log.info("change_held", subject=subject, reason=reason, text=texts[subject, reason])
            yield "change_held"
        if any(reason == Reason.GUARD.value for _, reason in new):
            log.warning("acknowledgement_needed", digest=report.plan.digest, shown=short_digest(report.plan.digest))
        self._held = now

    def _found(self, report: Report, log: "Log") -> Iterator[str]:
        unreadable = {item.problem.text() for item in report.plan.unreadable}
        now = frozenset({problem.text() for problem in report.problems if problem.severity is Severity.ERROR} | unreadable)
        for text in sorted(now - self._problems):
            log.error("problem_found", problem=text)
            yield "problem_found"
        if self._problems - now:
            log.info("problems_solved", number=len(self._problems - now))
            yield "problems_solved"
        self._problems = now


def _shown(status: EndpointStatus) -> tuple[str, str, int, int, bool]:
    return (status.word.value, status.reason, status.ready, status.desired, status.routed)
