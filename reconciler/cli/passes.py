"""What passes are made of, for the verbs that make them: the state folder, opened targets, the compiler."""

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from reconciler import checkpoint
from reconciler.cli.compiler import Compiler
from reconciler.cli.options import Where
from reconciler.given import Given
from reconciler.places import places
from reconciler.repo.source import Source
from reconciler.state.compiled import Compiled, program_id
from reconciler.state.folder import Held, StateFolder


class StateWhile:
    """The state folder of a daemon: when it is to end, its locks say that they are not held, and no write batch begins."""

    def __init__(self, inner: StateFolder, still: Callable[[], bool]) -> None:
        self.path = inner.path
        self.load, self.save = inner.load, inner.save
        self._inner, self._still = inner, still

    def lock(self, target: str, who: str) -> Held:
        return _HeldWhile(self._inner.lock(target, who), self._still)


@dataclass(frozen=True, slots=True)
class _HeldWhile:
    inner: Held
    still: Callable[[], bool]

    def held(self) -> bool:
        return self.still() and self.inner.held()

    def release(self) -> None:
        self.inner.release()


def without_collector() -> None:
    """For one pass and a process that then ends: what a collector would free is less than its walks over thousands of objects cost."""
    gc.disable()


@contextmanager
def given(
    where: Where, source: Source, *, who: str, write: bool, still: Callable[[], bool] = lambda: True, patient: bool = True
) -> Iterator[Given]:
    """Everything for passes of one command; at its end locks are released and connections closed. patient: False for who passes again
    anyway, and has other clusters to look after meanwhile."""
    checkpoint.obey(os.environ, lambda: os.kill(os.getpid(), signal.SIGKILL))
    state = StateWhile(StateFolder(where.state), still)
    with places(state, who, write=write, now=time.time, patient=patient) as opened:
        yield Given(source, state, opened, Compiler(), kept=Compiled(where.state, program_id()))
