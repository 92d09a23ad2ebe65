"""Fixtures: a control plane shared by the whole run, one more where a test needs two, and a namespace per test.

control_plane          mode `full`, until the last test of this folder; with USE_EXISTING_CLUSTER the cluster that is there
audit_log              its audit log
namespace              a name that is nobody's; what stands in it afterwards is deleted
start_control_plane    start_control_plane("api", **options): another one of our own, which ends with the test
"""

import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tools import controlplane
from tools.controlplane import AuditLog, ControlPlane, assets, existing


def scratch(ending: ExitStack) -> Path:
    return Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="rcl-test-")))


def started(ending: ExitStack, mode: controlplane.Mode = "api", **options: object) -> ControlPlane:
    """A control plane that is stopped, and its folder removed, when `ending` is closed."""
    plane = controlplane.start(scratch(ending), mode, **options)
    ending.callback(plane.stop)
    return plane


SHARED: Final = ExitStack()  # ends with the last test of this folder


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    with SHARED:
        yield existing.use(scratch(SHARED)) if assets.existing_cluster() else started(SHARED, "full")


@pytest.fixture
def audit_log(control_plane: ControlPlane) -> AuditLog:
    return control_plane.audit_log


@pytest.fixture
def start_control_plane() -> Iterator[Callable[..., ControlPlane]]:
    with ExitStack() as ending:
        yield lambda mode="api", **options: started(ending, mode, **options)


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """Made of the test's name, so that one sees whose it is; not created yet."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:40].strip("-")
    name = f"{words}-{secrets.token_hex(3)}"
    yield name
    control_plane.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")
