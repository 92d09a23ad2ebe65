"""`reconciler apply`: the whole pass once; with --wait again and again until nothing waits or its time is up."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from reconciler.cli.options import add_output, add_where, where_of
from reconciler.cli.output import emit_report, note

if TYPE_CHECKING:
    from reconciler.given import Given
    from reconciler.report.model import Report

PAUSE: Final = 1.0  # seconds between two passes of --wait
TROUBLED: Final = 5.0  # ... while something fails


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser("apply", help="do it: one pass, or with --wait until nothing waits")
    parser.add_argument("--wait", action="store_true", help="repeat until nothing waits for something else")
    parser.add_argument("--timeout", default="20m", metavar="TIME", help="for --wait: 90s, 20m (default), 2h")
    add_where(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    from reconciler.cli.passes import given, without_collector
    from reconciler.cli.sources import source_of
    from reconciler.keys import duration_of

    where = where_of(parsed)
    limit = duration_of(parsed.timeout) if parsed.wait else 0.0
    if not limit:
        without_collector()
    with source_of(None, where) as source, given(where, source, who="apply", write=True) as ready:
        report = _passes(ready, limit)
    return emit_report(report, as_json=parsed.json, no_color=parsed.no_color)


def _passes(ready: "Given", limit: float) -> "Report":
    """One report over all passes: the last plan, and what became of every change on the way."""
    from reconciler.cli.progress import Progress
    from reconciler.report.combine import combined

    progress = Progress() if limit else None
    if progress:
        progress.begin()
    reports: list[Report] = []
    for report in _until_nothing_waits(ready, limit):
        reports.append(report)
        if progress:
            progress.show(report)
    if progress:
        progress.end()
    if limit and reports[-1].waiting:
        note("The time is up, and something still waits; the next pass goes on from here.")
    return combined(reports)


def _until_nothing_waits(ready: "Given", limit: float) -> "Iterator[Report]":
    import time

    from reconciler.reconcile import reconcile

    end = time.monotonic() + limit
    while True:
        report = reconcile(ready)
        yield report
        pause = TROUBLED if report.exit_code == 1 else PAUSE
        moved = any(outcome.applied for outcome in report.outcomes or ())  # then one more pass sees what came of it
        if not (report.waiting or moved) or time.monotonic() + pause > end:
            return
        time.sleep(pause)
