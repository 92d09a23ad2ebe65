"""The processes of one control plane, seen from the one who starts them: orders to their guard (`guard.py`)."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
STOP = 20.0  # seconds for a guard to stop what it keeps, far above its own GRACE


class ProcessFailed(Exception):
    """A process did not start, or ended before it was ready; the text ends with what it said last."""


class Processes:
    """Names and process ids of what runs in `folder`. `name.log` there is what each says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pids: dict[str, int] = {}
        self._commands: dict[str, list[str]] = {}
        with (folder / "guard.log").open("ab") as log:  # not our stderr: who waits for its end would wait for what is kept
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(folder), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the one who started: it stops things in order
            )
        self._answer()

    @property
    def guard(self) -> int:
        return self._guard.pid

    def run(self, name: str, command: Sequence[str]) -> int:
        """Start a process, in place of one that has this name; its id. Raises ProcessFailed."""
        self._commands[name] = list(command)
        answer = self._order({"name": name, "command": list(command)})
        self.pids[name] = int(str(answer["pid"]))
        return self.pids[name]

    def again(self, name: str) -> int:
        """Start the process of this name again, as it was; stops it first if it still runs."""
        return self.run(name, self._commands[name])

    def kill(self, name: str) -> None:
        """End one as a crash would, and wait until it is gone."""
        pid = self.pids[name]
        if runs(pid):
            os.kill(pid, signal.SIGKILL)
        while runs(pid):
            time.sleep(0.02)

    def alive(self, name: str) -> bool:
        return runs(self.pids[name])

    def check(self) -> None:
        """Raises ProcessFailed when one of them is gone."""
        for name in self.pids:
            if not self.alive(name):
                raise ProcessFailed(f"{name} ended before it was ready; the end of its log:\n{self.last_words(name)}")

    def last_words(self, name: str) -> str:
        lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
        return "\n".join(f"  {line[:400]}" for line in lines)

    def keep(self) -> None:
        """Let them outlive this process, until `stop()` or `stop(folder)`. No order can follow."""
        self._order({"keep": True})

    def stop(self) -> None:
        """End them all and wait until they are gone. Does nothing the second time."""
        if self._guard.returncode is None:
            self._guard.terminate()
            try:
                self._guard.wait(STOP)
            except subprocess.TimeoutExpired:
                self._guard.kill()  # its children asked the kernel to follow it
                self._guard.wait()
        for pipe in (self._guard.stdin, self._guard.stdout):
            assert pipe is not None
            pipe.close()

    def _order(self, order: dict[str, object]) -> dict[str, object]:
        assert self._guard.stdin is not None
        self._guard.stdin.write(json.dumps(order).encode() + b"\n")
        self._guard.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, object]:
        assert self._guard.stdout is not None
        line = self._guard.stdout.readline()
        answer: dict[str, object] = json.loads(line) if line else {"error": "the guard ended"}
        if "error" in answer:
            self.stop()
            raise ProcessFailed(str(answer["error"]))
        return answer


def runs(pid: int) -> bool:
    """Whether this process is there. A zombie is not, unless it has threads that are: they still hold its ports."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def stop(folder: Path) -> bool:
    """End what runs in `folder`, whoever started it, and wait until it is gone; whether anything ran."""
    try:
        lock = (folder / "guard.lock").open("r")
    except FileNotFoundError:
        return False
    with lock:
        if free(lock.fileno()):
            return False
        guard = int(lock.read())
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.kill(guard, number)
            until = time.monotonic() + STOP
            while time.monotonic() < until:
                if not runs(guard):
                    return True
                time.sleep(0.02)
    raise ProcessFailed(f"process {guard}, the guard of {folder}, does not end")


def free(lock: int) -> bool:
    """Whether nobody holds the lock; then it is ours, until it is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
