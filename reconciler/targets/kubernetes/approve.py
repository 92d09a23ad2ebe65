"""Approval: a person lets replicas take traffic, or takes that back, by the condition that the pods' readiness gate waits for.

The condition belongs to a replica and goes with it: a replica that replaces it waits again. Nothing is written down anywhere else, so what
`kubectl get pods` shows as readiness gates is all there is.
"""

import time
from collections.abc import Sequence

import msgspec

from reconciler.desired import TargetSpec
from reconciler.targets.kubernetes.address import namespace_of
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.kinds import path_of
from reconciler.targets.kubernetes.labels import APPROVED, ENDPOINT, MANAGED_BY
from reconciler.targets.kubernetes.settings import settings_of
from reconciler.targets.kubernetes.shapes import PODS, Pod, rows
from reconciler.targets.kubernetes.target import access_of


def approve(spec: TargetSpec, workspace: str, endpoint: str, *, only: Sequence[str] = (), revoke: bool = False) -> tuple[str, ...]:
    """Names of the replicas whose approval changed. only: these replicas, () = all that have the gate. Raises TargetError."""
    settings = settings_of(spec)
    client = KubeClient(access_of(settings))
    try:
        namespace = namespace_of(settings, workspace)
        waiting = [pod for pod in _gated(client, namespace, endpoint) if not only or pod.metadata.name in only]
        changed = [pod for pod in waiting if _approved(pod) is revoke]
        for pod in changed:
            _set(client, namespace, pod, approved=not revoke)
        return tuple(sorted(pod.metadata.name for pod in changed))
    finally:
        client.close()


def _gated(client: KubeClient, namespace: str, endpoint: str) -> list[Pod]:
    selector = f"{MANAGED_BY}=reconciler,{ENDPOINT}={endpoint}"
    found = [pod for page in client.list_pages(path_of("Pod", namespace), selector) for pod in rows(PODS, page, "the LIST of Pods")]
    gated = (pod for pod in found if any(gate.condition_type == APPROVED for gate in pod.spec.readiness_gates))
    return [pod for pod in gated if pod.metadata.deletion_timestamp is None]


def _approved(pod: Pod) -> bool:
    return any(condition.type == APPROVED and condition.status == "True" for condition in pod.status.conditions)


def _set(client: KubeClient, namespace: str, pod: Pod, *, approved: bool) -> None:
    """Strategic: conditions merge by their type, so that the kubelet's stay. The uid keeps a replica of the same name out of it."""
    condition = {
        "type": APPROVED,
        "status": "True" if approved else "False",
        "reason": "Approved" if approved else "Revoked",
        "lastTransitionTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    body = {"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}}
    client.patch_status(path_of("Pod", namespace, pod.metadata.name), msgspec.json.encode(body))
