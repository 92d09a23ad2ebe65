"""Tracebacks that a daemon keeps: the newest, and never without an end."""

import os
from pathlib import Path

from reconciler.daemon.crash import KEPT, crashed


def test_the_newest_tracebacks_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "crashes"
    folder.mkdir()
    for number in range(KEPT + 10):
        older = folder / f"reconciler-20260101T0000{number:02}-1-1.txt"
        older.write_text("an older one")
        os.utime(older, (number, number))
    problem = crashed(ValueError("no such thing"), "run", tmp_path)

    left = {path.name: path for path in folder.iterdir()}
    (told,) = (path for path in left.values() if str(path) in problem.todo)
    assert len(left) == KEPT
    assert "ValueError: no such thing" in told.read_text()
    assert "reconciler-20260101T000010-1-1.txt" not in left
