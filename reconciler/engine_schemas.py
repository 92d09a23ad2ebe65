"""The argument schemas that are shipped: `compile` is pure and gets them as a value."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final, cast

from reconciler.resource import Manifest
from reconciler.resources import listing, text

ENGINES: Final = "schemas/engines"
BUILTIN: Final = "builtin:engines/"


class BuiltinSchemas(Mapping[str, Manifest]):
    """Argument schemas of engines, by the name that an Engine gives them; each is parsed when it is first asked for."""

    def __init__(self) -> None:
        self._parsed: dict[str, Manifest] = {}

    def __getitem__(self, name: str) -> Manifest:
        if name not in self:
            raise KeyError(name)
        if name not in self._parsed:
            self._parsed[name] = cast(Manifest, json.loads(text(f"{ENGINES}/{name.removeprefix(BUILTIN)}")))
        return self._parsed[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.startswith(BUILTIN) and name.removeprefix(BUILTIN) in listing(ENGINES)

    def __iter__(self) -> Iterator[str]:
        return (BUILTIN + name for name in listing(ENGINES))

    def __len__(self) -> int:
        return len(listing(ENGINES))


@cache
def engine_schemas() -> Mapping[str, Manifest]:
    """`builtin:engines/llama.cpp-b11549.json` -> JSON Schema; one for the whole process."""
    return BuiltinSchemas()
