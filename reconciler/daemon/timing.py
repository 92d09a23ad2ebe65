"""When the next pass comes, as a value: no clock, no sleep, no thread. Times are seconds on one clock that the caller knows."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

FETCH_CAP: Final = 300.0  # longest pause between two tries to reach Git


@dataclass(frozen=True, slots=True)
class Timing:
    """interval: between two fetches of Git. waiting: to the next pass while something waits. gap: at least that between passes that
    targets ask for, doubled up to `most` while they turn out to be for nothing. backoff, cap: after failures. keep: between two looks at
    the local programs."""

    interval: float = 30.0
    waiting: float = 1.0
    gap: float = 0.2
    most: float = 2.0
    backoff: float = 1.0
    cap: float = 60.0
    keep: float = 0.5


class Found(Enum):
    """What a pass came to."""

    NOTHING = auto()
    CHANGED = auto()
    WAITING = auto()
    TROUBLE = auto()
    TROUBLE_AND_WAITING = auto()


class Schedule:
    """Told what happened, it says when to fetch and when to pass. random: from 0 to 1, for the jitter."""

    def __init__(self, timing: Timing, random: Callable[[], float]) -> None:
        self._timing, self._random = timing, random
        self._failed_fetches = self._troubles = self._idle_hints = 0
        self.fetch_at = self.pass_at = self.hints_at = float("-inf")

    @property
    def due_at(self) -> float:
        """The next pass without any hint or trigger; every fetch is followed by a pass."""
        return min(self.fetch_at, self.pass_at)

    def fetched(self, now: float, good: bool) -> None:
        timing = self._timing
        self._failed_fetches = 0 if good else self._failed_fetches + 1
        delay = timing.interval if good else min(FETCH_CAP, timing.backoff * 2.0**self._failed_fetches)
        self.fetch_at = now + delay * self._jitter()

    def passed(self, now: float, found: Found, hinted: bool = False) -> None:
        """hinted: the pass came only because a target asked for it."""
        timing = self._timing
        trouble = found in (Found.TROUBLE, Found.TROUBLE_AND_WAITING)
        self._troubles = self._troubles + 1 if trouble else 0
        self._idle_hints = self._idle_hints + 1 if hinted and found is Found.NOTHING else 0
        self.hints_at = now + min(timing.most, timing.gap * 2.0 ** min(self._idle_hints, 16))
        self.pass_at = now + self._pause(found)

    def _pause(self, found: Found) -> float:
        timing = self._timing
        backed_off = min(timing.cap, timing.backoff * 2.0 ** min(self._troubles - 1, 16)) * self._jitter() if self._troubles else 0.0
        if found is Found.TROUBLE:
            return backed_off
        if found is Found.TROUBLE_AND_WAITING:  # what fails must not slow down what waits, nor be hammered because of it
            return min(backed_off, 5 * timing.waiting)
        # the next fetch brings a pass; while Git is away and fetches are rare, drift is still looked for
        return timing.waiting if found is Found.WAITING else 2 * timing.interval

    def _jitter(self) -> float:
        return 0.9 + 0.2 * self._random()
