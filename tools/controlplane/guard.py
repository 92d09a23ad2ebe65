"""Keeps the processes of one control plane, and lets none of them outlive it. The standard library alone, run as a program of its own.

    python -I -S guard.py FOLDER PARENT        orders on standard input, one JSON line each, and one JSON line in answer

It ends when it is told to (SIGTERM), when its standard input ends, and when PARENT is no longer its parent: also a parent that was killed,
or whose pipe a forked child still holds, leaves nothing behind. Its own end, even by SIGKILL, is the end of its children: each asked the
kernel to be killed then. That wish is bound to the *thread* that made the child, so it must be made here, where there is one thread only,
and not in the threads of a test. `keep` is the last order: from then on only SIGTERM ends it.

`guard.lock` in FOLDER is held as long as it lives, and holds its process id.
"""

import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

GRACE = 1.0  # seconds between SIGTERM and SIGKILL: an API server waits for its clients for up to a minute, and nothing here is kept
LOOK = 0.2  # seconds between two looks at the parent and at the children
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)

Children = dict[str, "subprocess.Popen[bytes]"]


def end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def die_with_guard() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def begin(order: dict[str, object], folder: Path, children: Children) -> dict[str, object]:
    """Start one process with its output in `<name>.log`. A name that is still running is stopped first."""
    name, command = str(order["name"]), order["command"]
    assert isinstance(command, list)
    if name in children:
        stop({name: children.pop(name)})
    try:
        with (folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_guard)
    except OSError as error:
        return {"error": str(error)}
    children[name] = child
    return {"pid": child.pid}


def stop(children: Children) -> None:
    """SIGTERM to all, and SIGKILL to those that are there after GRACE seconds. Returns when all are gone."""
    for child in children.values():
        child.terminate()
    until = time.monotonic() + GRACE
    for child in children.values():
        try:
            child.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
    for child in children.values():
        child.wait()


def serve(folder: Path, parent: int, children: Children) -> bool:
    """Answer orders until the input ends or the parent is gone; True when the children are to be kept without one."""
    with open(0, "rb", buffering=0, closefd=False) as orders:  # unbuffered: select() must see every line
        while os.getppid() == parent:
            readable, _, _ = select.select([orders], [], [], LOOK)
            reap(children)
            if not readable:
                continue
            line = orders.readline()
            if not line:
                break
            order = json.loads(line)
            print(json.dumps(begin(order, folder, children) if "command" in order else {}), flush=True)
            if "keep" in order:
                return True
    return False


def reap(children: Children) -> None:
    """A process that is gone must be seen to be gone."""
    for child in children.values():
        child.poll()


def main() -> None:
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    lock = (folder / "guard.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print(json.dumps({"error": f"a control plane runs in {folder} already"}), flush=True)
        return
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    children: Children = {}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    print(json.dumps({}), flush=True)
    try:
        kept = serve(folder, parent, children)
        while kept:
            time.sleep(LOOK)
            reap(children)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stop(children)


if __name__ == "__main__":
    main()
