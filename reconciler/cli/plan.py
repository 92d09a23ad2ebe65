"""`reconciler plan`: the pass up to its guards. Takes no lock, starts nothing, writes nothing."""

import argparse

from reconciler.cli.options import add_output, add_where, where_of
from reconciler.cli.output import emit_report


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser("plan", help="what would a pass do?")
    parser.add_argument("path", nargs="?", metavar="PATH", help="a folder as it lies there; absent: the head of --repo")
    add_where(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    from reconciler.cli.passes import given, without_collector
    from reconciler.cli.sources import source_of
    from reconciler.reconcile import reconcile

    without_collector()
    where = where_of(parsed)
    with source_of(parsed.path, where) as source, given(where, source, who="plan", write=False) as ready:
        report = reconcile(ready)
    return emit_report(report, as_json=parsed.json, no_color=parsed.no_color)
