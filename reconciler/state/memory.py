"""A state folder in memory, for histories in virtual time: the same record, written and lost at the same places."""

from pathlib import Path

from reconciler.checkpoint import reach
from reconciler.state.record import Record


class MemoryLock:
    """Nobody else is there to take it, unless a history says so."""

    def __init__(self) -> None:
        self.lost = False

    def held(self) -> bool:
        return not self.lost

    def release(self) -> None:
        pass


class MemoryState:
    """`State` without a disk. `path` is a name, nothing lies there."""

    def __init__(self, path: Path = Path("/nowhere")) -> None:
        self.path = path
        self.record = Record()

    def load(self) -> Record:
        return self.record

    def save(self, record: Record) -> None:
        reach("state: record", "before")
        self.record = record
        reach("state: record", "after")

    def lock(self, target: str, who: str) -> MemoryLock:
        return MemoryLock()
