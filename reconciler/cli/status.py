"""`reconciler status`: every endpoint in one word, failing ones first; one endpoint in detail. Reads what the last pass saw."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler.cli.options import add_output, add_where, where_of
from reconciler.cli.output import colour_wanted, emit, note

if TYPE_CHECKING:
    from reconciler.report.model import EndpointStatus


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser("status", help="how is every endpoint? failing ones first")
    parser.add_argument("endpoint", nargs="?", metavar="ENDPOINT", help="one in detail: team-a/chat")
    add_where(parser, repo=False)
    add_output(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    import time

    from reconciler.daemon.control import last_seen
    from reconciler.report.status_text import age_text, endpoint_as_text, statuses_as_text

    seen = last_seen(where_of(parsed).state)
    statuses = _chosen(seen.statuses, parsed.endpoint)
    now = time.time()
    if parsed.json:
        from reconciler.report.status_json import status_as_json

        emit(status_as_json(seen, statuses, now))
        return 0
    colour = colour_wanted(parsed.no_color)
    emit("".join(endpoint_as_text(one, now, colour) for one in statuses) if parsed.endpoint else statuses_as_text(statuses, now, colour))
    if seen.daemon is None:
        what = f"this is what the last pass saw ({age_text(now - seen.at)} ago)" if seen.at else "no pass was made yet"
        note(f"No daemon runs on this state folder; {what}.")
    return 0


def _chosen(statuses: "Sequence[EndpointStatus]", wanted: str | None) -> "list[EndpointStatus]":
    from reconciler.errors import UsageError

    if wanted is None:
        return list(statuses)
    name = wanted.removeprefix("Endpoint/")
    found = [one for one in statuses if one.owner == f"Endpoint/{name}" or ("/" not in name and one.owner.endswith(f"/{name}"))]
    if len(found) == 1:
        return found
    names = [one.owner.removeprefix("Endpoint/") for one in (found or statuses)]
    if found:
        raise UsageError(
            f"'{wanted}' is not one endpoint", why=f"there are: {', '.join(names)}", todo="name it with its workspace", code="U6"
        )
    from difflib import get_close_matches

    near = get_close_matches(name, [*names, *(each.split("/")[-1] for each in names)], 1)
    todo = f"did you mean {near[0]}?" if near else "reconciler status lists every endpoint"
    raise UsageError(f"no endpoint '{wanted}' in the last pass", todo=todo, code="U6")
