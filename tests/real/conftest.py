"""Fixtures of the tests with real parts. In CI (`CI=true`) a missing part fails; elsewhere it skips, and says what is missing."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from envoy_gateway import box, replicas, served  # noqa: F401  fixtures
from ray_cluster import RayCluster, start_and_die

from reconciler.desired import TargetSpec
from reconciler.local import ray
from tools import models as demo_models


def missing(what: str) -> None:
    """A part is not there: fail where all must be there, else skip loudly."""
    if os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model root with `smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf` and `all-minilm-l6-v2/all-MiniLM-L6-v2.F16.gguf`."""
    root = tmp_path_factory.mktemp("models")
    try:
        demo_models.into(root)
    except demo_models.NotFetched as error:
        missing(str(error))
    return root


@pytest.fixture(scope="session")
def ray_cluster(models: Path) -> Iterator[RayCluster]:
    """One local Ray for the whole session, as cluster `lab`. It is begun by a process that is killed while Ray starts, and adopted."""
    with tempfile.TemporaryDirectory(prefix="rcl-test-") as name:
        folder = Path(name)
        settings = {"local": True, "modelRoot": str(models), "secretsDirectory": str(folder / "secrets")}
        cluster = RayCluster(folder, TargetSpec("lab", "ray", settings, source="clusters/lab.yaml:1"))
        try:
            start_and_die(folder, "lab")
            cluster.read()
            yield cluster
        finally:
            ray.stop(folder)
