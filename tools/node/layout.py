"""Images without an engine and without a registry: an OCI image layout, in which everything is a blob under its digest.

A layer is made once for its key (everything that decides its bytes) and then found by it; manifests and configurations are so small that
they are made again every time. So images share layers, and a change of one file of ours costs one small layer. Layers are not compressed:
they travel between two processes of one machine.
"""

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.environment import Building, cache_root

BUILDING: Final = Building("node images")
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
ARCHITECTURE: Final = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


class Layer:
    """A tar archive that is written in one go. A path that is there already is left as it is; parent folders come by themselves."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._seen: set[str] = set()

    def _new(self, path: str, mode: int) -> tarfile.TarInfo | None:
        path = path.strip("/")
        if not path or path in self._seen:
            return None
        self.folder(path.rpartition("/")[0])
        self._seen.add(path)
        entry = tarfile.TarInfo(path)
        entry.mode = mode
        return entry

    def folder(self, path: str, mode: int = 0o755) -> None:
        if entry := self._new(path, mode):
            entry.type = tarfile.DIRTYPE
            self._tar.addfile(entry)

    def data(self, path: str, data: bytes, mode: int = 0o644) -> None:
        if entry := self._new(path, mode):
            entry.size = len(data)
            self._tar.addfile(entry, io.BytesIO(data))

    def link(self, path: str, to: str) -> None:
        if entry := self._new(path, 0o777):
            entry.type, entry.linkname = tarfile.SYMTYPE, to
            self._tar.addfile(entry)

    def file(self, source: Path, path: str) -> None:
        """A copy of a file: links are followed, times and owners are left behind, so that the same files make the same bytes."""
        facts = source.stat()
        if entry := self._new(path, 0o755 if facts.st_mode & 0o100 else 0o644):
            entry.size = facts.st_size
            with source.open("rb") as content:
                self._tar.addfile(entry, content)

    def tree(self, source: Path, path: str) -> None:
        """Every file below a folder."""
        for base, folders, files in os.walk(source):
            folders.sort()
            for name in sorted(files):
                if (full := Path(base, name)).exists():
                    self.file(full, f"{path}/{full.relative_to(source)}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """key: changes with everything that decides the layer's bytes. fill: writes it."""

    key: str
    fill: Callable[[Layer], None]


@dataclass(frozen=True, slots=True)
class Image:
    """Layers, the lowest first, and the `config` of the image (Entrypoint, Env, User)."""

    layers: tuple[Recipe, ...]
    config: Mapping[str, object]


def key_of(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


class Store:
    """The layout's folder: `blobs/sha256/<hex>`, and `layers/<key>` with the digest of the layer that was made for a key."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_root() / "node-images"
        self.blobs = self.root / "blobs" / "sha256"

    def put(self, image: Image) -> str:
        """Make what is missing of an image. Returns the digest of its manifest."""
        layers = [self._layer(recipe) for recipe in image.layers]
        rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
        config = {"architecture": ARCHITECTURE, "os": "linux", "config": dict(image.config), "rootfs": rootfs}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self._json(CONFIG, config), "layers": layers}
        return str(self._json(MANIFEST, manifest)["digest"])

    def _json(self, kind: str, value: object) -> dict[str, object]:
        data = json.dumps(value, sort_keys=True).encode()
        name = hashlib.sha256(data).hexdigest()
        if not (self.blobs / name).exists():
            self.blobs.mkdir(parents=True, exist_ok=True)
            part = self.blobs / f".{name}.{os.getpid()}"
            part.write_bytes(data)
            part.replace(self.blobs / name)
        return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(data)}

    def _layer(self, recipe: Recipe) -> dict[str, object]:
        known = self.root / "layers" / recipe.key
        if self._made(known) is None:
            known.parent.mkdir(parents=True, exist_ok=True)
            with BUILDING.only_one(known.with_name(f".{recipe.key}.lock")):
                if self._made(known) is None:
                    self._fill(recipe, known)
        name = known.read_text()
        return {"mediaType": LAYER, "digest": f"sha256:{name}", "size": (self.blobs / name).stat().st_size}

    def _made(self, known: Path) -> str | None:
        """The blob that was made for a key; None when there is none, or somebody has removed it."""
        name = known.read_text() if known.exists() else ""
        return name if name and (self.blobs / name).exists() else None

    def _fill(self, recipe: Recipe, known: Path) -> None:
        """Write the layer, then its blob's name: who finds the name finds the whole blob. The caller holds the lock."""
        self.blobs.mkdir(parents=True, exist_ok=True)
        part = self.blobs / f".{recipe.key}"
        with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
            recipe.fill(Layer(tar))
        with part.open("rb") as made:
            name = hashlib.file_digest(made, "sha256").hexdigest()
        part.replace(self.blobs / name)
        scratch = known.with_name(f".{recipe.key}.part")
        scratch.write_text(name)
        scratch.replace(known)
