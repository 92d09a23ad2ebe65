"""Every test, in two halves side by side: servers that are waited for here, and what keeps a processor busy there.

    python3 tools/environment.py -m tools.suite              all of it
    python3 tools/environment.py -m tools.suite -k drift     with arguments it is pytest alone

The first half (Ray, Envoy, nodes, the demo; then the simulation) is shown as it runs, the second (control plane, and everything without a
server) after it. The exit code is the worse one. Ctrl-C ends both.
"""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Final

APART: Final = ("tests/e2e", "tests/node", "tests/real", "tests/test_simulation.py")
FIRST: Final = [*APART]
SECOND: Final = ["tests", *(f"--ignore={folder}" for folder in APART), "-o", "cache_dir=.pytest_cache/second"]
POLL: Final = 0.2
PATIENCE: Final = 60.0  # seconds for a half to clean up after Ctrl-C


def main(arguments: list[str]) -> int:
    pytest = str(Path(sys.executable).with_name("pytest"))
    if arguments:
        return subprocess.run([pytest, *arguments], check=False).returncode
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="rcl-suite-") as folder:
        said = Path(folder, "second")
        with said.open("wb") as out:
            beside = begin([pytest, *SECOND], out)
        shown = begin([pytest, *FIRST])
        try:
            shown.wait()
            show(said, beside)
        except KeyboardInterrupt:
            for half in (shown, beside):
                half.send_signal(signal.SIGINT)
            return 130
        finally:
            for half in (shown, beside):
                end(half)
    worse: int = max(abs(shown.returncode), abs(beside.returncode))
    return worse


def begin(command: list[str], out: IO[bytes] | None = None) -> "subprocess.Popen[bytes]":
    """In a session of its own, so that Ctrl-C reaches it by us, and once."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)


def show(said: Path, half: "subprocess.Popen[bytes]") -> None:
    """What it has said so far, and then as it goes on, to its end."""
    with said.open("rb") as text:
        done = False
        while not done:
            done = half.poll() is not None
            sys.stdout.buffer.write(text.read())
            sys.stdout.buffer.flush()
            if not done:
                time.sleep(POLL)


def end(half: "subprocess.Popen[bytes]") -> None:
    try:
        half.wait(PATIENCE if half.poll() is None else None)
    except subprocess.TimeoutExpired:
        half.kill()
        half.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
