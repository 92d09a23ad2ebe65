"""Tests on real nodes: kubelets that run, probe, pull and kill. They need root, Go and Debian packages.

real_nodes      two nodes, from the first test that asks to the last of this folder: leave them as they were found (`uncordon`, `restore`)
namespace       a namespace of one's own, in which pods can start; deleted afterwards, without waiting
start_nodes     start_nodes(1, **options): another cluster, which ends with the test
"""

import re
import secrets
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import node_site
import pytest
from pods import until

from tests import real_parts
from tools import node
from tools.node import Nodes
from tools.node.build import built

HERE = Path(__file__).parent


def started(ending: ExitStack, nodes: int, **options: Any) -> Nodes:
    """A cluster that is stopped, and its folder removed, when `ending` is closed."""
    folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="rcl-node-")))
    made = node.start(folder, nodes, **options)
    ending.callback(made.stop)
    return made


SHARED = ExitStack()  # ends with the last test of this folder


@pytest.fixture(scope="session")
def real_nodes() -> Iterator[Nodes]:
    with SHARED:
        SHARED.callback(node_site.sweep, Path(tempfile.gettempdir()))
        yield started(SHARED, 2)


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    return (yield from real_parts.wrapped())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    return (yield from real_parts.wrapped())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None]:
    return (yield from real_parts.ending(HERE, nextitem, SHARED))


@pytest.hookimpl(tryfirst=True)  # before `-m` decides
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    real_parts.mark(items, HERE, built)
