"""Tests on real nodes: kubelets that run, probe, pull and kill. Everything here needs them, so everything is marked `real`.

What is not available (root, Go, Debian packages) skips, and says what to do; in CI (`CI=true`) it fails.

real_nodes      two nodes for the whole run, started by the first test that asks: leave them as they were found (`uncordon`, `restore`)
namespace       a namespace of one's own, in which pods can start; deleted afterwards, without waiting
start_nodes     start_nodes(1, **options): another cluster, which ends with the test
"""

import os
import re
import secrets
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pods import until

from tools import node
from tools.node import Nodes, NotAvailable
from tools.node.build import built

HERE = Path(__file__).parent
COLD = 1800  # seconds, for the test that builds the programs, if nobody did before


def started(ending: ExitStack, nodes: int, **options: Any) -> Nodes:
    """A cluster that is stopped, and its folder removed, when `ending` is closed."""
    folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="rcl-node-")))
    made = node.start(folder, nodes, **options)
    ending.callback(made.stop)
    return made


@pytest.fixture(scope="session")
def real_nodes() -> Iterator[Nodes]:
    with ExitStack() as ending:
        yield started(ending, 2)


@pytest.fixture
def start_nodes() -> Iterator[Callable[..., Nodes]]:
    with ExitStack() as ending:
        yield lambda nodes=1, **options: started(ending, nodes, **options)


@pytest.fixture
def namespace(real_nodes: Nodes, request: pytest.FixtureRequest) -> Iterator[str]:
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:40].strip("-")
    name = f"{words}-{secrets.token_hex(3)}"
    real_nodes.kubectl("create", "namespace", name)
    until(lambda: real_nodes.kubectl("get", "serviceaccounts", "-n", name, "-o", "name"))  # made by a controller; no pod before it
    yield name
    real_nodes.kubectl("delete", "namespace", name, "--wait=false")


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
    cold = bool(ours) and not built()
    for item in ours:
        item.add_marker(pytest.mark.real)
        if cold and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(COLD))
