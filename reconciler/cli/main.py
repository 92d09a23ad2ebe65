"""The command line: which verb, and what becomes of everything that is raised. Each verb is one file beside this one.

The report goes to stdout, everything else to stderr. Exit codes: the highest of 1 (error) > 3 (held by a guard) > 2 (changes) > 0; 130
after Ctrl-C. A verb imports what it needs when it runs, so that `--help` and `validate` start in a fraction of a second.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NoReturn

from reconciler import __version__
from reconciler.cli import apply, approve, keys, local, plan, run, status, trigger, validate
from reconciler.cli.output import emit, emit_error, prepare_streams
from reconciler.errors import Problem, ReconcilerError, UsageError

VERBS: Final = (validate, plan, apply, run, trigger, status, approve, keys, local)
INTERRUPTED: Final = 130
DESCRIPTION: Final = "GitOps for LLM inference endpoints: a Git repository is the desired state."
EPILOG: Final = "exit codes: 0 as declared, 1 an error, 2 changes, 3 held until acknowledged. RECONCILER_REPO, RECONCILER_BRANCH and\n"
EPILOG_2: Final = "RECONCILER_STATE, or a reconciler.toml in this folder (repo, branch, state), stand in for the options."


class Parser(argparse.ArgumentParser):
    """argparse ends with 2 on a wrong command line; here 2 means changes, so that it is an error like any other."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, todo=f"see {self.prog} --help")


def parser() -> Parser:
    found = Parser(
        prog="reconciler", description=DESCRIPTION, epilog=EPILOG + EPILOG_2, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--version", action="version", version=f"reconciler {__version__}")
    verbs = found.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser, title="verbs")
    for verb in VERBS:
        verb.add(verbs)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the process ends with what this returns."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    prepare_streams()
    try:
        return _run(given)
    except ReconcilerError as error:
        emit_error(error, as_json="--json" in given)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # a mistake of ours: said in two lines, its traceback kept in a file
        emit_error(_crash(error, given), as_json="--json" in given)
        return 1


def _crash(error: Exception, given: Sequence[str]) -> Problem:
    from pathlib import Path

    from reconciler.cli.options import default_state
    from reconciler.daemon.crash import crashed

    named = next((after for before, after in pairwise(given) if before == "--state"), "") or os.environ.get("RECONCILER_STATE")
    return crashed(error, " ".join(given), Path(named) if named else default_state())


def _run(given: Sequence[str]) -> int:
    whole = parser()
    parsed, unknown = whole.parse_known_args(given)
    if unknown:
        raise UsageError(f"unrecognized arguments: {' '.join(unknown)}", todo=f"see reconciler {parsed.verb or ''} --help")
    if parsed.verb is None:
        emit(whole.format_help(), sys.stderr)
        return 1
    code = parsed.run(parsed)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
