"""The programs of a node, in the user's cache: containerd built from the Go module beside this file, the rest out of Debian packages.

The packages are unpacked, never installed, in the versions that this machine's own apt offers and vouches for; containerd is not among
them because Debian's is older than this kubelet asks for. kubelet and kube-proxy come from the module of the control plane
(`tools.controlplane`), built beside its other programs. The place is named by what decides its content; each part of it appears whole or
not at all, and builders wait for each other at a lock.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.controlplane import assets, programs
from tools.controlplane.programs import NotAvailable
from tools.environment import Building, cache_root

HERE: Final = Path(__file__).parent
BUILDING: Final = Building("node")
CONTAINERD: Final = "github.com/containerd/containerd/v2"
STAMPED: Final = f"-s -w -X {CONTAINERD}/version.Version="
GO: Final[Mapping[str, tuple[str, str]]] = {  # program -> module beside this file, package
    "containerd": ("containerd", f"{CONTAINERD}/cmd/containerd"),
    "containerd-shim-runc-v2": ("containerd", f"{CONTAINERD}/cmd/containerd-shim-runc-v2"),
    "ctr": ("containerd", f"{CONTAINERD}/cmd/ctr"),
    "pause": ("pause", "."),
}
PACKAGES: Final = (
    "runc",
    "libseccomp2",
    "containernetworking-plugins",
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libxtables12",
    "busybox-static",
)
KUBERNETES: Final = ("kubelet", "kube-proxy")
CONTROL_PLANE: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
UNPACK: Final = 'for package in *.deb; do dpkg -x "$package" .; rm "$package"; done'
APT: Final = f"a node takes {', '.join(PACKAGES)} from Debian packages; use a machine with Debian or Ubuntu"


@dataclass(frozen=True, slots=True)
class Programs:
    """folder: what Go built. debian: the unpacked packages. kubelet, kube_proxy: files."""

    folder: Path
    debian: Path
    kubelet: Path
    kube_proxy: Path

    @property
    def path(self) -> str:
        """PATH inside a node: ours, then the machine's (`ip`, `mount`)."""
        unpacked = (self.debian / "usr" / "sbin", self.debian / "usr" / "bin", self.debian / "sbin", self.debian / "bin")
        return ":".join([*map(str, (self.folder, self.debian / "iptables", *unpacked)), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])

    @property
    def libraries(self) -> Path:
        return self.find("libxtables.so.12").parent

    @property
    def plugins(self) -> Path:
        """The folder of the CNI plug-ins."""
        return self.find("host-local").parent

    def find(self, name: str) -> Path:
        """A file out of the packages, wherever this release of Debian has it."""
        return next(file for file in sorted(self.debian.rglob(name)) if file.is_file())


def build() -> Programs:
    """Everything a node runs, built and unpacked first if need be. Raises NotAvailable with what to do."""
    kubernetes = assets.binaries(KUBERNETES)
    place = cache_root() / f"node-{key(programs.go_version())}"
    if not complete(place):
        with BUILDING.only_one(place.with_name(place.name + ".lock")):
            fill(place)
    return Programs(place, place / "debian", kubernetes["kubelet"], kubernetes["kube-proxy"])


def built() -> bool:
    """Whether nodes can start at once, nothing to be built; False too where nothing can be built."""
    try:
        compiled = [name for name in (*KUBERNETES, *CONTROL_PLANE) if not assets.given(name)]
        found = all((programs.folder() / name).exists() for name in compiled) if compiled else True
        return found and complete(cache_root() / f"node-{key(programs.go_version())}")
    except NotAvailable:
        return False


def complete(place: Path) -> bool:
    return all((place / name).exists() for name in (*GO, "debian"))


def key(go: tuple[str, str, str]) -> str:
    """Changes with everything here that decides what is built."""
    files = [path.read_text() for module in ("containerd", "pause") for path in sorted((HERE / module).glob("*.*"))]
    what = [*files, *PACKAGES, *go, STAMPED, UNPACK, *(f"{name}={value}" for name, value in programs.SETTINGS.items())]
    return hashlib.sha256("\0".join(what).encode()).hexdigest()[:16]


def fill(place: Path) -> None:
    """The caller holds the lock, so a part that is not whole is a dead one."""
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "debian").exists():
        unpack(place / "debian")
    for name in GO:
        if not (place / name).exists():
            compile_one(name, place)


def compile_one(name: str, place: Path) -> None:
    module, package = GO[name]
    part, log = place / f".{name}.part", place / f"{name}.log"
    flags = STAMPED + version()
    programs.step(f"building {name}", ["go", "build", "-ldflags", flags, "-o", str(part), package], HERE / module, log, BUILDING)
    part.rename(place / name)
    log.unlink()


def version() -> str:
    """Of containerd, as our go.mod pins it."""
    lines = (HERE / "containerd" / "go.mod").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.split()[:1] == [CONTAINERD] and len(line.split()) > 1)


def unpack(place: Path) -> None:
    """Download the packages and unpack them at `place`, whole or not at all. Raises NotAvailable."""
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise NotAvailable(f"no `{tool}` on PATH: {APT}")
    scratch, log = place.with_name(".debian.part"), place.with_name("debian.log")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        programs.step("downloading Debian packages", ["apt-get", "download", *PACKAGES], scratch, log, BUILDING)
    except NotAvailable as error:
        raise NotAvailable(f"{error}\n  if it does not find them: `apt-get update` first") from None
    programs.step("unpacking Debian packages", ["sh", "-ec", UNPACK], scratch, log, BUILDING)
    legacy_iptables(scratch)
    log.unlink()
    scratch.rename(place)


def legacy_iptables(unpacked: Path) -> None:
    """The names by which kube-proxy calls it; a package's own are made when it is installed."""
    folder = unpacked / "iptables"
    folder.mkdir()
    for family in ("iptables", "ip6tables"):
        for verb in ("", "-save", "-restore"):
            (folder / f"{family}{verb}").symlink_to("../usr/sbin/xtables-legacy-multi")
