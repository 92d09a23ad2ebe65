"""The compiler as the verbs use it: with the engine schemas that come with the package, and a memory of its last answer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reconciler.desired import Desired, Remembered
from reconciler.repo.source import UNCOMMITTED

if TYPE_CHECKING:
    from reconciler.repo.snapshot import Snapshot


class Compiler:
    """The compiler, which remembers its last answer: a pass over the same commit and the same memory compiles nothing."""

    def __init__(self, kinds: Mapping[str, str] | None = None) -> None:
        self._kinds = kinds or {}
        self._last: tuple[str, Remembered, Desired] | None = None

    def __call__(self, snapshot: "Snapshot", remembered: Remembered) -> Desired:
        revision = snapshot.revision.id
        if self._last is not None and self._last[0] == revision != UNCOMMITTED and self._last[1] == remembered:
            return self._last[2]
        desired = self._compile(snapshot, remembered)
        self._last = (revision, remembered, desired)
        return desired

    def _compile(self, snapshot: "Snapshot", remembered: Remembered) -> Desired:
        from reconciler.compile import compile_declarations  # not paid for where everything is compiled already
        from reconciler.engine_schemas import engine_schemas

        return compile_declarations(snapshot, remembered, engine_schemas(), self._kinds)
