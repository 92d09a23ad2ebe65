"""Tests on a real control plane."""

from collections.abc import Generator
from pathlib import Path

import controlplane
import pytest
from controlplane import audit_log, control_plane, namespace, start_control_plane  # noqa: F401  fixtures

from tests import real_parts
from tools.controlplane import assets

HERE = Path(__file__).parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    return (yield from real_parts.wrapped())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    return (yield from real_parts.wrapped())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None]:
    return (yield from real_parts.ending(HERE, nextitem, controlplane.SHARED))


@pytest.hookimpl(tryfirst=True)  # before `-m` decides
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    real_parts.mark(items, HERE, assets.built)
