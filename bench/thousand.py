"""Compile and plan of 1,000 endpoints against memory targets: cold as a whole process, again without a change, and how it grows.

python -m bench.thousand cold|again FOLDER STATE [--profile]     one measurement, printed as seconds of processor time
"""

import cProfile
import io
import os
import pstats
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bench import fleet
from bench.measure import Findings, Row, Sample, process_times, stopwatch
from reconciler.cli.compiler import Compiler
from reconciler.cli.options import Where
from reconciler.cli.sources import git_source
from reconciler.desired import TargetSpec
from reconciler.given import Given
from reconciler.places import places
from reconciler.reconcile import reconcile
from reconciler.state.compiled import Compiled, program_id
from reconciler.state.folder import StateFolder
from reconciler.targets.memory.target import MemoryTarget
from reconciler.targets.memory.world import World
from reconciler.targets.protocol import Context

KINDS: Final = {"ray": "memory", "envoy": "memory"}
TIMES: Final = 3
SMALL, LARGE = 1000, 10000
COLD_GOAL, AGAIN_GOAL = 2.0, 0.2  # seconds of CPU
LINEAR: Final = 1.25  # ten times the endpoints in at most 12.5 times the time
PASSES: Final = 12  # until everything serves and is routed, at most
HOUR: Final = 3600.0
PROFILE_LINES: Final = 25


@contextmanager
def ready(folder: Path, state: Path, world: World, write: bool) -> Iterator[Given]:
    where = Where(str(folder), "main", state)
    folder_of_state = StateFolder(state)
    with ExitStack() as stack:
        source = stack.enter_context(closing(git_source(where)))
        source.fetch()
        opened = stack.enter_context(places(folder_of_state, "bench", write=write, now=lambda: world.now, opener=partial(_open, world)))
        yield Given(source, folder_of_state, opened, Compiler(KINDS), kept=Compiled(state, program_id("bench")))


def _open(world: World, spec: TargetSpec, context: Context) -> MemoryTarget:
    return MemoryTarget(spec, context, world)


def cold(folder: Path, state: Path) -> None:
    """One plan of everything, nothing live yet."""
    with ready(folder, state, World(), False) as given:
        plan = reconcile(given).plan
    if plan.endpoints < SMALL or len(plan.operations) < SMALL:
        raise RuntimeError(f"{len(plan.operations)} operations for {plan.endpoints} endpoints: this is not what is to be measured")


def again(folder: Path, state: Path, measure: Callable[[Callable[[], object]], None]) -> None:
    """Pass until nothing is left to do, then measure one more pass: what a daemon does when nothing changed."""
    world = World()
    with ready(folder, state, world, True) as given:
        for _ in range(PASSES):
            report = reconcile(given)
            world.now += HOUR
            if not report.plan.operations and not report.plan.rebinds:
                break
        else:
            raise RuntimeError(f"not converged after {PASSES} passes: {len(report.plan.operations)} operations left")
        reconcile(given)
        measure(lambda: reconcile(given))


def run() -> Findings:
    with tempfile.TemporaryDirectory(prefix="rcl-bench-") as name:
        folder = Path(name)
        for count in (SMALL, LARGE):
            fleet.write(folder / str(count), count)
        one, ten = (Sample(tuple(_cold(folder, count) for _ in range(TIMES))) for count in (SMALL, LARGE))
        second = Sample(tuple(_again(folder, SMALL) for _ in range(TIMES)))
        nothing = process_times([sys.executable, "-c", "pass"], os.environ)[1]
        growth = ten.median / one.median / (LARGE / SMALL)
        rows = (
            Row(
                f"cold: whole process, {SMALL:,} endpoints",
                one.text("s"),
                f"{nothing:.2f} s (`python -c pass`)",
                "",
                "< 2 s",
                one.median < COLD_GOAL,
            ),
            Row("second pass of a daemon, nothing changed", second.text("s", 3), "", "", "< 0.2 s", second.median < AGAIN_GOAL),
            Row(
                f"cold, {LARGE:,} endpoints",
                ten.text("s"),
                f"{one.text('s')} for {SMALL:,}",
                f"{growth:.2f}x per endpoint",
                f"<= {LINEAR}x",
                growth <= LINEAR,
            ),
        )
        slow = [way for way, row in (("cold", rows[0]), ("again", rows[1])) if not row.met]
        profile = "\n".join(f"{way}:\n{_child(way, folder, SMALL, '--profile')}" for way in slow)
    return Findings("A thousand endpoints", f"seconds of processor time, median of {TIMES}", rows, profile)


def _child(way: str, folder: Path, count: int, *words: str) -> str:
    with tempfile.TemporaryDirectory(prefix="rcl-bench-") as state:
        command = [sys.executable, "-m", "bench.thousand", way, str(folder / str(count)), state, *words]
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True).stdout


def _cold(folder: Path, count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="rcl-bench-") as state:
        return process_times([sys.executable, "-m", "bench.thousand", "cold", str(folder / str(count)), state], os.environ)[1]


def _again(folder: Path, count: int) -> float:
    return float(_child("again", folder, count))


def _seconds(work: Callable[[], object]) -> None:
    with stopwatch() as watch:
        work()
    print(watch.cpu)


def _profile(work: Callable[[], object]) -> None:
    profiler = cProfile.Profile(time.process_time)
    profiler.runcall(work)
    out = io.StringIO()
    pstats.Stats(profiler, stream=out).sort_stats("cumulative").print_stats(r"reconciler/|yaml/|git/", PROFILE_LINES)
    print("\n".join(line.rpartition("site-packages/")[2] or line for line in out.getvalue().splitlines() if line.strip()))


def main() -> None:
    way, folder, state = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    measure = _profile if "--profile" in sys.argv else _seconds
    if way == "again":
        again(folder, state, measure)
    elif measure is _profile:
        _profile(lambda: cold(folder, state))
    else:
        cold(folder, state)


if __name__ == "__main__":
    main()
