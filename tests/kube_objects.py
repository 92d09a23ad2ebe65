"""Objects as an API server gives them, compact enough to stand in a table: pods by what their kubelet says, Deployments by their counts.

Times are given as seconds before NOW.
"""

import json
from datetime import UTC, datetime
from typing import Any

from reconciler.resource import Serving
from reconciler.targets.kubernetes.health.serving import serving_of
from reconciler.targets.kubernetes.shapes import (
    EVENTS,
    PODS,
    SLICES,
    Deployment,
    EndpointSlice,
    Event,
    LeaderWorkerSet,
    Pod,
    deployment,
    item,
    leader_worker_set,
    rows,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
Object = dict[str, Any]


def at(ago: float) -> str:
    return datetime.fromtimestamp(NOW - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cond(kind: str, status: str = "True", reason: str = "", message: str = "", ago: float = 60, updated: float | None = None) -> Object:
    found = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at(ago)}
    return found if updated is None else {**found, "lastUpdateTime": at(updated)}


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, "message": message}}


def running(ago: float = 30) -> Object:
    return {"running": {"startedAt": at(ago)}}


def ended(code: int = 1, reason: str = "Error", message: str = "", ago: float = 40, ran: float = 5) -> Object:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "startedAt": at(ago + ran), "finishedAt": at(ago)}}


def container(state: Object, last: Object | None = None, restarts: int = 0, ready: bool = False, name: str = "server") -> Object:
    return {"name": name, "image": "reg/x:1", "ready": ready, "restartCount": restarts, "state": state, "lastState": last or {}}


def pod(
    *containers: Object, init: tuple[Object, ...] = (), conditions: tuple[Object, ...] = (), name: str = "p", age: float = 60, **more: Any
) -> Object:
    """On node `n1`, scheduled, not ready. more: `labels`, `owner`, `gates`, `deleting`; what is left goes into its status."""
    meta = {"name": name, "namespace": "team-a", "uid": f"uid-{name}", "creationTimestamp": at(age), "labels": more.pop("labels", {})}
    meta["ownerReferences"] = [{"uid": more.pop("owner", "rs"), "kind": "ReplicaSet", "name": "x", "controller": True}]
    if more.pop("deleting", False):
        meta["deletionTimestamp"] = at(1)
    spec = {"nodeName": more.pop("node", "n1"), "readinessGates": [{"conditionType": gate} for gate in more.pop("gates", ())]}
    phase = "Running" if any("running" in one["state"] for one in containers) else "Pending"
    status = {"phase": phase, "startTime": at(age), "containerStatuses": list(containers), "initContainerStatuses": list(init)}
    return {"metadata": meta, "spec": spec, "status": {**status, "conditions": list(conditions), **more}}


def ready(name: str = "up", age: float = 60, **more: Any) -> Object:
    return pod(container(running(), ready=True), conditions=(cond("ContainersReady"), cond("Ready", ago=age)), name=name, age=age, **more)


def event(reason: str, message: str, about: str = "uid-p", ago: float = 10) -> Object:
    return {"involvedObject": {"uid": about}, "reason": reason, "type": "Warning", "message": message, "lastTimestamp": at(ago)}


def workload(
    desired: int | None = 2,
    *conditions: Object,
    written: float = 3600,
    observed: int = 5,
    kind: str = "Deployment",
    deleting: bool = False,
    spec: Object | None = None,
    labels: Object | None = None,
    **counts: int,
) -> Object:
    """Generation 5. counts: of its status, as the API names them; left out: all replicas are there, updated and ready."""
    full = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1 if desired is None else desired)
    entry = {"manager": "reconciler", "operation": "Apply", "time": at(written), "fieldsV1": {"f:spec": {}}}
    controller = {"manager": "kcm", "operation": "Update", "time": at(0), "fieldsV1": {"f:status": {}}, "subresource": "status"}
    meta = {"name": "chat", "namespace": "team-a", "uid": "uid-chat", "generation": 5, "creationTimestamp": at(max(written, 3600))}
    meta |= {"labels": labels or {}, "managedFields": [entry, controller]} | ({"deletionTimestamp": at(7)} if deleting else {})
    size = {"leaderWorkerTemplate": {"size": 2}} if kind == "LeaderWorkerSet" else {}
    wanted = {} if desired is None else {"replicas": desired}
    status = {"observedGeneration": observed, **full, **counts, "conditions": list(conditions)}
    return {"kind": kind, "metadata": meta, "spec": {**wanted, **size, **(spec or {})}, "status": status}


def page(*objects: Object) -> bytes:
    return json.dumps({"kind": "List", "metadata": {"resourceVersion": "1"}, "items": objects}).encode()


def pods_of(*objects: Object) -> tuple[Pod, ...]:
    return rows(PODS, page(*objects), "the LIST of Pods")


def events_of(*objects: Object) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for one in rows(EVENTS, page(*objects), "the LIST of Events"):
        found.setdefault(one.involved_object.uid, []).append(one)
    return found


def slices_of(*objects: Object) -> tuple[EndpointSlice, ...]:
    return rows(SLICES, page(*objects), "the LIST of EndpointSlices")


def workload_of(found: Object) -> Deployment | LeaderWorkerSet:
    made = item(json.dumps(found).encode(), "a GET")
    return leader_worker_set(made) if found["kind"] == "LeaderWorkerSet" else deployment(made)


def serving(found: Object, *pods: Object, events: tuple[Object, ...] = (), timeout: float = 0.0) -> Serving:
    return serving_of(workload_of(found), pods_of(*pods), events_of(*events), NOW, rollout_timeout=timeout)
