"""Kubernetes' tables: order of writing, what serves, what cannot change in place, and what a change does to the replicas that run.

Immutable fields are those that the API server refuses (facts/kubernetes.md 6.1; run against 1.36), as far as we render their kinds. Two
things look like them and are none, so they are not here: RollingUpdate -> Recreate goes through because `rollingUpdate` is always ours;
a claim's size may grow where its storage class allows it. It may never shrink: the server says so, and a claim is never deleted for it.
A workload that becomes another kind (`parallelism.nodes` 1 <-> more) has another key: made there, then deleted here, as in a migration.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from reconciler.change import ChangeClass, Effects, FieldChange
from reconciler.resource import Json, LiveResource, Manifest, Resource
from reconciler.targets.kubernetes.render import initial_replicas
from reconciler.targets.protocol import TargetRules

REPLICAS: Final = "/spec/replicas"
OPEN_PORTS: Final = "/spec/ingress/0"  # of a NetworkPolicy: its first rule names them
# What a new pod is made from: any change of it replaces all that run.
TEMPLATE: Final[Mapping[str, tuple[str, ...]]] = {
    "Deployment": ("spec", "template"),
    "LeaderWorkerSet": ("spec", "leaderWorkerTemplate"),
}
STRATEGY: Final[Mapping[str, tuple[str, ...]]] = {
    "Deployment": ("spec", "strategy", "rollingUpdate"),
    "LeaderWorkerSet": ("spec", "rolloutStrategy", "rollingUpdateConfiguration"),
}


class Count(NamedTuple):
    """Replicas wanted before and after a change. moved: did the declared number change?"""

    before: int
    after: int
    moved: bool


def effects(desired: Resource, live: LiveResource, fields: tuple[FieldChange, ...]) -> Effects:
    """What an update of these fields does to the replicas that run."""
    kind = desired.key.kind
    if kind == "NetworkPolicy" and any(change.path.startswith(OPEN_PORTS) for change in fields):
        text = "opens and closes ports at once: where policies are enforced, replicas that still serve on another one get no new requests"
        return Effects(ChangeClass.IN_PLACE, text)
    if kind not in TEMPLATE:
        return Effects(ChangeClass.IN_PLACE)
    count = _count(desired, live, fields)
    if count.moved and count.before and not count.after:
        return Effects(ChangeClass.PAUSE, f"{_plural(count.before)} {'stops' if count.before == 1 else 'stop'}; all else stays")
    if count.moved and count.after and not count.before:
        return Effects(ChangeClass.RESUME, f"was at rest, starts {_plural(count.after)}")
    if not any(_touches(change.path, TEMPLATE[kind]) for change in fields):
        return Effects(ChangeClass.IN_PLACE, _scaling(fields))
    if not count.before:
        return Effects(ChangeClass.IN_PLACE, "nothing of it runs now")
    return _restart(desired.manifest, kind, count, _scaling(fields))


def _restart(manifest: Manifest, kind: str, count: Count, scaling: str) -> Effects:
    how, downtime = _rollout(manifest, kind, count.before)
    restarts = f"{_plural(count.before)} {'restarts' if count.before == 1 else 'restart'}"
    gated = "each new one waits for an approval" if _at(manifest, (*TEMPLATE[kind], "spec", "readinessGates")) else ""
    text = ", ".join(part for part in (restarts, how, gated, scaling) if part)
    return Effects(ChangeClass.RESTART, text, count.before, downtime)


def _rollout(manifest: Manifest, kind: str, replicas: int) -> tuple[str, bool]:
    """How the new ones come, and whether nothing answers meanwhile."""
    rolling = _at(manifest, STRATEGY[kind])
    surge, missing = _amount(rolling, "maxSurge", replicas), _amount(rolling, "maxUnavailable", replicas)
    if not isinstance(rolling, Mapping) or missing >= replicas:
        return "nothing answers until new ones are up", True
    if surge:
        return "new ones first", False
    return "one after the other" if missing <= 1 else f"{missing} at a time", False


def _amount(rolling: Json, name: str, replicas: int) -> int:
    """A number of replicas, or a share of them."""
    value = rolling.get(name) if isinstance(rolling, Mapping) else None
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdigit():
        return int(value[:-1]) * replicas // 100
    return value if isinstance(value, int) else 0


def _count(desired: Resource, live: LiveResource, fields: tuple[FieldChange, ...]) -> Count:
    """Where an autoscaler decides, the manifest has no number: what runs now stays, and from none it begins with its initial one."""
    change = next((field for field in fields if field.path == REPLICAS), None)
    running = live.serving.desired if live.serving else 0
    before = change.old if change and _is_number(change.old) else running
    declared = _at(desired.manifest, ("spec", "replicas"))
    after = declared if _is_number(declared) else before or initial_replicas(desired.manifest) or 0
    return Count(_whole(before), _whole(after), change is not None)


def _scaling(fields: tuple[FieldChange, ...]) -> str:
    for field in fields:
        if field.path == REPLICAS:
            old, new = (str(value) if _is_number(value) else "the autoscaler's" for value in (field.old, field.new))
            return f"replicas {old} -> {new}"
    return ""


def _touches(path: str, template: tuple[str, ...]) -> bool:
    """Is the path in the template, or does it hold it (`/spec` as a whole)?"""
    parts = tuple(path.split("/")[1:])
    shorter = min(len(parts), len(template))
    return parts[:shorter] == template[:shorter]


def _at(manifest: Json, path: tuple[str, ...]) -> Json:
    for name in path:
        manifest = manifest.get(name) if isinstance(manifest, Mapping) else None
    return manifest


def _is_number(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(value: Json) -> int:
    return value if isinstance(value, int) else 0


def _plural(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"


RULES: Final = TargetRules(
    ranks=(
        frozenset({"Namespace"}),
        frozenset({"ServiceAccount", "ConfigMap", "PersistentVolumeClaim"}),
        frozenset({"Service", "NetworkPolicy"}),
        frozenset({"Deployment", "LeaderWorkerSet"}),
        frozenset({"HorizontalPodAutoscaler", "ScaledObject", "PodDisruptionBudget", "PodMonitor"}),
    ),
    serves=frozenset({"Deployment", "LeaderWorkerSet"}),
    routes=frozenset(),
    immutable={
        "Deployment": ("/spec/selector",),
        "LeaderWorkerSet": ("/spec/leaderWorkerTemplate/subGroupPolicy",),
        "Service": ("/spec/clusterIP", "/spec/clusterIPs"),
        "PersistentVolumeClaim": ("/spec/accessModes", "/spec/storageClassName"),
    },
    effects=effects,
    shared=frozenset({"Namespace"}),
)
