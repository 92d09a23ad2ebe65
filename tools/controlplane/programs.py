"""The programs of the control plane, built from the two Go modules beside this file into the user's cache.

The place in the cache is named by what decides their bytes: both go.mod and go.sum, the flags of the build, the version of Go. A program is
there whole or not at all (built elsewhere, then renamed), so an interrupted build leaves nothing that could be taken for one, and
the next goes on where it stopped. Builders wait for each other at a lock.

`go install program@version` is refused for Kubernetes and etcd (their own go.mod replace modules), hence modules of our own. Two, because
kwok wants newer libraries than this Kubernetes was tested with.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.environment import Building, StepFailed, cache_root

OLDEST_GO: Final = (1, 26)
MODULES: Final = Path(__file__).parent
BUILDING: Final = Building("controlplane")
# A build for this machine alone, of pinned sources alone, whose bytes do not depend on where it runs. No toolchain is fetched.
SETTINGS: Final = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false", "GOWORK": "off"}


class NotAvailable(Exception):
    """A part of the control plane is neither given nor to be made here; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """module: the folder beside this file; package: what `go build` is given; stamps: variables that hold the version."""

    module: str
    package: str
    stamps: Mapping[str, str]

    @property
    def link_flags(self) -> str:
        return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in self.stamps.items())])


def required(module: str, path: str) -> str:
    """The version that our go.mod asks for, as `v1.2.3`."""
    text = (MODULES / module / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", text, re.MULTILINE)
    assert found, f"{module}/go.mod does not require {path}"
    return found[1]


def kubernetes_stamps() -> dict[str, str]:
    """Unstamped it calls itself v0.0.0. Commit and date are those of no checkout, so that the bytes are the same twice."""
    version = required("kube", "k8s.io/kubernetes")
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    values |= {"gitCommit": "0" * 40, "buildDate": "2026-01-01T00:00:00Z"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return {f"{package}.{name}": value for package in packages for name, value in values.items()}


KUBERNETES: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
PROGRAMS: Final[Mapping[str, Program]] = {
    "etcd": Program("kube", "go.etcd.io/etcd/server/v3", {}),
    **{name: Program("kube", f"k8s.io/kubernetes/cmd/{name}", kubernetes_stamps()) for name in KUBERNETES},
    "kwok": Program("kwok", "sigs.k8s.io/kwok/cmd/kwok", {"sigs.k8s.io/kwok/pkg/consts.Version": required("kwok", "sigs.k8s.io/kwok")}),
}
# What `build` makes when it is not told what. kubelet and kube-proxy are for a real node, which asks for them.
CONTROL_PLANE: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


def folder() -> Path:
    """Where the programs stand in the cache, built or not. Raises NotAvailable without a Go that could build them."""
    return cache_root() / f"controlplane-{key(go_version())}"


def key(go: Sequence[str]) -> str:
    """Changes with everything that decides the bytes of a program."""
    files = [(MODULES / module / name).read_text() for module in ("kube", "kwok") for name in ("go.mod", "go.sum")]
    flags = [f"{name} {program.package} {program.link_flags}" for name, program in PROGRAMS.items()]
    what = [*files, *flags, *(f"{name}={value}" for name, value in SETTINGS.items()), *go]
    return hashlib.sha256("\0".join(what).encode()).hexdigest()[:16]


def environment() -> dict[str, str]:
    return os.environ | SETTINGS


def go_version() -> tuple[str, str, str]:
    """Version, system and machine of the Go that builds: `go1.26.8`, `linux`, `amd64`. Raises NotAvailable."""
    try:
        command = ["go", "env", "-json", "GOVERSION", "GOOS", "GOARCH"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise NotAvailable("no `go` on PATH") from None
    except subprocess.CalledProcessError as error:
        raise NotAvailable(f"`go env` fails: {error.stderr.strip()}") from None
    said = json.loads(done.stdout)
    version: str = said["GOVERSION"]
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_GO:
        raise NotAvailable(f"{version} is too old")
    return version, said["GOOS"], said["GOARCH"]


def build(names: Sequence[str] = CONTROL_PLANE) -> Path:
    """The folder in the cache that has these programs, each built first if need be. Raises NotAvailable."""
    place = folder()
    if all((place / name).exists() for name in names):
        return place
    with BUILDING.only_one(place.with_name(place.name + ".lock")):
        missing = [name for name in names if not (place / name).exists()]
        for number, name in enumerate(missing, 1):
            make(name, place, f"building {name} ({number} of {len(missing)})")
    return place


def make(name: str, place: Path, what: str) -> None:
    """Build one program at `place`. The caller holds the lock, so a scratch folder that is there is a dead builder's."""
    place.mkdir(parents=True, exist_ok=True)
    for dead in place.glob(f".{name}-*"):
        shutil.rmtree(dead, ignore_errors=True)
    log, program = place / f"{name}.log", PROGRAMS[name]
    # A folder of a new name: the `go` of a builder that was killed may still be writing into the old one.
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=place) as scratch:
        part = Path(scratch) / name
        step(what, ["go", "build", "-ldflags", program.link_flags, "-o", str(part), program.package], MODULES / program.module, log)
        part.rename(place / name)
    log.unlink()


def step(what: str, command: Sequence[str], where: Path, log: Path, building: Building = BUILDING) -> None:
    """One step of the building, with Go's settings. Raises NotAvailable when it fails."""
    try:
        building.step(what, command, log, where=where, environment=environment())
    except StepFailed as error:
        raise NotAvailable(str(error)) from None
