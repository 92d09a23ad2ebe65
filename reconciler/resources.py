"""The files that come with the package: `schemas/...` and `templates/...`, the same way from a checkout and from a wheel.

In a checkout `reconciler/_data/` holds links to the two folders at the top; in a wheel their content is packed there. A name may come
from a repo (`builtin:engines/...`), so it cannot lead out of them.
"""

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

DATA: Final = Path(__file__).with_name("_data")


def _inside(name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise FileNotFoundError(name)
    return DATA / path


@cache
def text(name: str) -> str:
    """The content of `schemas/engines/llama.cpp.json`, say. Raises FileNotFoundError, also for a name that leads elsewhere."""
    return _inside(name).read_text(encoding="utf-8")


@cache
def listing(folder: str) -> tuple[str, ...]:
    """Names of the files right in a folder, sorted. Raises FileNotFoundError."""
    return tuple(sorted(entry.name for entry in _inside(folder).iterdir() if entry.is_file()))
