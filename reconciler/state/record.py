"""The record: what one reconciler remembers between passes, as a value and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import msgspec

from reconciler.desired import Guards, Remembered, TargetSpec
from reconciler.plan.situation import Spent
from reconciler.report.model import EndpointStatus
from reconciler.resource import DriftMode, Health, Json, Replica, ReplicaState

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An acknowledgement lasts for its revision: later passes may do any part of what it names."""

    revision: str = ""
    operations: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Record:
    """repo: hash of the root commit. head: the last head that was acted on. remembered.revision: the applied revision, that is the
    last one at which no guard held anything and every write succeeded. at: when the statuses were taken, seconds since the epoch."""

    repo: str = ""
    head: str = ""
    remembered: Remembered = field(default_factory=Remembered)
    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    spent: Spent = field(default_factory=Spent)
    unfinished: frozenset[str] = frozenset()
    statuses: Mapping[str, EndpointStatus] = field(default_factory=dict)
    at: float = field(default=0.0, compare=False)


def as_json(record: Record) -> dict[str, Json]:
    known, spent = record.remembered, record.spent
    return {
        "format": FORMAT,
        "repo": record.repo,
        "head": record.head,
        "applied": known.revision,
        "instance": known.instance,
        "guards": asdict(known.guards) if known.guards else None,
        "drift": known.drift.value,
        "statusBranch": known.status_branch,
        "targets": [spec.as_json() for _, spec in sorted(known.targets.items())],
        "aliases": dict(known.aliases),
        "declared": {path: list(owners) for path, owners in sorted(known.declared.items())},
        "acknowledged": {"revision": record.acknowledged.revision, "operations": sorted(record.acknowledged.operations)},
        "spent": {
            "revision": spent.revision,
            "deletes": sorted(spent.deletes),
            "restarts": sorted(spent.restarts),
            "keys": sorted(spent.keys),
            "begun": sorted(spent.begun),
        },
        "unfinished": sorted(record.unfinished),
        "statuses": [status_as_json(status) for _, status in sorted(record.statuses.items())],
        "at": record.at,
    }


def status_as_json(status: EndpointStatus) -> dict[str, Json]:
    found: dict[str, Json] = msgspec.to_builtins(status)
    return found


class Reader:
    """JSON -> Record. Raises KeyError, TypeError or ValueError for anything that is not a record of ours: nothing is guessed."""

    def __init__(self, document: Mapping[str, Json]) -> None:
        self.document = document
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r} is not {FORMAT}")

    def record(self) -> Record:
        found = self.document
        acknowledged, spent = _mapping(found["acknowledged"]), _mapping(found["spent"])
        return Record(
            repo=_text(found["repo"]),
            head=_text(found["head"]),
            remembered=self._remembered(),
            acknowledged=Acknowledged(_text(acknowledged["revision"]), _names(acknowledged["operations"])),
            spent=Spent(_text(spent["revision"]), *(_names(spent[name]) for name in ("deletes", "restarts", "keys", "begun"))),
            unfinished=_names(found["unfinished"]),
            statuses={status.owner: status for status in map(_status, _items(found["statuses"]))},
            at=_number(found["at"]),
        )

    def _remembered(self) -> Remembered:
        found = self.document
        guards = found["guards"]
        specs = (_spec(_mapping(item)) for item in _items(found["targets"]))
        return Remembered(
            revision=_text(found["applied"]),
            instance=_text(found["instance"]),
            guards=Guards(**{name: _number(value) for name, value in _mapping(guards).items()}) if guards else None,
            drift=DriftMode(_text(found["drift"])),
            status_branch=_text(found["statusBranch"]),
            targets={spec.name: spec for spec in specs},
            aliases={alias: _text(owner) for alias, owner in _mapping(found["aliases"]).items()},
            declared={path: tuple(map(_text, _items(owners))) for path, owners in _mapping(found["declared"]).items()},
        )


def _spec(found: Mapping[str, Json]) -> TargetSpec:
    return TargetSpec(
        name=_text(found["name"]),
        type=_text(found["type"]),
        settings=_mapping(found["settings"]),
        binds=tuple(map(_text, _items(found["binds"]))),
        drain_seconds=_number(found["drainSeconds"]),
        source=_text(found["source"]),
    )


def _status(value: Json) -> EndpointStatus:
    found = _mapping(value)
    replicas = (_mapping(item) for item in _items(found["replicas"]))
    return EndpointStatus(
        owner=_text(found["owner"]),
        word=Health(_text(found["word"])),
        reason=_text(found["reason"]),
        message=_text(found["message"]),
        ready=int(_number(found["ready"])),
        desired=int(_number(found["desired"])),
        replicas=tuple(
            Replica(_text(r["name"]), ReplicaState(_text(r["state"])), _text(r["reason"]), _text(r["message"]), _text(r["node"]))
            for r in replicas
        ),
        url=_text(found["url"]),
        revision=_text(found["revision"]),
        since=_number(found["since"]),
        routed=found["routed"] is True,
        ever_ready=found["ever_ready"] is True,
        targets=tuple(map(_text, _items(found["targets"]))),
        versions={name: _text(version) for name, version in _mapping(found["versions"]).items()},
        drifted=found.get("drifted") is True,  # records of before had neither
        settled=found.get("settled") is not False,
    )


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _number(value: Json) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return value


def _mapping(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} is not a mapping")
    return value


def _items(value: Json) -> list[Json]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is not a list")
    return list(value)


def _names(value: Json) -> frozenset[str]:
    return frozenset(map(_text, _items(value)))
