"""What a cluster at work holds beside the objects that we write: a running pod and an EndpointSlice for each endpoint, and its Deployment's
status. The server has no controllers, so it is put there by hand; a plan has to read it, and kubectl does not."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from bench.kube_bodies import Body, Stages, line

SINCE: Final = "2026-01-01T00:00:00Z"
REVISION: Final = "5d8c7b9f6d"  # as a ReplicaSet's hash


def pods_of(bodies: Sequence[Body]) -> Stages:
    """For the raw client, as the administrator: objects first, then what their controllers and kubelets say of them."""
    made: list[str] = []
    said: list[str] = []
    for body in bodies:
        document: Any = body.document
        if document["kind"] == "Deployment":
            pod, status = _pod(document)
            made.append(line("POST", _path(document, "api/v1", "pods"), "json", pod))
            said.append(
                line("PATCH", f"{_path(document, 'api/v1', 'pods')}/{_name(document)}/status", "strategic-merge-patch+json", status)
            )
            said.append(line("PATCH", f"{body.path}/status", "strategic-merge-patch+json", _rolled_out()))
        if document["kind"] == "Service":
            made.append(line("POST", _path(document, "apis/discovery.k8s.io/v1", "endpointslices"), "json", _slice(document)))
    return made, said


def _path(document: Any, version: str, plural: str) -> str:
    return f"/{version}/namespaces/{document['metadata']['namespace']}/{plural}"


def _name(document: Any) -> str:
    return f"{document['metadata']['name']}-{REVISION}-x2x7q"


def _pod(deployment: Any) -> tuple[Any, Any]:
    """The pod of a Deployment, and its status."""
    template = deployment["spec"]["template"]
    labels = {**template["metadata"]["labels"], "pod-template-hash": REVISION}
    metadata = {**template["metadata"], "name": _name(deployment), "namespace": deployment["metadata"]["namespace"], "labels": labels}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**template["spec"], "nodeName": "gpu-000"}}
    containers = [
        {
            "name": one["name"],
            "image": one["image"],
            "imageID": "",
            "ready": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": SINCE}},
        }
        for one in template["spec"]["containers"]
    ]
    types = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    status = {
        "phase": "Running",
        "podIP": "10.1.0.1",
        "startTime": SINCE,
        "containerStatuses": containers,
        "conditions": list(_true(types)),
    }
    return pod, {"status": status}


def _true(types: Sequence[str]) -> Iterator[dict[str, str]]:
    yield from ({"type": one, "status": "True", "lastTransitionTime": SINCE} for one in types)


def _rolled_out() -> dict[str, Any]:
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    reasons = {"Available": "MinimumReplicasAvailable", "Progressing": "NewReplicaSetAvailable"}
    conditions = [{**one, "reason": reasons[one["type"]], "lastUpdateTime": SINCE} for one in _true(tuple(reasons))]
    # a generation far ahead: some of them were changed before
    return {"status": {**dict.fromkeys(counts, 1), "observedGeneration": 1000, "conditions": conditions}}


def _slice(service: Any) -> dict[str, Any]:
    metadata = service["metadata"]
    labels = {**metadata["labels"], "kubernetes.io/service-name": metadata["name"]}
    ready = {"ready": True, "serving": True, "terminating": False}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{metadata['name']}-7k2p4", "namespace": metadata["namespace"], "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": ready, "nodeName": "gpu-000"}],
        "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}],
    }
