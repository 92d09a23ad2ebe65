"""`reconciler validate`: is every declaration sound? Reads and compiles, asks no server, remembers nothing."""

import argparse

from reconciler.cli.options import add_output, add_where, where_of
from reconciler.cli.output import colour_wanted, emit


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser("validate", help="is every declaration sound? (asks no server)")
    parser.add_argument("path", nargs="?", metavar="PATH", help="a folder as it lies there; absent: the head of --repo")
    add_where(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    from reconciler.cli.compiler import Compiler
    from reconciler.cli.sources import source_of
    from reconciler.desired import Remembered
    from reconciler.repo.cache import ReadCache
    from reconciler.repo.read import read_repo
    from reconciler.report.validation import is_sound, validation_as_json, validation_as_text

    with source_of(parsed.path, where_of(parsed)) as source:
        snapshot = read_repo(source, {}, ReadCache())
    desired = Compiler()(snapshot, Remembered())
    if parsed.json:
        emit(validation_as_json(desired))
    else:
        emit(validation_as_text(desired, colour_wanted(parsed.no_color)))
    return 0 if is_sound(desired) else 1
