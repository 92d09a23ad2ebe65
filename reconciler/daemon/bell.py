"""What wakes the loop. Any thread rings; one thread waits. Any number of hints between two passes is one hint."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.resource import Json


@dataclass(slots=True, eq=False)
class Trigger:
    """Somebody waits for a pass that begins after now. `answer` is set before `done`."""

    colour: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    answer: Mapping[str, Json] = field(default_factory=dict)

    def reply(self, answer: Mapping[str, Json]) -> None:
        self.answer = answer
        self.done.set()


@dataclass(frozen=True, slots=True)
class Turn:
    """Why a pass runs."""

    triggers: tuple[Trigger, ...]
    hints: tuple[str, ...]
    due: bool


class Bell:
    """clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rung = threading.Condition()
        self._triggers: list[Trigger] = []
        self._hints: set[str] = set()
        self._stopping = False

    @property
    def stopping(self) -> bool:
        return self._stopping

    def hint(self, target: str) -> None:
        with self._rung:
            self._hints.add(target)
            self._rung.notify_all()

    def trigger(self, trigger: Trigger) -> None:
        """A pass at once; when the daemon is ending, the trigger is answered so instead."""
        with self._rung:
            self._triggers.append(trigger)
            self._rung.notify_all()

    def stop(self) -> None:
        """Also from a signal handler: the condition's lock may be taken again by the thread that holds it."""
        self._stopping = True
        with self._rung:
            self._rung.notify_all()

    def wait(self, due_at: float, hints_at: float) -> Turn | None:
        """Until a trigger, the time `due_at`, or a hint that is not before `hints_at`. None: the daemon is to end."""
        with self._rung:
            while not self._stopping:
                now = self._clock()
                if self._triggers or now >= due_at or (self._hints and now >= hints_at):
                    return self._take(now >= due_at)
                until = min(due_at, hints_at) if self._hints else due_at
                self._rung.wait(max(0.0, min(until - now, 3600.0)))
            return None

    def left(self) -> list[Trigger]:
        """Triggers that no pass will answer any more."""
        with self._rung:
            return list(self._take(False).triggers)

    def _take(self, due: bool) -> Turn:
        turn = Turn(tuple(self._triggers), tuple(sorted(self._hints)), due)
        self._triggers.clear()
        self._hints.clear()
        return turn
