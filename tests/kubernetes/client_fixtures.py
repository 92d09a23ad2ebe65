"""Fixtures of the client's tests (a plugin of pytest: `pytest_plugins = ["tests.kubernetes.client_fixtures"]`).


direct     the ordinary user's client                      admin   one that may do all, for what the user has no business with
through    the ordinary user's, by way of `proxy`          hasty   the same, with time-outs of a second
place      a namespace that is there                       waits   what `through` and `hasty` would have waited
proxy      a fault proxy in front of the control plane
"""

import contextlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from reconciler.targets.kubernetes.api.client import KubeClient
from tests.kubernetes.client_parts import SHORT, Waits, client_of, user_of
from tests.kubernetes.fault_proxy import FaultProxy
from tests.kubernetes.kube_site import wait_until
from tools.controlplane import ControlPlane
from tools.controlplane.access import USER


@pytest.fixture(scope="module")
def standing_proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    with TemporaryDirectory(prefix="rcl-proxy-") as folder:
        proxy = FaultProxy(control_plane.url, control_plane.ca, Path(folder))
        with contextlib.closing(proxy):
            yield proxy


@pytest.fixture(scope="module")
def may_use_configmaps(control_plane: ControlPlane) -> Iterator[None]:
    """What the client is tried on. The product needs no such right, so the user does not come with it."""
    name = f"client-tests-{secrets.token_hex(3)}"
    verbs = "get,list,watch,create,patch,delete"
    control_plane.kubectl("create", "clusterrole", name, f"--verb={verbs}", "--resource=configmaps")
    control_plane.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", f"--user={USER}")
    spec = {"user": USER, "resourceAttributes": {"verb": "patch", "resource": "configmaps", "namespace": "default"}}
    review = json.dumps({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    wait_until(lambda: json.loads(control_plane.kubectl("create", "--raw", path, "-f", "-", input=review))["status"]["allowed"])
    yield
    control_plane.kubectl("delete", "clusterrolebinding,clusterrole", name)


@pytest.fixture
def proxy(standing_proxy: FaultProxy) -> FaultProxy:
    standing_proxy.rule = None
    standing_proxy.seen.clear()
    return standing_proxy


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def place(control_plane: ControlPlane, namespace: str, may_use_configmaps: None) -> str:
    control_plane.kubectl("create", "namespace", namespace)
    return namespace


@pytest.fixture
def direct(control_plane: ControlPlane, may_use_configmaps: None) -> Iterator[KubeClient]:
    with contextlib.closing(client_of(control_plane.user_kubeconfig)) as client:
        yield client


@pytest.fixture
def admin(control_plane: ControlPlane) -> Iterator[KubeClient]:
    with contextlib.closing(client_of(control_plane.admin_kubeconfig)) as client:
        yield client


@pytest.fixture
def through(control_plane: ControlPlane, proxy: FaultProxy, waits: Waits, may_use_configmaps: None) -> Iterator[KubeClient]:
    with contextlib.closing(client_of(proxy.kubeconfig(user_of(control_plane)), waits)) as client:
        yield client


@pytest.fixture
def hasty(control_plane: ControlPlane, proxy: FaultProxy, waits: Waits, may_use_configmaps: None) -> Iterator[KubeClient]:
    with contextlib.closing(client_of(proxy.kubeconfig(user_of(control_plane)), waits, SHORT)) as client:
        yield client
