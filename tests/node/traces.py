"""What a cluster is on this machine, so that one can see that it is gone."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.controlplane.processes import runs
from tools.node import Nodes
from tools.node.network import Plan

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Traces:
    """folder and device of a cluster, and its processes as they were when it ran: the pods' and those of both guards."""

    folder: Path
    device: str
    net: int
    processes: frozenset[int]

    @classmethod
    def of(cls, nodes: Nodes) -> "Traces":
        return cls.of_guards(nodes.cluster.folder, nodes.cluster.plan.net, [nodes.guard.guard, nodes.plane.processes.guard])

    @classmethod
    def of_guards(cls, folder: Path, net: int, guards: list[int]) -> "Traces":
        return cls(folder, Plan(net).device, net, frozenset(descendants(guards)))

    def left(self) -> dict[str, list[str]]:
        """What is still there of it, by kind; empty when nothing is."""
        found = {
            "processes": [str(pid) for pid in sorted(self.processes) if runs(pid)],
            "devices": [name for name in os.listdir("/sys/class/net") if name == self.device],
            "routes": [route for route in routes() if route.startswith((f"10.{self.net}.", f"10.{self.net + 1}."))],
            "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.folder) in line],
            "control groups": [str(group) for group in [*CGROUPS.glob(f"{self.device}-*"), *CGROUPS.glob(f"*/{self.device}-*")]],
            "disks": [str(path) for path in self.folder.glob("n*/data")],
        }
        return {kind: things for kind, things in found.items() if things}


def routes() -> list[str]:
    listed = subprocess.run(["ip", "-json", "-4", "route", "show", "table", "all"], capture_output=True, text=True, check=True).stdout
    return [route["dst"] for route in json.loads(listed)]


def named_namespaces() -> str:
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


def descendants(roots: list[int]) -> set[int]:
    parents = {int(entry): parent(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()}
    found = set(roots)
    while more := {pid for pid, its_parent in parents.items() if its_parent in found} - found:
        found |= more
    return found


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
