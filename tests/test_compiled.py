"""What was compiled is kept: found again under the same commit, memory and program, and under no other; a broken file is no file."""

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.compile import compile_declarations
from reconciler.desired import Desired, Remembered
from reconciler.errors import Problem, Severity
from reconciler.given import Given, desired_of
from reconciler.repo.folder import FolderSource
from reconciler.repo.snapshot import Snapshot
from reconciler.state.compiled import Commit, Compiled
from tests.fleet import desired, endpoint, workload

REMEMBERED = Remembered(revision="a" * 40, aliases={"team-a/a": "Endpoint/team-a/a"}, declared={"a.yaml": ("Endpoint/team-a/a",)})
COMMIT, ROOT = "b" * 40, "7" * 40


FILES = {"a.yaml": "1" * 40}


def keep(kept: Compiled, found: Desired, *, whole: bool = False) -> None:
    kept.keep(REMEMBERED, Commit(found, FILES), whole=whole)


@pytest.fixture
def kept(tmp_path: Path) -> Compiled:
    return Compiled(tmp_path, "1")


@pytest.fixture
def everything() -> Desired:
    problem = Problem("E12", "unknown field", "why", "todo", "a.yaml:1", "endpoint", "spec.x", "Endpoint/team-a/c", Severity.WARNING)
    found = desired(*endpoint("a"), workload("b", deep={"list": [1, 2.5, None, {"x": True}], "text": "ä"}), asleep=["z"], blocked=["c"])
    return replace(
        found,
        revision=COMMIT,
        repo=ROOT,
        problems=(problem,),
        declared={"a.yaml": ("Endpoint/team-a/a",)},
        aliases={"m": "Endpoint/team-a/a"},
    )


def test_it_is_found_again_equal(kept: Compiled, everything: Desired) -> None:
    keep(kept, everything)

    assert kept.find(COMMIT, ROOT, REMEMBERED) == everything


@pytest.mark.parametrize(
    ("commit", "root", "remembered", "program"),
    [
        ("c" * 40, ROOT, REMEMBERED, "1"),
        (COMMIT, "8" * 40, REMEMBERED, "1"),
        (COMMIT, ROOT, replace(REMEMBERED, aliases={}), "1"),
        (COMMIT, ROOT, REMEMBERED, "2"),
    ],
    ids=["another commit", "another repo", "another memory", "another program"],
)
def test_and_under_nothing_else(
    kept: Compiled, everything: Desired, tmp_path: Path, commit: str, root: str, remembered: Remembered, program: str
) -> None:
    keep(kept, everything)

    assert Compiled(tmp_path, program).find(commit, root, remembered) is None


def test_what_is_not_committed_is_never_kept(kept: Compiled, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()

    def compiled(snapshot: Snapshot, remembered: Remembered) -> Desired:
        return compile_declarations(snapshot, remembered, {})

    found = desired_of(Given(FolderSource(repo), None, None, compiled, kept=kept), Remembered())  # type: ignore[arg-type]
    assert found.revision == "uncommitted"
    assert kept.find("uncommitted", "", Remembered()) is None
    assert list(tmp_path.iterdir()) == [repo]


@pytest.mark.parametrize("damage", [b"", b"\xff\xff", b"\x80", b'{"json": 1}'])
def test_a_file_that_cannot_be_read_is_no_file(kept: Compiled, everything: Desired, tmp_path: Path, damage: bytes) -> None:
    keep(kept, everything)
    for path in (tmp_path / "compiled").iterdir():
        path.write_bytes(damage)

    assert Compiled(tmp_path, "1").find(COMMIT, ROOT, REMEMBERED) is None


def test_two_stay_and_no_half_file(kept: Compiled, everything: Desired, tmp_path: Path) -> None:
    for digit in "123456":
        keep(kept, replace(everything, revision=digit * 40))

    assert len(list((tmp_path / "compiled").iterdir())) == 2
    assert Compiled(tmp_path, "1").find("6" * 40, ROOT, REMEMBERED) == replace(everything, revision="6" * 40)


def test_without_a_state_folder_nothing_is_written(everything: Desired, tmp_path: Path) -> None:
    keep(Compiled(tmp_path / "not-there", "1"), everything)

    assert list(tmp_path.iterdir()) == []


def test_where_nothing_was_wrong_the_memory_does_not_matter(kept: Compiled, everything: Desired, tmp_path: Path) -> None:
    """Else each commit would be compiled twice: applying it changes what is remembered."""
    keep(kept, everything, whole=True)

    for compiled in (kept, Compiled(tmp_path, "1")):
        assert compiled.find(COMMIT, ROOT, Remembered(aliases={"x": "y"})) == everything
        assert compiled.find(COMMIT, ROOT, replace(REMEMBERED, instance="other")) is None


def test_the_latest_is_what_was_kept_last_if_nothing_was_wrong_in_it(kept: Compiled, everything: Desired, tmp_path: Path) -> None:
    def latest(root: str = ROOT, program: str = "1") -> Commit | None:
        return Compiled(tmp_path, program).latest(root, REMEMBERED)

    assert latest() is None
    keep(kept, everything, whole=True)
    assert latest() == Commit(everything, FILES)
    assert kept.latest(ROOT, REMEMBERED) == Commit(everything, FILES)
    assert latest(root="8" * 40) is None
    assert latest(program="2") is None

    keep(kept, replace(everything, revision="d" * 40))
    assert (latest(), kept.latest(ROOT, REMEMBERED)) == (None, None)
