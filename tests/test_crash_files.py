"""Tracebacks that a daemon keeps: the newest, and never without an end."""

from pathlib import Path

from reconciler.daemon.crash import KEPT, crashed


def test_the_newest_tracebacks_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "crashes"
    folder.mkdir()
    for number in range(KEPT + 10):
        (folder / f"reconciler-20260101T0000{number:02}-1-1.txt").write_text("an older one")
    problem = crashed(ValueError("no such thing"), "run", tmp_path)

    left = sorted(folder.iterdir())
    assert len(left) == KEPT
    assert str(left[-1]) in problem.todo
    assert "ValueError: no such thing" in left[-1].read_text()
    assert left[0].name == "reconciler-20260101T000011-1-1.txt"
