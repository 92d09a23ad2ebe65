"""Everything raised on purpose, as a tree; the exit code stands on the class.

    ReconcilerError                                                                1
    |- UsageError             the command line or reconciler.toml cannot mean this  1
    |- RepoError              the repository cannot be read                         1
    |  `- RepoUnavailable     ... and trying again later may help
    |- StateError             the state folder cannot be read or written            1
    |- Busy                   another process holds what is needed                  1
    |- CompileError           a declaration does not fit its engine or cluster      1
    |- LocalError             a program that we keep up on this box does not start  1
    `- TargetError            a target refused or failed                            1
       |- TargetUnavailable   ... and trying again later may help
       `- TargetRefused       ... and trying again will not

A mistake in a declaration is not raised but collected: a `Problem` is a value, so that one run shows all of them. An exception
of this tree carries the same three parts, and everything that reaches a person is printed by `Problem.text()`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, in the form that a person reads: where, whose, what, code; why; what to do.

    `where` is `path:line` (or a URL, a file, a target's name); `owner` the declaration that it blocks (`Endpoint/team-a/chat`), if known.
    """

    code: str
    what: str
    why: str = ""
    todo: str = ""
    where: str = ""
    subject: str = ""
    path: str = ""
    owner: str | None = None
    severity: Severity = Severity.ERROR

    def text(self) -> str:
        """Three lines at most: `where: subject: path: what [code]`, then why, then what to do, indented."""
        head = ": ".join(part for part in (self.where, self.subject, self.path, self.what) if part)
        lines = [f"{head} [{self.code}]", *(f"  {part}" for part in (self.why, self.todo) if part)]
        return "\n".join(lines)


class ReconcilerError(Exception):
    """Base of all; `code` is stable and documented in docs/errors.md."""

    exit_code = 1
    default_code = "X1"

    def __init__(self, what: str, *, why: str = "", todo: str = "", where: str = "", code: str = "") -> None:
        super().__init__(what)
        self.problem = Problem(code or self.default_code, what, why, todo, where)

    def __str__(self) -> str:
        return self.problem.text()


class UsageError(ReconcilerError):
    default_code = "U1"


class RepoError(ReconcilerError):
    default_code = "R1"


class RepoUnavailable(RepoError):
    default_code = "R2"


class StateError(ReconcilerError):
    default_code = "S1"


class Busy(ReconcilerError):
    default_code = "S2"


class CompileError(ReconcilerError):
    default_code = "C1"


class LocalError(ReconcilerError):
    default_code = "L1"


class TargetError(ReconcilerError):
    default_code = "T1"


class TargetUnavailable(TargetError):
    """The target did not answer, or answered with what could mean anything."""

    default_code = "T2"


class TargetRefused(TargetError):
    default_code = "T3"
