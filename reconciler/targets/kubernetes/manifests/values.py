"""The variables of the templates: a Workload in the words of Kubernetes, every value in the form in which the server stores it.

What is not there is None (never 0, "" or []), so that the templates leave its field out: a zero that we wrote and the server dropped
would look like drift for ever. templates/kubernetes/README.md lists them for whoever writes a template.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Final

from reconciler.errors import CompileError
from reconciler.resource import Json
from reconciler.targets.kubernetes.quantity import of_bytes, of_cores
from reconciler.targets.kubernetes.settings import PROMETHEUS_OPERATOR, KubernetesSettings
from reconciler.targets.rendering import Accelerator, Container, Probe, SecretEnv, Volume, Workload

MODELS: Final = "/models"  # folder of the models in the engine's container
SPREADING: Final = 15  # seconds: until the removal of an address has reached everybody (facts/engines.md 7.1)
PLACEHOLDER: Final = re.compile(r"\{(host|port|python|models)\}")
MIG: Final = "nvidia.com/mig-"
REPLICA_ID: Final[Json] = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}  # atomic: the server's default is written out


def values_of(workload: Workload, container: Container, settings: KubernetesSettings, namespace: str) -> dict[str, Json]:
    """Everything that a template may name."""
    return {
        "endpoint": endpoint_values(workload, namespace),
        "engine": {"name": container.engine, "version": container.version},
        "image": container.image,
        "pullSecret": container.pull_secret or None,
        "command": [_word(word, container) for word in workload.command],
        "env": _env(workload, container, settings),
        "ports": _ports(container),
        "probes": {
            "startup": _probe(container.startup),
            "readiness": _probe(container.readiness),
            "liveness": _probe(container.liveness),
        },
        "cpu": of_cores(workload.cpu),
        "memory": of_bytes(workload.memory),
        "sharedMemory": of_bytes(container.shared_memory) if container.shared_memory else None,
        "ephemeralStorage": of_bytes(container.ephemeral_storage) if container.ephemeral_storage else None,
        "accelerator": _accelerator(workload.accelerator),
        "volumes": [_volume(volume) for volume in container.volumes],
        "mounts": [_mount(volume) for volume in container.volumes],
        "ownTmp": not any(volume.mount_path == "/tmp" for volume in container.volumes),  # a path in the container
        "stop": _stop(workload.grace, container.request_timeout),
        "spread": "DoNotSchedule" if workload.spread_required else "ScheduleAnyway",
        "topologyKey": container.topology_key,
        "priorityClass": container.priority_class or None,
        "approval": container.approval,
        "restartedAt": workload.restarted_at or None,
        "metrics": _metrics(container, settings),
        "rollout": _rollout(container),
        "startTimeout": math.ceil(workload.startup_timeout),
        "replicas": replicas_of(workload, container),
        "nodes": container.nodes,
    }


def endpoint_values(workload: Workload, namespace: str) -> dict[str, Json]:
    """pods: a pattern that the names of its pods match, and no other endpoint's (`chat-5d4f8b7c9d-x2x4k`, `chat-lws-0-1`)."""
    name, workspace = workload.name, workload.workspace
    pods = f"{name}-[a-z0-9]{{6,10}}-[a-z0-9]{{5}}|{name}-lws-[0-9]+(-[0-9]+)?"
    return {"name": name, "workspace": workspace, "namespace": namespace, "id": f"{workspace}/{name}", "pods": pods}


def replicas_of(workload: Workload, container: Container) -> int | None:
    """None: an autoscaler decides, so the field is not ours."""
    if workload.paused:
        return 0
    return None if container.autoscaling is not None else workload.replicas


def _rollout(container: Container) -> Json:
    """Neither surge nor a missing replica is Recreate: no rolling update could begin."""
    rolling = container.max_surge > 0 or container.max_unavailable > 0
    return {
        "type": "RollingUpdate" if rolling else "Recreate",
        "maxSurge": container.max_surge if rolling else None,
        "maxUnavailable": container.max_unavailable if rolling else None,
        "groupSurge": container.max_surge,
        "groupUnavailable": container.max_unavailable if rolling else "100%",  # a LeaderWorkerSet knows rolling updates only
    }


def _word(text: str, container: Container) -> str:
    """Placeholders filled in; and `$` doubled, since Kubernetes would read `$(NAME)` as a variable, and no other target does."""
    known = {"host": "0.0.0.0", "port": str(container.http_port), "python": "python3", "models": MODELS}  # inside of its pod
    return PLACEHOLDER.sub(lambda found: known[found[1]], text).replace("$", "$$") if "{" in text else text.replace("$", "$$")


