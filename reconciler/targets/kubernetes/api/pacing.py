"""How fast: limits of time, the waits between two attempts, and how many requests are under way at once.

Kubernetes has no quota that a client could know; it answers 429. So sixteen at once until it does, then half as many, then slowly more
again: every client of the cluster gets its share, and nobody has to tune anything.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

FIRST_WAIT: Final = 0.2  # seconds; doubles with every attempt
LONGEST_WAIT: Final = 10.0
LONGEST_RETRY_AFTER: Final = 30.0  # seconds that a server may make us wait
USUAL_RETRY_AFTER: Final = 1.0
NARROW_EVERY: Final = 0.5  # seconds: sixteen 429 at the same moment are one word of the server, not sixteen


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, but width (requests at once) and attempts. read: silence on a connection; budget: one call, its repeats and waits included.
    list_*: the same for one page of a LIST, which the server may take its time for. silence: of a watch, which has a bookmark about every
    minute; one that says nothing for longer is taken for dead."""

    width: int = 16
    connect: float = 5.0
    read: float = 30.0
    list_read: float = 60.0
    budget: float = 60.0
    list_budget: float = 180.0
    silence: float = 90.0
    attempts: int = 6


def dice() -> float:
    import random  # late: only who must wait needs it

    return random.random()


def wait_before(attempt: int, retry_after: float, random: Callable[[], float]) -> float:
    """Seconds before attempt 2, 3, ...: what the server asks for, else exponential with jitter (half to all of it)."""
    if retry_after:
        return min(retry_after, LONGEST_RETRY_AFTER) + random() * FIRST_WAIT
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 2)) * (0.5 + random() / 2)


@dataclass(frozen=True, slots=True)
class Pacing:
    """What a test would not want to wait for. cancelled: asked before every repeat. sleep: None for one that the client's end wakes."""

    cancelled: Callable[[], bool]
    sleep: Callable[[float], object] | None
    random: Callable[[], float] | None
    clock: Callable[[], float]


class Gate:
    """Lets `width` through at once, fewer after `narrow`. One more for every round of requests that went well."""

    def __init__(self, width: int, clock: Callable[[], float]) -> None:
        self._full, self._clock = width, clock
        self._free = threading.Condition()
        self._width, self._inside, self._good = width, 0, 0
        self._narrow_again = float("-inf")

    @property
    def width(self) -> int:
        return self._width

    def narrow(self) -> None:
        with self._free:
            self._good = 0
            if self._clock() >= self._narrow_again:
                self._width = max(1, self._width // 2)
                self._narrow_again = self._clock() + NARROW_EVERY

    def went_well(self) -> None:
        if self._width == self._full:
            return
        with self._free:
            self._good += 1
            if self._good >= self._width and self._width < self._full:
                self._width, self._good = self._width + 1, 0
                self._free.notify()

    def __enter__(self) -> None:
        with self._free:
            while self._inside >= self._width:
                self._free.wait()
            self._inside += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._free:
            self._inside -= 1
            self._free.notify()
