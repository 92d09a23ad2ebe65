"""`reconciler trigger`: the running daemon fetches and passes now; this waits for it and says what came of it."""

import argparse

from reconciler.cli.options import add_output, add_where, where_of
from reconciler.cli.output import colour_wanted, emit


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser("trigger", help="tell the running daemon to fetch and pass now; exit code as apply")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the pass")
    add_where(parser, repo=False)
    add_output(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    from reconciler.daemon.control import ask
    from reconciler.report.json_form import dumps

    answer = ask(where_of(parsed).state, {"op": "trigger", "wait": not parsed.no_wait, "colour": colour_wanted(parsed.no_color)})
    if "plan" in answer:
        emit(dumps(answer["plan"]) if parsed.json else str(answer["text"]))
    code = answer.get("exitCode", 0)
    return code if isinstance(code, int) else 1
