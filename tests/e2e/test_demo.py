"""The demo holds what it claims, and leaves nothing, however it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = 8


@contextmanager
def demo(*words: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m tools.demo`, ended with the test."""
    command = [sys.executable, "-m", "tools.demo", *words]
    started = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGINT)
            started.communicate(timeout=60)


def belongs(folder: str) -> list[int]:
    """Processes whose command line or environment names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if folder.encode() in text:
                found.append(int(entry.name))
    return found


def folder_in(text: str) -> str:
    found = re.search(r"everything is below (\S+)", text)
    assert found is not None, text
    return found[1]


@pytest.mark.real
def test_eight_steps_and_nothing_left() -> None:
    with demo() as started:
        out, _ = started.communicate(timeout=280)

    assert started.returncode == 0, out
    assert re.findall(r"^(\d)  ", out, re.MULTILINE) == [str(number) for number in range(1, STEPS + 1)]
    assert (belongs(folder_in(out)), Path(folder_in(out)).exists()) == ([], False)


@pytest.mark.real
def test_ctrl_c_in_the_middle_leaves_nothing() -> None:
    with demo() as started:
        assert started.stdout is not None
        seen = ""
        while not re.search(r"^1  ", seen, re.MULTILINE):
            line = started.stdout.readline()
            assert line, seen
            seen += line
        time.sleep(3.0)  # any moment of step 2 will do: Ray is on its way up
        started.send_signal(signal.SIGINT)
        rest, _ = started.communicate(timeout=90)

    assert started.returncode == 130, seen + rest
    assert (belongs(folder_in(seen)), Path(folder_in(seen)).exists()) == ([], False)
