"""One node as one process: its own network, mount and PID namespaces, in which `box.sh` runs, and what is left of it taken away.

    python -m tools.node.box FOLDER INDEX       FOLDER has cluster.json, as `start.py` wrote it

The process to end is this one. However it ends, its node is switched off like a machine without power: the kernel sees to that. What the
kernel leaves, control groups and files, is removed by a child (the sweeper) that waits for nothing but our end. Both hold the lock of the
node, so whoever has it next finds nothing of us.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final

from tools.node import cgroups, network
from tools.node.cluster import Cluster
from tools.node.files import NodeFiles

SCRIPT: Final = Path(__file__).with_name("box.sh")
# A PID namespace ends with its first process, which ends with `unshare`, which ends with us.
BOX: Final = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"),
    *("bash", str(SCRIPT)),
)
PATIENCE: Final = 5.0  # seconds


def main() -> None:
    cluster, index = Cluster.read(Path(sys.argv[1])), int(sys.argv[2])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    files = cluster.files(index)
    with files.alone():
        sweeper, life = fork_sweeper(files)
        try:
            cgroups.make(files.cgroup)
            files.empty_disk()
            run(cluster, index)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.close(life)
            os.waitpid(sweeper, 0)


def end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def fork_sweeper(files: NodeFiles) -> tuple[int, int]:
    """Its process, and the pipe by whose end it sees ours. It holds the lock as we do; nothing that we start gets either."""
    waits, life = os.pipe()
    sweeper = os.fork()
    if sweeper == 0:
        try:
            os.close(life)
            os.setsid()
            os.read(waits, 1)
            cgroups.remove(files.cgroup)
            files.remove_disk()
        finally:
            os._exit(0)
    os.close(waits)
    return sweeper, life


def run(cluster: Cluster, index: int) -> None:
    """Until the node ends, or we are to end."""
    with subprocess.Popen(BOX, env=cluster.environment(index), stdin=subprocess.DEVNULL) as box:
        try:
            network.wait_for_namespace(box.pid)
            network.plug(cluster.plan, cluster.switch, index, box.pid, range(cluster.nodes))
            box.wait()
        finally:
            first = first_process(box.pid)
            box.kill()
            wait_gone(first)


def first_process(pid: int) -> int | None:
    """The one child of `unshare`: the first process of the PID namespace."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None
    return None


def wait_gone(pid: int | None) -> None:
    """A first process is gone only when everything in its namespace is."""
    until = time.monotonic() + PATIENCE
    while pid is not None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX":
                time.sleep(0.02)
                continue
        return


if __name__ == "__main__":
    main()
