"""One writer per target on one box: a lock that the kernel lets go of when its holder dies, so none is ever stale."""

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import Busy, StateError


@dataclass(slots=True)
class Lock:
    """Held from `take` to `release`, or to the end of the process."""

    path: Path
    descriptor: int

    @classmethod
    def take(cls, path: Path, target: str, who: str) -> "Lock":
        """Raises Busy, naming the holder, when another process has it; StateError when the file cannot be made."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(f"the lock of {target} cannot be made", path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"who": who, "pid": os.getpid(), "since": time.time()}).encode(), 0)
        except BlockingIOError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise Busy(
                f"{target} is being written by {holder}",
                where=str(path),
                why="two writers on one target undo each other's work",
                todo="use `reconciler trigger` to make the running one pass now, or stop it first",
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise _unusable(f"the lock of {target} cannot be written", path, error) from error
        return cls(path, descriptor)

    def held(self) -> bool:
        """Still ours? A lock file that somebody removed or replaced no longer keeps others out."""
        try:
            ours, there = os.fstat(self.descriptor), os.stat(self.path)
        except OSError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def release(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _unusable(what: str, path: Path, error: OSError) -> StateError:
    return StateError(
        f"{what}: {error.strerror}",
        where=str(path),
        why="without its lock two writers could undo each other's work, so nothing is written",
        todo="free space or correct the rights, or name another folder with --state",
        code="S1",
    )


def _holder(descriptor: int) -> str:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found["since"]))
        return f"`reconciler {found['who']}` (pid {found['pid']}) since {since}"
    except (ValueError, KeyError, TypeError, OSError):
        return "another process"
