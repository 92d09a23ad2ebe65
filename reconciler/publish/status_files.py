"""What stands on the branch `status/<target>`: a YAML file per endpoint, a table for people, one document for machines. Pure.

Everybody who may read the repository reads this: no secret, no host name, no address, no path of the box where it was made. Nothing in it
changes with the time of a pass, so that the same statuses are the same bytes.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.report.conditions import conditions_of
from reconciler.report.json_form import time_text
from reconciler.report.markdown import status_readme
from reconciler.report.model import EndpointStatus, Report
from reconciler.report.redact import redact
from reconciler.report.status_text import in_order
from reconciler.resource import Json, Replica

FORMAT: Final = "reconciler.dev/status-branch/v1"
README: Final = "README.md"
SUMMARY: Final = "summary.json"

Files = Mapping[str, bytes]


def is_ours(path: str) -> bool:
    """Is this a file that we write? What else lies on a status branch is somebody's, and stays."""
    return path in (README, SUMMARY) or (path.count("/") == 1 and path.endswith(".yaml") and not path.startswith("."))


def targets_of(report: Report) -> list[str]:
    """Targets that some endpoint stands on; each has a branch of its own, so that writers never share one."""
    return sorted({target for status in report.statuses for target in status.targets})


@dataclass(slots=True)
class Writer:
    """Makes the files of targets. Remembers each endpoint's file: of a thousand endpoints one changes at a time."""

    _made: dict[str, tuple[EndpointStatus, EndpointStatus, bytes]] = field(default_factory=dict)

    def files_of(self, target: str, report: Report) -> Files:
        """Path -> content for one target."""
        made = [self._one(status) for status in report.statuses if target in status.targets]
        statuses = [status for status, _ in made]
        files = {_path(status): content for status, content in made}
        files[README] = status_readme(target, report.applied, statuses).encode()
        files[SUMMARY] = (json.dumps(_summary(target, report, statuses), indent=2, ensure_ascii=False) + "\n").encode()
        return files

    def _one(self, status: EndpointStatus) -> tuple[EndpointStatus, bytes]:
        known = self._made.get(status.owner)
        if known is None or known[0] != status:
            clean = redacted(status)
            known = (status, clean, _yaml(_document(clean)).encode())
            self._made[status.owner] = known
        return known[1], known[2]


def files_of(target: str, report: Report) -> Files:
    return Writer().files_of(target, report)


def same_news(before: Report, after: Report) -> bool:
    """Would both be written as the same files?"""

    def news(report: Report) -> tuple[object, ...]:
        return (report.status_branch, report.applied, report.statuses, _held(report))

    return news(before) == news(after)


def _held(report: Report) -> list[tuple[str, str, str]]:
    """Target, declaration and reason of what is held."""
    held = (item for item in report.plan.held if item.change is not None)
    return sorted((item.change.key.target, item.change.owner, item.reason.value) for item in held if item.change is not None)


def redacted(status: EndpointStatus) -> EndpointStatus:
    """The status without what belongs to the box: the public URL stays, it is declared."""
    nodes = {replica.node for replica in status.replicas if replica.node}
    return replace(
        status,
        reason=redact(status.reason, nodes),
        message=redact(status.message, nodes),
        replicas=tuple(_redacted(replica, nodes) for replica in status.replicas),
    )


def _redacted(replica: Replica, nodes: Iterable[str]) -> Replica:
    return replace(
        replica, name=redact(replica.name, nodes), node="", reason=redact(replica.reason, nodes), message=redact(replica.message, nodes)
    )


def message_of(before: Files | None, after: Files, statuses: Sequence[EndpointStatus]) -> str:
    """A commit's subject that says what changed: `team-a/chat Ready` for a few, a number for many."""
    known = before or {}
    changed = [status for status in in_order(statuses) if known.get(_path(status)) != after.get(_path(status))]
    gone = sorted(set(known) - set(after))
    names = [f"{status.owner.removeprefix('Endpoint/')} {status.word.value}" for status in changed]
    names += [f"{path.removesuffix('.yaml')} gone" for path in gone]
    return "Status: " + (", ".join(names) if 0 < len(names) <= 3 else f"{len(names)} endpoints changed")


def _path(status: EndpointStatus) -> str:
    return f"{status.owner.removeprefix('Endpoint/')}.yaml"


def _document(status: EndpointStatus) -> dict[str, Json]:
    return {
        "endpoint": status.owner.removeprefix("Endpoint/"),
        "status": status.word.value,
        "reason": status.reason,
        "message": status.message,
        "ready": status.ready,
        "desired": status.desired,
        "routed": status.routed,
        "url": status.url,
        "commit": status.revision,
        "since": time_text(status.since) if status.since else "",
        "versions": dict(sorted(status.versions.items())),
        "replicas": [
            {"name": item.name, "state": item.state.value, "reason": item.reason, "message": item.message} for item in status.replicas
        ],
        "conditions": [{"type": one.type, "status": one.status, "reason": one.reason} for one in conditions_of(status)],
    }


def _yaml(document: Mapping[str, Json]) -> str:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the same text, ten times as fast
    return str(yaml.dump(dict(document), Dumper=dumper, sort_keys=False, allow_unicode=True, width=140))


def _summary(target: str, report: Report, statuses: Sequence[EndpointStatus]) -> dict[str, Json]:
    counts = Counter(status.word.value for status in statuses)
    return {
        "format": FORMAT,
        "target": target,
        "appliedRevision": report.applied,
        "counts": dict(sorted(counts.items())),
        "held": [{"declaration": owner, "reason": reason} for place, owner, reason in _held(report) if place == target],
        "endpoints": [_document(status) for status in in_order(statuses)],
    }
