"""The control groups below which a node puts its pods: `/knNET-<node>` in every hierarchy, made before kubelet starts and gone after it.

Version 1 (one hierarchy per controller) is what this was tried on. Version 2 (one for all) needs its controllers handed down from the root.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
CONTROLLERS: Final = ("cpu", "cpuset", "memory", "pids")  # version 2
PATIENCE: Final = 10.0  # seconds for the kernel to finish with killed processes


def unified() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def folders(name: str) -> list[Path]:
    """Its folder in every hierarchy. In version 1 some have a second name, and one may be of version 2, without controllers."""
    tops = [ROOT] if unified() else sorted(top for top in ROOT.iterdir() if top.is_dir() and not top.is_symlink())
    return [top / name for top in tops]


def make(name: str) -> None:
    """Removes what a killed cluster may have left under this name first."""
    remove(name)
    if unified():
        (ROOT / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in CONTROLLERS))
    for folder in folders(name):
        folder.mkdir()
    if not unified():
        for setting in ("cpuset.cpus", "cpuset.mems"):  # version 1 starts them empty, and then nothing may run there
            (ROOT / "cpuset" / name / setting).write_text((ROOT / "cpuset" / setting).read_text())


def remove(name: str) -> None:
    """Everything below, as soon as nothing runs there any more; what still has a process after PATIENCE is left."""
    until = time.monotonic() + PATIENCE
    while not all([_removed(folder) for folder in folders(name)]) and time.monotonic() < until:
        time.sleep(0.05)


def _removed(folder: Path) -> bool:
    for base, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(base)
    return not folder.exists()


def usable() -> bool:
    """Whether control groups can be made here."""
    return all(os.access(folder.parent, os.W_OK) for folder in folders("probe")) and bool(folders("probe"))


def processes(name: str, uid: str) -> list[int]:
    """What runs below this group in the pod with this UID."""
    top = ROOT / name if unified() else ROOT / "memory" / name
    found = {int(pid) for group in top.rglob(f"*pod{uid}/**/cgroup.procs") for pid in group.read_text().split()}
    return sorted(found)
