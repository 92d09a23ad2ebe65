"""What a target is to the pass: a Reader for `observe`, a Target for `apply`; and the tables that `plan` asks."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from reconciler.change import Change, Effects, FieldChange, Outcome
from reconciler.resource import LiveResource, Observation, Resource, ResourceKey


class Reader(Protocol):
    """What observe gets: it cannot write."""

    def read(self, wanted: Mapping[ResourceKey, Resource]) -> Observation:
        """One complete reading: everything that carries a mark of ours, and whatever else holds a wanted key.

        Raises TargetUnavailable (try again later) or TargetRefused. Never returns a shorter set for an error.
        """

    def changed(self) -> Iterator[None]:
        """Yields whenever a pass is worth while. May block between two yields, for a second at most; ends when `close` was called."""

    def close(self) -> None: ...


class Writer(Protocol):
    def write(self, wave: Sequence[Change]) -> Iterable[Outcome]:
        """Write a wave: changes that may run together. One outcome per change. Safe to call again with the same changes."""


class Target(Reader, Protocol):
    """What apply gets."""

    def session(self, plan: Sequence[Change]) -> AbstractContextManager[Writer]:
        """Intent is recorded before the first write and shrunk after the last."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose targets these are: the Settings' name and the hash of the repo's root commit."""

    instance: str
    repo: str


@dataclass(frozen=True, slots=True)
class Context:
    """What a target is opened with. folder: the state folder (absolute). write: False for `plan`, which starts nothing.
    now: seconds since the epoch. still_held: does this process still hold the target's lock? Every write batch asks.
    patient: a reading may wait for a program of ours that is starting; False where other targets would wait with it for the next pass."""

    folder: Path
    claim: Claim
    write: bool
    now: Callable[[], float]
    still_held: Callable[[], bool] = lambda: True
    patient: bool = True


@dataclass(frozen=True, slots=True)
class TargetRules:
    """The tables of a kind of target.

    ranks: kinds in the order of writing (deletes run bottom-up). serves: kinds whose end is an outage. routes: kinds that carry traffic.
    immutable: by kind, the JSON pointers (a prefix covers what is below it) that force a Replace.
    shared: kinds of which it is enough that they are there, whoever made them: no conflict, and no change.
    effects: what an update of these fields does.
    """

    ranks: tuple[frozenset[str], ...]
    serves: frozenset[str]
    routes: frozenset[str]
    immutable: Mapping[str, tuple[str, ...]]
    effects: Callable[[Resource, LiveResource, tuple[FieldChange, ...]], Effects]
    shared: frozenset[str] = frozenset()
