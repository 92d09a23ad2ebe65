"""The definitions of the custom kinds that we render, taken out of the Go modules that publish them, into the cache.

A module is pinned by the sum that Go computes over its content, checked here and not by a go.sum: none of its code is built. Only these
kinds: a test that a definition is absent, or that a cluster knows nothing of KEDA, must not be told otherwise by a stray one.
"""

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.controlplane.programs import BUILDING, NotAvailable, environment
from tools.environment import cache_root


@dataclass(frozen=True, slots=True)
class Published:
    """sum: what `go mod download -json` prints as Sum. member: the file inside the module."""

    module: str
    version: str
    sum: str
    member: str

    @property
    def file(self) -> str:
        return self.member.rpartition("/")[2]


PUBLISHED: Final = (
    Published(
        "sigs.k8s.io/lws",
        "v0.9.0",
        "h1:DcJCgxjjoGOx//QHZkeKpyiblxYq70aCRZNYSfykWyI=",
        "config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml",
    ),
    Published(
        "github.com/kedacore/keda/v2",
        "v2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        "config/crd/bases/keda.sh_scaledobjects.yaml",
    ),
    Published(
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
    ),
)


def folder() -> Path:
    text = "\0".join(part for one in PUBLISHED for part in (one.module, one.version, one.sum, one.member))
    return cache_root() / f"definitions-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def files() -> list[Path]:
    """One file per kind, downloaded on first use. Raises NotAvailable."""
    place = folder()
    found = [place / one.file for one in PUBLISHED]
    if not all(file.exists() for file in found):
        with BUILDING.only_one(place.with_name(place.name + ".lock")):
            for one in PUBLISHED:
                if not (place / one.file).exists():
                    fetch(one, place)
    return found


def fetch(one: Published, place: Path) -> None:
    """Put the file at `place`, whole or not at all."""
    BUILDING.say(f"downloading {one.module} {one.version} for {one.file}")
    place.mkdir(parents=True, exist_ok=True)
    part = place / f".{one.file}.part"
    shutil.copyfile(download(one, place) / one.member, part)
    part.rename(place / one.file)


def download(one: Published, where: Path) -> Path:
    """The module's folder in Go's own cache, if it is what we pinned. Raises NotAvailable."""
    # The sum database is not asked: it would say no more than the pin, and need one more host.
    settings = environment() | {"GOFLAGS": "", "GOSUMDB": "off"}
    command = ["go", "mod", "download", "-json", f"{one.module}@{one.version}"]
    try:
        done = subprocess.run(command, cwd=where, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NotAvailable("no `go` on PATH") from None
    said: dict[str, str] = json.loads(done.stdout) if done.stdout.strip() else {"Error": done.stderr.strip()}
    if "Error" in said:
        raise NotAvailable(f"{one.module} {one.version} could not be downloaded: {said['Error']}")
    if said["Sum"] != one.sum:
        raise NotAvailable(f"{one.module} {one.version} is not what was pinned: its sum is {said['Sum']}, not {one.sum}")
    return Path(said["Dir"])
