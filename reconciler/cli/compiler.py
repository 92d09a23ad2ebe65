"""The compiler as the verbs use it: with the engine schemas that come with the package, and a memory of its last answer."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final, cast

from reconciler.compile import compile_declarations
from reconciler.desired import Desired, Remembered
from reconciler.repo.snapshot import Snapshot
from reconciler.repo.source import UNCOMMITTED
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


class Compiler:
    """The compiler, which remembers its last answer: a pass over the same commit and the same memory compiles nothing."""

    def __init__(self, kinds: Mapping[str, str] | None = None) -> None:
        self._compile = partial(compile_declarations, schemas=BuiltinSchemas(), kinds=kinds or {})
        self._last: tuple[str, Remembered, Desired] | None = None

    def __call__(self, snapshot: Snapshot, remembered: Remembered) -> Desired:
        revision = snapshot.revision.id
        if self._last is not None and self._last[0] == revision != UNCOMMITTED and self._last[1] == remembered:
            return self._last[2]
        desired = self._compile(snapshot, remembered)
        self._last = (revision, remembered, desired)
        return desired
