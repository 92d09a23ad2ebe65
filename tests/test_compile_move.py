"""The repo that serves on Ray serves on Kubernetes by changing one line, and back: the example, with its own example of a cluster.

`python tests/test_compile_move.py` writes the golden file again; its diff is what a reviewer reads.
"""

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest
from kubernetes_text import compiled_of

from reconciler.compile import compile_declarations
from reconciler.desired import Remembered
from reconciler.engine_schemas import engine_schemas
from reconciler.repo.folder import FolderSource
from reconciler.repo.read import read_repo
from reconciler.repo.snapshot import Snapshot
from reconciler.targets.rendering import Workload

pytestmark = pytest.mark.slow  # hundreds of cases: `make test` has them

EXAMPLE = Path(__file__).parent.parent / "examples" / "repo"
GOLDEN = Path(__file__).parent / "golden" / "example_on_kubernetes.json"
ENDPOINTS = ("chat", "embeddings")


def example(folder: Path) -> Path:
    """The example with its Kubernetes cluster declared, and behind its gateway. Everything still runs on Ray."""
    repo = folder / "repo"
    shutil.copytree(EXAMPLE, repo)
    cluster = repo / "clusters" / "gpu-east.yaml.example"
    cluster.rename(cluster.with_suffix(""))
    _replace(repo / "gateways" / "public.yaml", "clusters: [local]", "clusters: [local, gpu-east]")
    return repo


def move(repo: Path, name: str) -> None:
    """The one line."""
    _replace(repo / "workspaces" / "team-a" / "endpoints" / f"{name}.yaml", "  cluster: local\n", "  cluster: gpu-east\n")


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def read(repo: Path) -> Snapshot:
    return read_repo(FolderSource(repo), {})


def workloads(snapshot: Snapshot) -> dict[str, Workload]:
    found = {name: compiled_of(snapshot, f"team-a/{name}")[0] for name in ENDPOINTS}
    return {name: made for name, made in found.items() if made is not None}


def text_of(repo: Path) -> str:
    for name in ENDPOINTS:
        move(repo, name)
    return json.dumps({name: asdict(made) for name, made in workloads(read(repo)).items()}, indent=2) + "\n"


def test_the_example_of_a_cluster_disturbs_nobody(tmp_path: Path) -> None:
    """Declared and not used: both endpoints are what they were."""
    before, after = workloads(read(EXAMPLE)), workloads(read(example(tmp_path)))

    assert after == before
    assert set(after) == set(ENDPOINTS)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_moves_by_one_line(name: str, tmp_path: Path) -> None:
    repo = example(tmp_path)
    move(repo, name)
    found = compile_declarations(read(repo), Remembered(), engine_schemas(), {"ray": "memory", "kubernetes": "memory", "envoy": "memory"})

    assert (found.problems, found.blocked) == ((), {})
    assert found.owners[f"Endpoint/team-a/{name}"].targets == ("gpu-east", "public")
    assert [str(key) for key in found.resources if key.name == name] == [
        f"gpu-east: Workload/team-a/{name}",
        f"public: Route/team-a/{name}",
    ]


def test_the_example_on_kubernetes_becomes_these_workloads(tmp_path: Path) -> None:
    assert text_of(example(tmp_path)) == GOLDEN.read_text()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        GOLDEN.write_text(text_of(example(Path(folder))))
