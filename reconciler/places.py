"""The targets of a pass, opened: each under its lock, and kept open from one pass to the next while its declaration stays the same."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.desired import TargetSpec
from reconciler.errors import Problem, ReconcilerError
from reconciler.state.folder import Held, State
from reconciler.targets.protocol import Claim, Context, Target
from reconciler.targets.registry import open_target

Opener: TypeAlias = Callable[[TargetSpec, Context], Target]


@dataclass(slots=True)
class _Place:
    spec: TargetSpec
    claim: Claim
    target: Target
    lock: Held | None

    def fits(self, spec: TargetSpec | None, claim: Claim) -> bool:
        """Still what is declared, and still ours to write: a lock that was lost is taken anew, or the target stays closed."""
        return (spec, claim) == (self.spec, self.claim) and (self.lock is None or self.lock.held())

    def close(self) -> None:
        self.target.close()
        if self.lock:
            self.lock.release()


@dataclass(slots=True)
class Places:
    """who: the verb that people read in "is being written by". write: False for `plan`, which takes no lock and starts nothing. patient: as
    of a Context."""

    state: State
    who: str
    write: bool
    now: Callable[[], float]
    opener: Opener = open_target
    patient: bool = True
    _open: dict[str, _Place] = field(default_factory=dict)

    def open(self, specs: Mapping[str, TargetSpec], claim: Claim) -> tuple[Mapping[str, Target], Mapping[str, Problem]]:
        """Targets by name, and why others could not be opened: an unopened target is Unreadable, and the rest goes on."""
        for name in [name for name, place in self._open.items() if not place.fits(specs.get(name), claim)]:
            self._open.pop(name).close()
        closed: dict[str, Problem] = {}
        for name, spec in sorted(specs.items()):
            if name not in self._open:
                try:
                    self._open[name] = self._make(spec, claim)
                except ReconcilerError as error:
                    closed[name] = error.problem
        return {name: place.target for name, place in self._open.items()}, closed

    def _make(self, spec: TargetSpec, claim: Claim) -> _Place:
        lock = self.state.lock(spec.name, self.who) if self.write else None
        held = lock.held if lock else lambda: True
        context = Context(self.state.path, claim, self.write, self.now, held, self.patient)
        try:
            return _Place(spec, claim, self.opener(spec, context), lock)
        except BaseException:
            if lock:
                lock.release()
            raise

    def targets(self) -> Mapping[str, Target]:
        return {name: place.target for name, place in self._open.items()}

    def spec(self, name: str) -> TargetSpec:
        return self._open[name].spec

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


@contextmanager
def places(
    state: State, who: str, *, write: bool, now: Callable[[], float], opener: Opener = open_target, patient: bool = True
) -> Iterator[Places]:
    """Opened targets for one command; locks are released and connections closed at its end."""
    found = Places(state, who, write, now, opener, patient)
    try:
        yield found
    finally:
        found.close()
