"""Tests on a real control plane. Everything here needs one, so everything is marked `real`.

What is not available skips the test that asks for it, and says what to do; in CI (`CI=true`) it fails.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from controlplane import audit_log, control_plane, namespace, start_control_plane  # noqa: F401  fixtures

from tools.controlplane import NotAvailable, assets

HERE = Path(__file__).parent
COLD = 1800  # seconds, for the test that builds the programs, if nobody did before


@contextmanager
def missing_skips() -> Iterator[None]:
    """A part is not there: fail where all must be there, else skip loudly."""
    what = ""
    try:
        yield
    except NotAvailable as error:
        what = str(error)
    if what and os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    if what:
        pytest.skip(what)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    with missing_skips():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    with missing_skips():
        return (yield)


@pytest.hookimpl(tryfirst=True)  # before `-m` decides
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    cold = bool(ours) and not assets.built()
    for item in ours:
        item.add_marker(pytest.mark.real)
        if cold and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(COLD))
