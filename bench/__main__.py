"""`make bench`: all of them, or those that are named; a table for people, and `--write` puts them into docs/performance.md.

Exit code 0 also when a goal is missed: it is reported with a profile of where the time goes, not hidden and not an alarm.
"""

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.measure import Findings, Row

BENCHMARKS: Final = ("validate", "thousand", "gateway", "first_token", "kubernetes")
PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
HEADER: Final = ("What", "Ours", "Peer", "Ratio", "Goal", "")


def verdict(row: Row) -> str:
    return "" if row.met is None else ("met" if row.met else "missed")


def cells(row: Row) -> tuple[str, ...]:
    return (row.what, row.ours, row.peer, row.ratio, row.goal, verdict(row))


def as_markdown(found: Findings) -> str:
    lines = [f"## {found.title}", "", f"{found.method[:1].upper()}{found.method[1:]}.", ""]
    lines += [f"| {' | '.join(HEADER)} |", f"|{'---|' * len(HEADER)}"]
    lines += [f"| {' | '.join(cells(row))} |" for row in found.rows]
    if found.profile:
        lines += ["", "Where the time goes:", "", "```", found.profile.rstrip(), "```"]
    return "\n".join([*lines, ""])


def as_text(found: Findings) -> str:
    rows = [HEADER, *(cells(row) for row in found.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"{found.title}: {found.method}", *(f"  {line}" for line in lines), *([found.profile] if found.profile else []), ""])


def machine() -> str:
    return f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def written(page: str, found: Sequence[Findings]) -> str:
    """The page with these sections in the place of their older selves, new ones last; the others stay as they are."""
    intro = (
        "# Performance\n\nWritten by `make bench ARGS=--write`. Ratios are what counts: both sides ran in the same minutes on the same"
        f" machine ({machine()}). Shared machines are noisy; look at the range too.\n"
    )
    old = {part.partition("\n")[0]: part for part in page.split("\n## ")[1:]}
    new = {one.title: as_markdown(one).removeprefix("## ") for one in found}
    return "\n".join([intro, *(f"## {part.rstrip()}\n" for part in {**old, **new}.values())])


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="Ratios of ours and a peer in one run.")
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--write", action="store_true", help="put what ran into docs/performance.md")
    wanted = parser.parse_args()
    pages = []
    for name in wanted.names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found: Findings = importlib.import_module(f"bench.{name}").run()
        print(as_text(found), flush=True)
        pages.append(found)
    if wanted.write:
        PAGE.write_text(written(PAGE.read_text() if PAGE.exists() else "", pages))


if __name__ == "__main__":
    main()
