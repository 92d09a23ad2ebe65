"""What the plan is told beside desired and live: time, history, and what people acknowledged."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.desired import Guards, TargetSpec


@dataclass(frozen=True, slots=True)
class Spent:
    """What one revision has already done of what the guards count (owners), so that it cannot do it in slices.

    begun: owners whose delete or pause began at an earlier revision and is not over, and `move <owner>` for migrations: they are
    finished, and not counted again; `perhaps <owner>` where a pass that meant to begin was killed. A restart is one write: it is never
    half done, and the next one counts.
    """

    revision: str = ""
    deletes: frozenset[str] = frozenset()
    restarts: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Situation:
    """now: seconds since the epoch. applied: the last revision without anything held by a guard; "" if none is known.

    rewound: the revision that we acted on and that the head does not descend from, or "". trailers: digests of `Reconciler-Ack`
    after the applied revision. acknowledged: operations let through earlier at this revision. paused: owners that were paused before.
    """

    now: float
    applied: str = ""
    rewound: str = ""
    trailers: frozenset[str] = frozenset()
    acknowledged: frozenset[str] = frozenset()
    spent: Spent = field(default_factory=Spent)
    applied_guards: Guards | None = None
    paused: frozenset[str] = frozenset()
    targets: Mapping[str, TargetSpec] = field(default_factory=dict)  # declared and remembered
