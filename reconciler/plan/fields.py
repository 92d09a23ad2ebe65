"""Which fields of two manifests differ, as JSON pointers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconciler.change import ABSENT, FieldChange
from reconciler.resource import Json, Manifest, pointer

if TYPE_CHECKING:
    from deepdiff.model import DiffLevel


def field_changes(old: Manifest, new: Manifest) -> tuple[FieldChange, ...]:
    """Every difference, sorted by path; numbers that are equal are no difference (Ray turns 5 into 5.0)."""
    if old == new:
        return ()
    # 0.2 s to import, and most passes find no difference
    from deepdiff import DeepDiff

    tree = DeepDiff(old, new, view="tree", ignore_numeric_type_changes=True, threshold_to_diff_deeper=0)
    found = sorted({change.path: change for change in _leaves(tree)}.values(), key=lambda change: change.path)
    return tuple(found) or (FieldChange("", old, new),)


def _leaves(tree: "dict[str, list[DiffLevel]]") -> Iterator[FieldChange]:
    for kind, levels in tree.items():
        for level in levels:
            path = pointer(level.path(output_format="list"))
            yield FieldChange(path, _side(level.t1, kind, "added"), _side(level.t2, kind, "removed"))


def _side(value: Json, kind: str, missing: str) -> Json:
    return ABSENT if kind.endswith(missing) else value


def covers(pointers: tuple[str, ...], path: str) -> bool:
    """Is `path` one of `pointers`, or below one?"""
    return any(path == known or path.startswith(known + "/") for known in pointers)
