"""One cluster of nodes as a value, and as the file by which its processes know it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.node.build import Programs
from tools.node.files import NodeFiles
from tools.node.network import Plan

FILE = "cluster.json"


@dataclass(frozen=True, slots=True)
class Cluster:
    """folder: everything of it. switch: the process whose network namespace joins the nodes. reserved: what pods do not get of a node."""

    folder: Path
    plan: Plan
    switch: int
    nodes: int
    programs: Programs
    reserved: Mapping[str, str]

    @property
    def kubelets(self) -> Path:
        """The authority that kubelets and their callers trust. Not the API server's: each checks the other by its own."""
        return self.folder / "kubelets"

    @property
    def mirror(self) -> Path:
        """The folder in which containerd finds our registry for every registry."""
        return self.folder / "mirror"

    @property
    def names(self) -> Path:
        """The file of what the registry has."""
        return self.folder / "images.json"

    @property
    def proxy(self) -> Path:
        return self.folder / "proxy.kubeconfig"

    def files(self, index: int) -> NodeFiles:
        return NodeFiles(self.folder / f"n{index}", self.plan, index, self.kubelets, self.mirror, self.reserved)

    def environment(self, index: int) -> dict[str, str]:
        """What `box.sh` is told."""
        files = self.files(index)
        libraries = self.programs.libraries
        return {
            "NODE": files.name,
            "ADDRESS": self.plan.node(index),
            "PODS": self.plan.all_pods,
            "FILES": str(files.folder),
            "DATA": str(files.data),
            "SOCKET": str(files.socket),
            "KUBELET": str(self.programs.kubelet),
            "KUBE_PROXY": str(self.programs.kube_proxy),
            "PROXY": str(self.proxy),
            "PATH": self.programs.path,
            "LD_LIBRARY_PATH": str(libraries),
            "XTABLES_LIBDIR": str(libraries / "xtables"),
            "GOMEMLIMIT": "512MiB",
            "LANG": "C.UTF-8",
        }

    def read_names(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.names.read_text())
        return found

    def write_names(self, names: Mapping[str, str]) -> None:
        """The registry may read at any time."""
        part = self.names.with_suffix(".part")
        part.write_text(json.dumps(dict(names), indent=1))
        part.replace(self.names)

    def write(self) -> None:
        value = {
            "net": self.plan.net,
            "switch": self.switch,
            "nodes": self.nodes,
            "reserved": dict(self.reserved),
            "programs": {name: str(getattr(self.programs, name)) for name in Programs.__dataclass_fields__},
        }
        (self.folder / FILE).write_text(json.dumps(value))

    @classmethod
    def read(cls, folder: Path) -> "Cluster":
        value = json.loads((folder / FILE).read_text())
        programs = Programs(**{name: Path(path) for name, path in value["programs"].items()})
        return cls(folder, Plan(value["net"]), value["switch"], value["nodes"], programs, value["reserved"])
