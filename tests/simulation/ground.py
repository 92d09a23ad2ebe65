"""The world that histories are played in: memory targets whose every write is noted, that fail when told to, and locks that can be lost.

Only what an outsider could see stands here; what is right or wrong about it is said in `invariants.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from reconciler import checkpoint
from reconciler.change import Change
from reconciler.desired import TargetSpec
from reconciler.errors import Busy, TargetUnavailable
from reconciler.resource import Observation, Resource, ResourceKey
from reconciler.state.memory import MemoryState
from reconciler.targets.memory.target import MemoryTarget
from reconciler.targets.memory.world import Stored, World
from reconciler.targets.protocol import Context

Noted = Callable[["WatchedTarget | None", ResourceKey, "Stored | None", "Stored | None"], None]


class Killed(BaseException):
    """SIGKILL: nothing that runs can catch it."""


@dataclass
class WatchedWorld(World):
    """noted: hears each write of a reconciler with what was there before. Others' writes go through `outside`."""

    noted: Noted = lambda target, key, before, after: None
    acting: "WatchedTarget | None" = None
    _outside: int = 0

    def put(self, entry: Stored) -> None:
        before = self.stored.get(entry.key)
        super().put(entry)
        self.noted(self.acting, entry.key, before, self.stored[entry.key])

    def drop(self, key: ResourceKey) -> None:
        before = self.stored.get(key)
        super().drop(key)
        self.noted(self.acting, key, before, None)

    def outside(self, key: ResourceKey, entry: Stored | None) -> None:
        """Somebody else writes here, or a replica restarts."""
        self._outside += 1
        if entry is None:
            self.stored.pop(key, None)
        else:
            self.stored[key] = replace(entry, version=-self._outside)


class WatchedTarget(MemoryTarget):
    """A memory target that says who reads and writes it. dark: hears which readings failed."""

    def __init__(self, spec: TargetSpec, context: Context, world: WatchedWorld, who: object, dark: set[str]) -> None:
        super().__init__(spec, context, world)
        self.watched, self.who, self.dark, self.holds_lock = world, who, dark, context.still_held

    def read(self, wanted: Mapping[ResourceKey, Resource]) -> Observation:
        self.dark.add(self.name)
        seen = super().read(wanted)
        self.dark.discard(self.name)
        return seen

    def _do(self, change: Change, before: Stored | None) -> None:
        self.watched.acting = self
        super()._do(change, before)
        self.watched.acting = None


class Lock:
    def __init__(self, who: str) -> None:
        self.who, self.lost = who, False

    def held(self) -> bool:
        return not self.lost

    def release(self) -> None:
        self.lost = True


@dataclass
class SharedState(MemoryState):
    """A state folder whose locks keep a second process out, as the kernel's do."""

    def __init__(self) -> None:
        super().__init__()
        self.locks: dict[str, Lock] = {}

    def lock(self, target: str, who: str) -> Lock:  # type: ignore[override]  # the same protocol, another holder
        holder = self.locks.get(target)
        if holder is not None and holder.held():
            raise Busy(f"{target} is being written by {holder.who}", where=target)
        self.locks[target] = Lock(who)
        return self.locks[target]


@dataclass
class Faults:
    """What goes wrong in the next pass; each number counts from 1, and 0 means never.

    kill_at: which checkpoint is the last one. refuse_at: which write fails before it is done; lose_at: which is done and reported as
    failed. steal_at: at which checkpoint locks are lost, and `intrude` then runs as somebody else.
    """

    kill_at: int = 0
    refuse_at: int = 0
    lose_at: int = 0
    steal_at: int = 0
    intrude: Callable[[], None] = lambda: None
    reached: list[str] = field(default_factory=list)

    @contextmanager
    def listening(self) -> Iterator[None]:
        checkpoint.listen(self._hear)
        try:
            yield
        finally:
            checkpoint.listen(None)

    def _hear(self, place: str) -> None:
        self.reached.append(place)
        here, writes = len(self.reached), self._writes("before")
        if here == self.kill_at:
            raise Killed(place)
        if here == self.steal_at:
            checkpoint.listen(None)
            self.intrude()
            checkpoint.listen(self._hear)
        if place.startswith("memory") and place.endswith("/before") and writes == self.refuse_at:
            raise TargetUnavailable("the target fails in the middle of a write", where=place)
        if place.startswith("memory") and place.endswith("/after") and self._writes("after") == self.lose_at:
            raise TargetUnavailable("the target's answer is lost", where=place)

    def _writes(self, moment: str) -> int:
        return sum(place.startswith("memory") and place.endswith(moment) for place in self.reached)


def stored_of(world: World, targets: Sequence[str] = ()) -> list[Stored]:
    return [entry for key, entry in sorted(world.stored.items()) if not targets or key.target in targets]
