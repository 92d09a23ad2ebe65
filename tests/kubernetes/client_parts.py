"""What the tests of the client share: clients that do not really wait, objects to read and write, the error of a call."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.errors import TargetError
from reconciler.targets.kubernetes.api.access import Access
from reconciler.targets.kubernetes.api.client import Answer, KubeClient
from reconciler.targets.kubernetes.api.failures import KubeRefused, KubeUnavailable
from reconciler.targets.kubernetes.api.kubeconfig import read_file
from reconciler.targets.kubernetes.api.pacing import Limits
from tools.controlplane import ControlPlane

CONTAINER = {"name": "c", "image": "example.org/i:1"}
SHORT = Limits(connect=2.0, read=1.0, list_read=1.0, silence=1.0, attempts=3)  # for faults that are found by time


@dataclass
class Waits:
    """In place of sleeping: how long it would have been. then: what happens during the first wait."""

    asked: list[float] = field(default_factory=list)
    then: Callable[[], None] | None = None

    def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        then, self.then = self.then, None
        if then is not None:
            then()


def client_of(access: Access | Path, waits: Waits | None = None, limits: Limits | None = None, **options: object) -> KubeClient:
    found = read_file(access) if isinstance(access, Path) else access
    return KubeClient(found, limits=limits, sleep=waits or Waits(), random=lambda: 0.0, **options)  # type: ignore[arg-type]


def failure(call: Callable[[], object], code: str) -> KubeRefused | KubeUnavailable:
    """The error that the call raises; it has this code."""
    with pytest.raises(TargetError) as caught:
        call()
    assert isinstance(caught.value, KubeRefused | KubeUnavailable)
    assert caught.value.problem.code == code, str(caught.value)
    return caught.value


def configmap(namespace: str, name: str, **data: str) -> bytes:
    metadata = {"name": name, "namespace": namespace, "labels": {"of": "client-test"}}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}).encode()


def configmap_path(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


def apply(client: KubeClient, namespace: str, name: str, **data: str) -> dict[str, str]:
    """Metadata of the applied ConfigMap."""
    answer = client.patch_apply(configmap_path(namespace, name), configmap(namespace, name, **data), manager="reconciler", force=True)
    metadata: dict[str, str] = json.loads(answer.body)["metadata"]
    return metadata


def names(pages: list[bytes]) -> list[str]:
    return [item["metadata"]["name"] for page in pages for item in json.loads(page)["items"]]


def deploy(client: KubeClient, namespace: str, spec: object, *, name: str = "one", uid: str = "", **how: object) -> Answer:
    """Apply a Deployment with this spec."""
    metadata = {"name": name, "namespace": namespace} | ({"uid": uid} if uid else {})
    body = json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}).encode()
    options: dict[str, object] = {"manager": "reconciler", "force": True} | how
    return client.patch_apply(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}", body, **options)  # type: ignore[arg-type]


def deployment(label: str = "one", replicas: int = 0, **pod: object) -> dict[str, object]:
    """A spec that the server takes; of no replicas, so that nothing runs."""
    template = {"metadata": {"labels": {"app": label}}, "spec": {"containers": [CONTAINER]} | pod}
    return {"replicas": replicas, "selector": {"matchLabels": {"app": label}}, "template": template}


def until(met: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    limit = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < limit, what
        time.sleep(0.02)


def user_of(plane: ControlPlane) -> dict[str, str]:
    """The ordinary user, as a kubeconfig has it."""
    return {"token": plane.tokens["reconciler"]}
