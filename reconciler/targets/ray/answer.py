"""Serve's answer as values: complete, or an error.

What is missing or of another shape is never read as "nothing there": a list of applications that is too short would be written back, and
Serve would delete the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.errors import TargetUnavailable
from reconciler.resource import Json, Manifest

NO_ADDRESS: Final = ("", "0.0.0.0", "::")
REPLICA_TARGET: Final = "SERVE_REPLICA::"  # other names are proxies: slow, and only there while no replica is ready


@dataclass(frozen=True, slots=True)
class ServeReplica:
    """started: seconds since the epoch, 0.0 if unknown."""

    id: str
    state: str
    node: str
    node_id: str
    log: str
    started: float


@dataclass(frozen=True, slots=True)
class ServeDeployment:
    """target: replicas wanted now, the autoscaler's word included; None while it is not known. dead: the last ones that ended."""

    status: str
    trigger: str
    message: str
    target: int | None
    replicas: tuple[ServeReplica, ...]
    dead: tuple[ServeReplica, ...]


@dataclass(frozen=True, slots=True)
class Application:
    """config: what was submitted, None for what was not submitted as a document and for what is being deleted."""

    name: str
    status: str
    message: str
    deployed_at: float
    config: Manifest | None
    deployments: Mapping[str, ServeDeployment]
    addresses: tuple[str, ...]

    @property
    def deleting(self) -> bool:
        return self.status == "DELETING"


@dataclass(frozen=True, slots=True)
class ServeState:
    """started: is there a Serve at all? options: what a list must be sent with so that nothing else changes."""

    started: bool
    options: Manifest
    applications: Mapping[str, Application]


def parse(answer: Json) -> ServeState:
    """Raises TargetUnavailable for any other shape. `controller_info: {}` gives started=False, which by itself proves nothing."""
    top = _mapping(answer, "")
    controller = _mapping(top.get("controller_info"), "controller_info")
    listed = _mapping(top.get("applications"), "applications")
    if not controller:
        if listed:
            raise _odd("applications without a controller")
        return ServeState(False, {}, {})
    addresses = _addresses(top)
    found = {name: _application(name, _mapping(raw, name), addresses.get(name, ())) for name, raw in listed.items()}
    return ServeState(True, _options(top), found)


def _options(top: Mapping[str, Json]) -> Manifest:
    kept = {name: top[name] for name in ("proxy_location", "http_options", "target_capacity") if top.get(name) is not None}
    if "http_options" not in kept:
        raise _odd("no http_options")
    return kept


def _addresses(top: Mapping[str, Json]) -> dict[str, tuple[str, ...]]:
    """Replica addresses by application. A loopback address that is bound elsewhere is rewritten to where it is bound."""
    host = str(_mapping(top.get("http_options"), "http_options").get("host") or "")
    found: dict[str, set[str]] = {}
    for raw in _list(top.get("target_groups", []), "target_groups"):
        group = _mapping(raw, "target_groups")
        if group.get("protocol") != "HTTP":
            continue
        targets = (_mapping(target, "targets") for target in _list(group.get("targets"), "targets"))
        names = {_reachable(target, host) for target in targets if str(target.get("name", "")).startswith(REPLICA_TARGET)}
        found.setdefault(str(group.get("app_name", "")), set()).update(names)
    return {name: tuple(sorted(addresses)) for name, addresses in found.items()}


def _reachable(target: Mapping[str, Json], host: str) -> str:
    address = str(target.get("ip"))
    if address.startswith("127.") and host not in NO_ADDRESS:
        address = host
    return f"{address}:{target.get('port')}"


def _application(name: str, raw: Mapping[str, Json], addresses: tuple[str, ...]) -> Application:
    config = raw.get("deployed_app_config")
    deployments = _mapping(raw.get("deployments"), f"{name}.deployments")
    return Application(
        name,
        _word(raw, "status", name),
        str(raw.get("message") or ""),
        _number(raw.get("last_deployed_time_s")),
        None if config is None else _mapping(config, f"{name}.deployed_app_config"),
        {key: _deployment(_mapping(value, f"{name}.{key}"), f"{name}.{key}") for key, value in deployments.items()},
        addresses,
    )


def _deployment(raw: Mapping[str, Json], where: str) -> ServeDeployment:
    target = raw.get("target_num_replicas")
    return ServeDeployment(
        _word(raw, "status", where),
        str(raw.get("status_trigger") or ""),
        str(raw.get("message") or ""),
        target if isinstance(target, int) else None,
        tuple(_replica(_mapping(one, where), where) for one in _list(raw.get("replicas"), f"{where}.replicas")),
        tuple(_replica(_mapping(one, where), where) for one in _list(raw.get("recent_dead_replicas", []), where)),
    )


def _replica(raw: Mapping[str, Json], where: str) -> ServeReplica:
    return ServeReplica(
        _word(raw, "replica_id", where),
        _word(raw, "state", where),
        str(raw.get("node_ip") or ""),
        str(raw.get("node_id") or ""),
        str(raw.get("log_file_path") or ""),
        _number(raw.get("start_time_s")),
    )


def _mapping(value: Json, where: str) -> Mapping[str, Json]:
    if not isinstance(value, Mapping):
        raise _odd(where or "no object")
    return value


def _list(value: Json, where: str) -> list[Json]:
    if not isinstance(value, list):
        raise _odd(where)
    return value


def _word(raw: Mapping[str, Json], name: str, where: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise _odd(f"{where}.{name}")
    return value


def _number(value: Json) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _odd(where: str) -> TargetUnavailable:
    return TargetUnavailable(
        "Serve's answer is not complete",
        code="RAY5",
        why=f"unknown shape at: {where}; an incomplete list would be written back",
        todo="see the Ray version: 2.60 is known to work",
    )
