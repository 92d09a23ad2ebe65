"""`reconciler validate` of the example repo as a whole process, against a Python that does nothing."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.measure import Findings, Row, in_turn, process_times

CHECKOUT: Final = Path(__file__).resolve().parent.parent
TIMES: Final = 11
GOAL: Final = 0.5  # seconds more than a Python that does nothing
PROFILE_LINES: Final = 25


def run() -> Findings:
    ours = [sys.executable, "-m", "reconciler.cli.main", "validate", str(CHECKOUT / "examples" / "repo")]
    nothing = [sys.executable, "-c", "pass"]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    validate, python = in_turn(TIMES, lambda: process_times(ours, environment)[0], lambda: process_times(nothing, environment)[0])
    more = validate.median - python.median
    row = Row(
        "validate of examples/repo, whole process",
        validate.text("s"),
        f"{python.text('s')} (`python -c pass`)",
        f"+{more:.2f} s",
        f"< +{GOAL} s",
        more < GOAL,
    )
    return Findings("Start of the command line", f"wall clock, median of {TIMES} in turn", (row,), "" if row.met else _imports(ours))


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
