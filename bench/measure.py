"""What a benchmark gives back, and how times are taken: the processor time of whole processes, children included, or the wall clock."""

import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sample:
    """Several measurements of one thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self, unit: str, digits: int = 2) -> str:
        low, high = min(self.values), max(self.values)
        middle = f"{self.median:,.{digits}f} {unit}"
        return middle if len(self.values) == 1 else f"{middle} ({low:,.{digits}f} to {high:,.{digits}f})"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. met: None where there is no goal."""

    what: str
    ours: str
    peer: str
    ratio: str
    goal: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """A benchmark's rows; profile: where the time goes, wanted when a goal is missed."""

    title: str
    method: str
    rows: tuple[Row, ...]
    profile: str = ""

    @property
    def missed(self) -> bool:
        return any(row.met is False for row in self.rows)


@dataclass(slots=True)
class Stopwatch:
    """wall and cpu in seconds, once its block has ended."""

    wall: float = 0.0
    cpu: float = 0.0
    _begin: tuple[float, float] = field(default=(0.0, 0.0))


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Wall clock and processor time of this process (all threads)."""
    watch = Stopwatch(_begin=(time.perf_counter(), time.process_time()))
    yield watch
    watch.wall, watch.cpu = time.perf_counter() - watch._begin[0], time.process_time() - watch._begin[1]


def process_times(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Wall clock and processor time of one whole process. Raises subprocess.CalledProcessError."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def in_turn(times: int, *works: Callable[[], float]) -> tuple[Sample, ...]:
    """Do the works in turn, `times` over, so that a busy machine is as busy for each of them; a first round is not counted."""
    rounds = [tuple(work() for work in works) for _ in range(times + 1)][1:]
    return tuple(Sample(tuple(values)) for values in zip(*rounds, strict=True))
