"""`reconciler approve`: let the replicas of an endpoint with `probes.requireApproval` take traffic, or take that back.

Works on what the last pass knew of clusters: it needs no repository and no lock, and it writes nothing but the approval.
"""

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.options import add_where, where_of
from reconciler.cli.output import emit, note

if TYPE_CHECKING:
    from reconciler.desired import TargetSpec
    from reconciler.state.record import Record


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = verbs.add_parser("approve", help="let replicas that wait for a person's approval take traffic")
    parser.add_argument("endpoint", metavar="ENDPOINT", help="team-a/chat")
    parser.add_argument("--replica", action="append", default=[], metavar="NAME", help="only this replica (may be repeated)")
    parser.add_argument("--revoke", action="store_true", help="take the approval back: they get no new requests")
    add_where(parser, repo=False)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    from reconciler.errors import UsageError
    from reconciler.state.folder import StateFolder
    from reconciler.targets.kubernetes.approve import approve

    record = StateFolder(where_of(parsed).state).load()
    workspace, _, name = parsed.endpoint.removeprefix("Endpoint/").rpartition("/")
    workspace = workspace or "default"
    changed = approve(_cluster(record, f"{workspace}/{name}"), workspace, name, only=parsed.replica, revoke=parsed.revoke)
    verb = "not approved any more" if parsed.revoke else "approved"
    emit("".join(f"{replica}  {verb}\n" for replica in changed))
    if not changed:
        note(f"No replica of {workspace}/{name} changed: none waits, or it does not ask for approval (probes.requireApproval).")
    if missing := set(parsed.replica) - set(changed):
        raise UsageError(f"not changed: {', '.join(sorted(missing))}", why="no such replica, or it was so already", code="U6")
    return 0


def _cluster(record: "Record", endpoint: str) -> "TargetSpec":
    """The cluster that serves it. Raises UsageError."""
    from reconciler.errors import UsageError

    status = record.statuses.get(f"Endpoint/{endpoint}")
    if status is None:
        raise UsageError(f"no endpoint '{endpoint}' in the last pass", todo="reconciler status lists every endpoint", code="U6")
    known = (record.remembered.targets.get(name) for name in status.targets)
    clusters = [spec for spec in known if spec is not None and spec.type == "kubernetes"]
    if not clusters:
        why = "only Kubernetes has replicas that wait for approval"
        raise UsageError(f"endpoint '{endpoint}' is not on a Kubernetes cluster", why=why, code="U6")
    return clusters[0]
