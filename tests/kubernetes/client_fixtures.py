"""Fixtures of the client's tests (a plugin of pytest: `pytest_plugins = ["tests.kubernetes.client_fixtures"]`).


direct     the ordinary user's client                      admin   one that may do all, for what the user has no business with
through    the ordinary user's, by way of `proxy`          hasty   the same, with time-outs of a second
place      a namespace that is there                       waits   what `through` and `hasty` would have waited
proxy      a fault proxy in front of the control plane
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from reconciler.targets.kubernetes.api.client import KubeClient
from tests.kubernetes.client_parts import SHORT, Waits, client_of, user_of
from tests.kubernetes.fault_proxy import FaultProxy
from tools.controlplane import ControlPlane


@pytest.fixture(scope="module")
def standing_proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    with TemporaryDirectory(prefix="rcl-proxy-") as folder:
        proxy = FaultProxy(control_plane.url, control_plane.ca, Path(folder))
        with contextlib.closing(proxy):
            yield proxy


@pytest.fixture
def proxy(standing_proxy: FaultProxy) -> FaultProxy:
    standing_proxy.rule = None
    standing_proxy.seen.clear()
    return standing_proxy


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def place(control_plane: ControlPlane, namespace: str) -> str:
    control_plane.kubectl("create", "namespace", namespace)
    return namespace


@pytest.fixture
def direct(control_plane: ControlPlane) -> Iterator[KubeClient]:
    with contextlib.closing(client_of(control_plane.user_kubeconfig)) as client:
        yield client


@pytest.fixture
def admin(control_plane: ControlPlane) -> Iterator[KubeClient]:
    with contextlib.closing(client_of(control_plane.admin_kubeconfig)) as client:
        yield client


@pytest.fixture
def through(control_plane: ControlPlane, proxy: FaultProxy, waits: Waits) -> Iterator[KubeClient]:
    with contextlib.closing(client_of(proxy.kubeconfig(user_of(control_plane)), waits)) as client:
        yield client


@pytest.fixture
def hasty(control_plane: ControlPlane, proxy: FaultProxy, waits: Waits) -> Iterator[KubeClient]:
    with contextlib.closing(client_of(proxy.kubeconfig(user_of(control_plane)), waits, SHORT)) as client:
        yield client
