"""The compiler as the verbs use it: with the engine schemas that come with the package."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reconciler.desired import Desired, Remembered

if TYPE_CHECKING:
    from reconciler.repo.snapshot import Snapshot


class Compiler:
    """kinds: another type of target in the place of a declared one, as `compile_declarations` has it."""

    def __init__(self, kinds: Mapping[str, str] | None = None) -> None:
        self._kinds = kinds or {}

    def __call__(self, snapshot: "Snapshot", remembered: Remembered) -> Desired:
        from reconciler.compile import compile_declarations  # not paid for where everything is compiled already
        from reconciler.engine_schemas import engine_schemas

        return compile_declarations(snapshot, remembered, engine_schemas(), self._kinds)
