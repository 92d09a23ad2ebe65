"""What was compiled is kept: found again under the same commit, memory and program, and under no other; a broken file is no file."""

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.desired import Desired, Remembered
from reconciler.errors import Problem, Severity
from reconciler.state.compiled import Compiled
from tests.fleet import desired, endpoint, workload

REMEMBERED = Remembered(revision="a" * 40, aliases={"team-a/a": "Endpoint/team-a/a"}, declared={"a.yaml": ("Endpoint/team-a/a",)})
COMMIT, ROOT = "b" * 40, "7" * 40


@pytest.fixture
def kept(tmp_path: Path) -> Compiled:
    return Compiled(tmp_path, "1")


@pytest.fixture
def everything() -> Desired:
    problem = Problem("E12", "unknown field", "why", "todo", "a.yaml:1", "endpoint", "spec.x", "Endpoint/team-a/c", Severity.WARNING)
    found = desired(*endpoint("a"), workload("b", deep={"list": [1, 2.5, None, {"x": True}], "text": "ä"}), asleep=["z"], blocked=["c"])
    return replace(found, problems=(problem,), declared={"a.yaml": ("Endpoint/team-a/a",)}, aliases={"m": "Endpoint/team-a/a"})


def test_it_is_found_again_equal(kept: Compiled, everything: Desired) -> None:
    kept.keep(COMMIT, ROOT, REMEMBERED, everything)

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
    kept.keep(COMMIT, ROOT, REMEMBERED, everything)

    assert Compiled(tmp_path, program).find(commit, root, remembered) is None


def test_what_is_not_committed_is_never_kept(kept: Compiled, everything: Desired, tmp_path: Path) -> None:
    kept.keep("uncommitted", "", REMEMBERED, everything)

    assert kept.find("uncommitted", "", REMEMBERED) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"\xff\xff", b"\x80", b'{"json": 1}'])
def test_a_file_that_cannot_be_read_is_no_file(kept: Compiled, everything: Desired, tmp_path: Path, damage: bytes) -> None:
    kept.keep(COMMIT, ROOT, REMEMBERED, everything)
    for path in (tmp_path / "compiled").iterdir():
        path.write_bytes(damage)

    assert kept.find(COMMIT, ROOT, REMEMBERED) is None


def test_two_stay_and_no_half_file(kept: Compiled, everything: Desired, tmp_path: Path) -> None:
    for digit in "123456":
        kept.keep(digit * 40, ROOT, REMEMBERED, everything)

    assert len(list((tmp_path / "compiled").iterdir())) == 2
    assert kept.find("6" * 40, ROOT, REMEMBERED) == everything


def test_without_a_state_folder_nothing_is_written(everything: Desired, tmp_path: Path) -> None:
    Compiled(tmp_path / "not-there", "1").keep(COMMIT, ROOT, REMEMBERED, everything)

    assert list(tmp_path.iterdir()) == []
