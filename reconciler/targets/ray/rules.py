"""Ray's tables: one kind, which serves; nothing is immutable; which fields change in place and which restart replicas.

Source: Serve hashes import path, arguments and actor options into the code version of a deployment; everything in IN_PLACE is sent to the
running replicas instead.
"""

from collections.abc import Mapping
from typing import Final

from reconciler.change import ChangeClass, Effects, FieldChange
from reconciler.resource import Json, LiveResource, Resource
from reconciler.targets.protocol import TargetRules
from reconciler.targets.ray.render import KIND

IN_PLACE: Final = frozenset(
    {
        "num_replicas",
        "autoscaling_config",
        "max_ongoing_requests",
        "max_queued_requests",
        "backpressure_config",
        "user_config",
        "health_check_period_s",
        "health_check_timeout_s",
        "graceful_shutdown_wait_loop_s",
        "graceful_shutdown_timeout_s",
        "rolling_update_percentage",
        "max_surge_percent",
        "logging_config",
    }
)


def effects(desired: Resource, live: LiveResource, fields: tuple[FieldChange, ...]) -> Effects:
    """What an update of these fields does to the replicas that run. Without surge, one replica means an outage until the new one is up."""
    if all(_in_place(field.path) for field in fields):
        return Effects(ChangeClass.IN_PLACE, _scaling(fields))
    deployment = _first_deployment(desired.manifest)
    replicas, surge = _number(deployment, "num_replicas", 1), _number(deployment, "max_surge_percent", 0)
    downtime = surge == 0 and replicas == 1
    how = "new ones first" if surge else "nothing answers until the new one is up" if downtime else "one after the other"
    return Effects(ChangeClass.RESTART, f"{_count(replicas)}, {how}", replicas, downtime)


def _count(replicas: int) -> str:
    return "1 replica restarts" if replicas == 1 else f"{replicas} replicas restart"


def _in_place(path: str) -> bool:
    if path == "/route_prefix":
        return True
    parts = path.split("/")
    if parts[1:2] != ["deployments"] or len(parts) < 4 or parts[3] not in IN_PLACE:
        return False
    return not path.startswith(f"/deployments/{parts[2]}/autoscaling_config/policy")


def _scaling(fields: tuple[FieldChange, ...]) -> str:
    for field in fields:
        if field.path.endswith("/num_replicas"):
            return f"replicas {field.old} -> {field.new}"
    return ""


def _first_deployment(manifest: Mapping[str, Json]) -> Mapping[str, Json]:
    deployments = manifest.get("deployments")
    first = deployments[0] if isinstance(deployments, list | tuple) and deployments else {}
    return first if isinstance(first, Mapping) else {}


def _number(deployment: Mapping[str, Json], name: str, absent: int) -> int:
    value = deployment.get(name)
    return int(value) if isinstance(value, int | float) else absent


RULES: Final = TargetRules(
    ranks=(frozenset({KIND}),),
    serves=frozenset({KIND}),
    routes=frozenset(),
    immutable={},
    effects=effects,
)
