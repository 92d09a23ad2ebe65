"""The status word as conditions, under the names that Kubernetes tools know (kstatus: Ready, Reconciling, Stalled), with ours beside them.

A table, derived from the status alone, so that they can never disagree with the word (serving-checklist 7.5).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from reconciler.report.model import EndpointStatus
from reconciler.resource import Health

Truth = Literal["True", "False", "Unknown"]
MOVING: Final = frozenset({Health.STARTING, Health.MODEL_DOWNLOADING, Health.UPDATING, Health.DELETING})
TOO_LATE: Final = "ProgressDeadlineExceeded"


@dataclass(frozen=True, slots=True)
class Condition:
    """One of them. reason: that of the word, "" where the condition does not come from the word."""

    type: str
    status: Truth
    reason: str = ""


# type, is it so, does it say anything while the cluster cannot be read?
TABLE: Final[tuple[tuple[str, Callable[[EndpointStatus], bool], bool], ...]] = (
    ("Ready", lambda one: one.word is Health.READY, False),
    ("Reconciling", lambda one: one.word in MOVING, False),
    ("Stalled", lambda one: one.word is Health.ERROR or one.reason == TOO_LATE, False),
    ("Degraded", lambda one: one.word is Health.DEGRADED, False),
    ("RoutePublished", lambda one: one.routed, True),
    ("Drifted", lambda one: one.drifted, False),
    ("Reconciled", lambda one: one.settled, False),
)


def conditions_of(status: EndpointStatus) -> tuple[Condition, ...]:
    """In the order of the table. The reason is that of the word, where a condition is true."""
    unread = status.word is Health.UNKNOWN
    found = []
    for name, holds, known in TABLE:
        truth: Truth = "Unknown" if unread and not known else "True" if holds(status) else "False"
        found.append(Condition(name, truth, status.reason if truth != "False" and name not in ("Drifted", "Reconciled") else ""))
    return tuple(found)
