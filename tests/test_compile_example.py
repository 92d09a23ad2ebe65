"""The example repo validates without a word, and its two endpoints become exactly these manifests.

`python tests/test_compile_example.py` writes the golden file again; its diff is what a reviewer reads.
"""

import json
from pathlib import Path

from reconciler.compile import compile_declarations
from reconciler.desired import Desired, Remembered
from reconciler.engine_schemas import engine_schemas
from reconciler.repo.folder import FolderSource
from reconciler.repo.read import read_repo

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden" / "example_repo.json"


def example() -> Desired:
    snapshot = read_repo(FolderSource(ROOT / "examples" / "repo"), {})
    return compile_declarations(snapshot, Remembered(), engine_schemas())


def text_of(found: Desired) -> str:
    value = {
        "resources": {
            str(key): {"needs": [str(need) for need in made.needs], "manifest": made.manifest} for key, made in found.resources.items()
        },
        "targets": [target.as_json() for target in found.targets.values()],
        "aliases": found.aliases,
    }
    return json.dumps(value, indent=2) + "\n"


def test_the_example_repo_has_no_problem() -> None:
    found = example()

    assert (found.problems, found.blocked, found.no_deletes) == ((), {}, "")
    assert sorted(found.owners) == ["Endpoint/team-a/chat", "Endpoint/team-a/embeddings"]


def test_the_example_repo_becomes_these_manifests() -> None:
    assert text_of(example()) == GOLDEN.read_text()


if __name__ == "__main__":
    GOLDEN.write_text(text_of(example()))
