"""`reconciler validate` of the example repo as a whole process, against a Python that does nothing."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from bench.measure import Findings, Row, Sample, process_times

CHECKOUT: Final = Path(__file__).resolve().parent.parent
Times: TypeAlias = tuple[float, float]  # wall clock, processor time
TIMES: Final = 11
GOAL: Final = 0.5  # seconds more than a Python that does nothing
PROFILE_LINES: Final = 25


def run() -> Findings:
    ours = [sys.executable, "-m", "reconciler.cli.main", "validate", str(CHECKOUT / "examples" / "repo")]
    nothing = [sys.executable, "-c", "pass"]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    times = [(process_times(ours, environment), process_times(nothing, environment)) for _ in range(TIMES + 1)][1:]
    wall, cpu = (_row(name, times, at) for at, name in enumerate(("wall clock", "processor time")))
    method = f"median of {TIMES} in turn; where the wall clock is far above the processor time, the machine was busy with other things"
    return Findings("Start of the command line", method, (wall, cpu), "" if wall.met else _imports(ours))


def _row(name: str, times: Sequence[tuple[Times, Times]], at: int) -> Row:
    validate, python = (Sample(tuple(pair[side][at] for pair in times)) for side in (0, 1))
    more = validate.median - python.median
    peer = f"{python.text('s')} (`python -c pass`)"
    return Row(f"validate of examples/repo, whole process, {name}", validate.text("s"), peer, f"+{more:.2f} s", f"< +{GOAL} s", more < GOAL)


def _imports(command: list[str]) -> str:
    """The slowest imports: where a start's time goes."""
    done = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:") and "|" in line and "cumulative" not in line]
    slowest = sorted(lines, key=lambda line: -int(line.split("|")[1]))[:PROFILE_LINES]
    return "own | with what it imports (microseconds)\n" + "\n".join(line.removeprefix("import time:") for line in slowest)
