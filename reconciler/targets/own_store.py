"""The reconciler's own store of secrets: what opens clusters and gateways. Never the store of the endpoints.

An entry is the environment variable `RECONCILER_SECRET_<NAME>[_<KEY>]`, or a file `<name>/<key>` (or `<name>`) below the folder that
RECONCILER_SECRETS names.
"""

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

FOLDER: Final = "RECONCILER_SECRETS"


@dataclass(frozen=True, slots=True)
class Entry:
    """text: the value, never printed. file: where it was read, None for a variable."""

    text: str = field(repr=False)
    file: Path | None = None


def variable_of(name: str, key: str = "") -> str:
    """`RECONCILER_SECRET_GPU_EAST_TOKEN` for name `gpu-east`, key `token`."""
    return "RECONCILER_SECRET_" + "_".join(part for part in (name, key) if part).upper().replace("-", "_").replace(".", "_")


def find(name: str, key: str, file: str) -> Entry | None:
    """The entry, or None. file: name of the file in the entry's folder where no key is given."""
    if text := os.environ.get(variable_of(name, key), "").strip():
        return Entry(text)
    folder = os.environ.get(FOLDER, "")
    for path in (Path(folder, name, key or file), Path(folder, name)) if folder else ():
        with contextlib.suppress(OSError):
            return Entry(path.read_text().strip(), path)
    return None
