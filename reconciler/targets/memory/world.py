"""What the memory targets of one history share: everything that is stored, and time that only moves when it is told to.

A workload's replicas start after START_SECONDS. A manifest whose command has the word `crash` never serves and the world gives up on it
after GIVE_UP_SECONDS; `slow` starts after ten times as long. Old replicas serve until the new ones do (surge).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.resource import Binding, LiveResource, Manifest, Mark, Replica, ReplicaState, ResourceKey, Serving

START_SECONDS: Final = 3.0
GIVE_UP_SECONDS: Final = 9.0


@dataclass(frozen=True, slots=True)
class Stored:
    """One resource. since: when its present form was written. old: replicas of the form before, which serve until the new ones do.
    served: it has served at least once since it was created."""

    key: ResourceKey
    manifest: Manifest
    mark: Mark | None
    version: int
    since: float
    needs: tuple[ResourceKey, ...] = ()
    binding: Binding = field(default_factory=Binding)
    withdrawn: bool = False
    old: tuple[str, ...] = ()
    served: bool = False


@dataclass
class World:
    """now: seconds since the epoch. unreadable, unwritable: targets that fail at present; the hooks of a history set them."""

    now: float = 1_700_000_000.0
    stored: dict[ResourceKey, Stored] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    unwritable: Callable[[ResourceKey], bool] = lambda key: False
    pending: set[str] = field(default_factory=set)
    writes: int = 0

    def live(self, target: str) -> Mapping[ResourceKey, LiveResource]:
        return {key: self._live(entry) for key, entry in self.stored.items() if key.target == target}

    def put(self, entry: Stored) -> None:
        self.writes += 1
        self.stored[entry.key] = replace(entry, version=self.writes)

    def drop(self, key: ResourceKey) -> None:
        self.writes += 1
        self.stored.pop(key, None)

    def settle(self) -> None:
        """Let replicas that are due serve, and note it: call after time has moved."""
        for key, entry in self.stored.items():
            if key.kind == "Workload" and self._new_replicas(entry):
                self.stored[key] = replace(entry, served=True, old=())

    def _live(self, entry: Stored) -> LiveResource:
        serving = self._serving(entry) if entry.key.kind == "Workload" else None
        addresses = self.addresses(entry)
        return LiveResource(
            key=entry.key,
            manifest=entry.manifest,
            mark=entry.mark,
            version=str(entry.version),
            needs=entry.needs,
            withdrawn=entry.withdrawn,
            binding=entry.binding,
            addresses=addresses,
            serving=serving,
        )

    def addresses(self, entry: Stored) -> tuple[str, ...]:
        return self._new_replicas(entry) or entry.old

    def _new_replicas(self, entry: Stored) -> tuple[str, ...]:
        if entry.key.kind != "Workload" or _has(entry, "crash") or self.now < entry.since + self._start(entry):
            return ()
        return tuple(f"{entry.key.namespace}-{entry.key.name}-{entry.since:.0f}-{n}:80" for n in range(_replicas(entry)))

    def _start(self, entry: Stored) -> float:
        return START_SECONDS * (10 if _has(entry, "slow") else 1)

    def _serving(self, entry: Stored) -> Serving:
        ready, gave_up = self._new_replicas(entry), _has(entry, "crash") and self.now >= entry.since + GIVE_UP_SECONDS
        wanted = _replicas(entry)
        state = ReplicaState.FAILING if gave_up else ReplicaState.STARTING
        serving = [Replica(name, ReplicaState.SERVING) for name in ready or entry.old]
        new = [] if ready else [Replica(f"{entry.key.name}-{n}", state, "Crashed" if gave_up else "") for n in range(wanted)]
        return Serving(wanted, (*serving, *new), rollout=not ready and not gave_up, since=entry.since, gave_up=gave_up)


def _has(entry: Stored, word: str) -> bool:
    command = entry.manifest.get("command")
    return isinstance(command, list | tuple) and word in command


def _replicas(entry: Stored) -> int:
    count = entry.manifest.get("replicas", 1)
    return count if isinstance(count, int) else 1
