"""The contract of targets at a real Kubernetes API server. A write is there when the server has it: nothing waits for replicas here."""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.desired import TargetSpec
from reconciler.resource import Json, Mark, Resource, ResourceKey
from reconciler.targets.kubernetes.address import address_of
from reconciler.targets.kubernetes.mark import marked
from reconciler.targets.kubernetes.render import render_workload
from reconciler.targets.kubernetes.settings import settings_of
from reconciler.targets.kubernetes.target import open_target
from reconciler.targets.own_store import variable_of
from reconciler.targets.protocol import Claim, Context, Target
from tests.contract.contract import OURS, AnyResource, Place
from tests.kubernetes.workloads import a_workload
from tools.controlplane import ControlPlane
from tools.ports import free_port

MEDDLED: dict[str, Json] = {  # what somebody changes by hand, by kind
    "Deployment": {"spec": {"replicas": 3}},
    "Service": {"spec": {"ports": [{"name": "http", "port": 9999, "protocol": "TCP", "targetPort": "http"}]}},
    "ServiceAccount": {"metadata": {"labels": {"app.kubernetes.io/name": "meddled"}}},
    "NetworkPolicy": {"spec": {"policyTypes": ["Egress"]}},
}


class KubernetesPlace:
    """A namespace of its own in the shared control plane, and a cluster name of its own: so an ApplySet of its own."""

    def __init__(self, plane: ControlPlane, kind: str, workspace: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plane, self.kind, self.workspace, self.folder = plane, kind, workspace, folder
        monkeypatch.setenv(variable_of("plane"), plane.user_kubeconfig.read_text())
        self.spec = TargetSpec(f"east-{secrets.token_hex(4)}", "kubernetes", {"kubeconfigRef": {"name": "plane", "key": ""}})
        plane.kubectl("create", "namespace", workspace)

    def open(self, claim: Claim = OURS, *, write: bool = True, held: Callable[[], bool] = lambda: True) -> Target:
        return open_target(self.spec, Context(self.folder, claim, write, time.time, held))

    def wanted(self, name: str, form: int = 0) -> Resource:
        workload = a_workload(name, self.workspace, replicas=1 + form, image=f"example.org/llama:{form}")
        found = next(one for one in render_workload(workload, self.spec).resources if one.key.kind == self.kind)
        if self.kind in ("Deployment", "Service"):
            return found
        labels = {**found.manifest["metadata"]["labels"], "form": str(form)}  # type: ignore[index,call-overload,dict-item]
        manifest = {**found.manifest, "metadata": {**found.manifest["metadata"], "labels": labels}}  # type: ignore[dict-item]
        return Resource.make(found.key, manifest, owner=found.owner, source=found.source)

    def intrude(self, key: ResourceKey, mark: Claim | None) -> None:
        theirs = Mark(mark.instance, mark.repo, "Endpoint/x/y", "sha256:0") if mark else None
        manifest = self.wanted(key.name, 1).manifest
        body = marked(manifest, theirs, "") if theirs else manifest
        self.plane.kubectl("apply", "--server-side", "--field-manager=intruder", "--force-conflicts", "-f", "-", input=json.dumps(body))

    def meddle(self, key: ResourceKey) -> None:
        address = address_of(settings_of(self.spec), key)
        patch = json.dumps(MEDDLED[key.kind])
        self.plane.kubectl("patch", key.kind.lower(), address.name, "-n", address.namespace, "--type=merge", "-p", patch)

    @contextlib.contextmanager
    def broken(self) -> Iterator[Target]:
        away = self.plane.user_kubeconfig.read_text().replace(self.plane.url, f"https://127.0.0.1:{free_port()}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(variable_of("plane"), away)
            with contextlib.closing(self.open()) as target:
                yield target

    def tick(self, seconds: float) -> None:
        """What is deleted in the background is gone when its dependents are."""


@pytest.fixture(params=["Deployment", "Service", "ServiceAccount", "NetworkPolicy"])
def place(
    request: pytest.FixtureRequest, control_plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    return KubernetesPlace(control_plane, request.param, namespace, tmp_path, monkeypatch)


class TestObjects(AnyResource):
    """Every kind goes the same way; four that differ in what the server makes of them."""
