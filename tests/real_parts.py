"""Tests that need servers of which a machine may lack a part: the hooks that a folder of such tests has in its conftest.

Everything there is marked `real`. What is not available skips the test that asks for it, and says what to do; in CI (`CI=true`) it fails.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tools.controlplane import NotAvailable

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


def wrapped() -> Generator[None]:
    """The body of a wrapper of pytest_runtest_setup and pytest_runtest_call."""
    with missing_skips():
        return (yield)


def ending(folder: Path, nextitem: pytest.Item | None, servers: ExitStack) -> Generator[None]:
    """The body of a wrapper of pytest_runtest_teardown: after the last test of a folder its servers stop, although they are fixtures of
    the whole run: what idles beside the tests of other folders makes them slow."""
    result = yield
    if nextitem is None or not nextitem.path.is_relative_to(folder):
        servers.close()
    return result


def mark(items: Iterable[pytest.Item], folder: Path, built: Callable[[], bool]) -> None:
    """The tests below a folder. built: are the programs there, so that no test has to wait for them?"""
    ours = [item for item in items if item.path.is_relative_to(folder)]
    cold = bool(ours) and not built()
    for item in ours:
        item.add_marker(pytest.mark.real)
        if cold and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(COLD))