def _env(workload: Workload, container: Container, settings: KubernetesSettings) -> list[Json]:
    """Sorted by name: the order of a list is a part of its value. An empty value is no field."""
    found: dict[str, dict[str, Json]] = {name: {"value": _word(text, container)} for name, text in workload.env.items()}
    found |= {secret.name: _secret(secret) for secret in workload.secrets}
    ours = {"ENDPOINT": workload.name, "WORKSPACE": workload.workspace, "CLUSTER": settings.name}
    if workload.accelerator is not None:
        ours["ACCELERATOR_TYPE"] = workload.accelerator.type
    found |= {f"RECONCILER_{name}": {"value": text} for name, text in ours.items()}
    found["RECONCILER_REPLICA_ID"] = {"valueFrom": REPLICA_ID}
    return [{"name": name} | {key: value for key, value in entry.items() if value} for name, entry in sorted(found.items())]


def _secret(secret: SecretEnv) -> dict[str, Json]:
    if not secret.key:
        todo = "set secretRef.key"
        raise CompileError(f"env {secret.name}: no key of Secret '{secret.secret}'", code="E32", why="a Secret has keys", todo=todo)
    return {"valueFrom": {"secretKeyRef": {"key": secret.key, "name": secret.secret}}}


def _ports(container: Container) -> Json:
    """Each number once: two ports with one number would be one entry of the pod's list twice."""
    http = container.http_port
    metrics = container.metrics_port if container.metrics_port != http else None
    management = container.management_port if container.management_port not in (http, metrics) else None
    return {"http": http, "metrics": metrics, "management": management}


def _probe(probe: Probe) -> Json:
    return {
        "path": probe.path,
        "initialDelay": probe.initial_delay or None,
        "period": probe.period,
        "timeout": probe.timeout,
        "failures": probe.failures,
    }


def _accelerator(wanted: Accelerator | None) -> Json:
    """All None without one. Extended resources are whole numbers, requests equal limits."""
    if wanted is None:
        return {"type": None, "resource": None, "count": None, "nodeSelector": None, "tolerations": None}
    if wanted.count != int(wanted.count) or wanted.count < 1:
        why, todo = "extended resources are whole numbers", "use a partition, a whole number, or a Ray cluster"
        raise CompileError(f"{wanted.count:g} accelerators on Kubernetes", code="E6", why=why, todo=todo)
    return {
        "type": wanted.type,
        "resource": wanted.resource_key,
        "count": of_cores(int(wanted.count)),
        "nodeSelector": dict(sorted(wanted.node_selector.items())),
        "tolerations": list(_tolerations(wanted)),
    }


def _tolerations(wanted: Accelerator) -> Iterator[Json]:
    """Nodes with accelerators are tainted with the name of the resource, by convention; what the cluster declares comes first."""
    taint = "nvidia.com/gpu" if wanted.resource_key.startswith(MIG) else wanted.resource_key
    yield from (dict(sorted(given.items())) for given in wanted.tolerations)
    if not any(given.get("key", taint) == taint for given in wanted.tolerations):
        yield {"effect": "NoSchedule", "key": taint, "operator": "Exists"}


def _volume(volume: Volume) -> Json:
    source = volume.source
    match volume.kind:
        case "pvc":
            return {"name": volume.name, "persistentVolumeClaim": {"claimName": source["claim"]}}
        case "nfs":
            return {"name": volume.name, "nfs": {"path": source["path"], "server": source["server"]}}
        case "hostPath":
            return {"name": volume.name, "hostPath": {"path": source["path"]}}
        case "image":
            return {"name": volume.name, "image": {"reference": source["reference"]}}
    raise CompileError(f"volume '{volume.name}': a volume of kind {volume.kind}", code="E43", why="pods know pvc, nfs, hostPath and image")


def _mount(volume: Volume) -> Json:
    mount: dict[str, Json] = {"mountPath": volume.mount_path, "name": volume.name}
    if volume.read_only:
        mount["readOnly"] = True
    if volume.sub_path:
        mount["subPath"] = volume.sub_path
    return mount


def _stop(grace: float, request_timeout: float) -> Json:
    """Seconds (facts/engines.md 7). spreading: the preStop sleep of an engine that finishes its requests by itself; requests: of one
    that cuts them, so that none is left by then. The grace period counts from the start of that sleep."""
    requests = max(SPREADING, math.ceil(request_timeout))
    return {
        "spreading": SPREADING,
        "requests": requests,
        "afterSpreading": SPREADING + math.ceil(grace),
        "afterRequests": requests + math.ceil(grace),
    }


def _metrics(container: Container, settings: KubernetesSettings) -> Mapping[str, Json]:
    """Where they are collected: by a PodMonitor, or by annotations of the pods; all None where they are not."""
    path = container.metrics_path if container.scrape and container.metrics_path else None
    own = container.metrics_port not in (None, container.http_port)
    annotated = path is not None and not settings.can(PROMETHEUS_OPERATOR)
    return {
        "path": path,
        "portName": "metrics" if own else "http",
        "port": container.metrics_port if own else container.http_port,
        "annotatedPath": path if annotated else None,
        "annotatedPort": str(container.metrics_port if own else container.http_port) if annotated else None,
        "annotated": "true" if annotated else None,
    }
