"""`reconciler local status|stop`: the Ray and Envoy that were started from this state folder."""

import argparse

from reconciler.cli.options import add_output, add_where, where_of
from reconciler.cli.output import colour_wanted, emit, note


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    found = verbs.add_parser("local", help="the programs that were started on this box")
    actions = found.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")
    status = actions.add_parser("status", help="what was started from this state folder")
    add_where(status, repo=False)
    add_output(status)
    status.set_defaults(run=show)
    stop = actions.add_parser("stop", help="end it, the gateway first; with it ends serving")
    add_where(stop, repo=False)
    stop.set_defaults(run=end)


def show(parsed: argparse.Namespace) -> int:
    from reconciler.local import status
    from reconciler.report.local_text import local_as_json, local_as_text
    from reconciler.state.folder import StateFolder

    folder = where_of(parsed).state
    StateFolder(folder).check()
    programs = status(folder)
    emit(local_as_json(programs) if parsed.json else local_as_text(programs, colour_wanted(parsed.no_color)))
    return 0


def end(parsed: argparse.Namespace) -> int:
    from reconciler.daemon.control import holder
    from reconciler.errors import Busy
    from reconciler.local import status, stop
    from reconciler.state.folder import StateFolder

    folder = where_of(parsed).state
    StateFolder(folder).check()
    daemon = holder(folder)
    if daemon:
        raise Busy(f"`reconciler run` (pid {daemon.pid}) keeps these programs up", todo="stop it first: it would start them again")
    started = status(folder)
    stop(folder)
    note("What was started from this state folder has ended." if started else f"Nothing was started from {folder}.")
    return 0
