"""What a pass reports: one value from which text, JSON, Markdown and the exit code are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.change import Outcome, Plan, Reason, Replace
from reconciler.errors import Problem, Severity
from reconciler.resource import Health, Replica

ERRORS = frozenset({Reason.CONFLICT, Reason.UNREADABLE, Reason.INVALID})
GUARDED = frozenset({Reason.GUARD, Reason.PROTECTED, Reason.APPROVAL})


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """One endpoint in one word, with everything that a person woken at night asks next (serving-checklist 7.1).

    since: when word or reason last changed, seconds since the epoch. revision: the commit that was last applied to it.
    routed: a route for it is published. ever_ready: it has been Ready at least once since it was created.
    replicas: failing ones first. drifted: something of it was changed on its target, not in the repo. settled: nothing of it is left to
    do or held at this revision.
    """

    owner: str
    word: Health
    reason: str = ""
    message: str = ""
    ready: int = 0
    desired: int = 0
    replicas: tuple[Replica, ...] = ()
    url: str = ""
    revision: str = ""
    since: float = 0.0
    routed: bool = False
    ever_ready: bool = False
    targets: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    drifted: bool = False
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """A pass as a value. `outcomes` is None for `plan`, which writes nothing. at: seconds since the epoch."""

    plan: Plan
    statuses: tuple[EndpointStatus, ...]
    problems: tuple[Problem, ...]
    outcomes: tuple[Outcome, ...] | None
    at: float
    status_branch: str = "status/{target}"
    applied: str = ""  # the revision that counts as applied after this pass
    notes: tuple[str, ...] = ()  # what targets showed that a person should know and nothing depends on

    @property
    def waiting(self) -> bool:
        """Does a later pass have something left to do that nobody needs to acknowledge?"""
        return self._replaced or any(held.reason is Reason.WAITING for held in self.plan.held)

    @property
    def _replaced(self) -> bool:
        """What was replaced is gone so far: a later pass creates it again."""
        return any(outcome.applied and isinstance(outcome.change, Replace) for outcome in self.outcomes or ())

    @property
    def exit_code(self) -> int:
        """The highest that applies, in the order 1 > 3 > 2 > 0 (docs/plans.md)."""
        reasons = {held.reason for held in self.plan.held}
        failed = any(not outcome.applied for outcome in self.outcomes or ())
        wrong = any(problem.severity is Severity.ERROR for problem in self.problems)
        if wrong or failed or self.plan.unreadable or reasons & ERRORS:
            return 1
        if reasons & GUARDED:
            return 3
        left = self.plan.changes or self.plan.heals if self.outcomes is None else ()
        return 2 if left or reasons or self._replaced else 0
