"""Which fields of two manifests differ, as JSON pointers."""

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from reconciler.change import ABSENT, FieldChange
from reconciler.packed import plain
from reconciler.resource import Json, Manifest, pointer

if TYPE_CHECKING:
    from deepdiff.model import DiffLevel


def field_changes(old: Manifest, new: Manifest) -> tuple[FieldChange, ...]:
    """Every difference, sorted by path; numbers that are equal are no difference (Ray turns 5 into 5.0)."""
    if old is new or old == new:
        return ()
    found = {change.path: change for change in _changes(plain(old), plain(new), "")}
    return tuple(sorted(found.values(), key=lambda change: change.path)) or (FieldChange("", old, new),)


def _changes(old: Json, new: Json, path: str) -> Iterator[FieldChange]:
    """Down to what differs by ourselves, since a manifest is large and little of it does. What became of a list is deepdiff's to say."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in old.keys() | new.keys():
            before, after = old.get(name, ABSENT), new.get(name, ABSENT)
            if before != after:
                yield from _changes(before, after, path + pointer([name]))
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
        tree = _differ()(old, new, view="tree", ignore_numeric_type_changes=True, threshold_to_diff_deeper=0)
        yield from _leaves(tree, path)
    else:
        yield FieldChange(path, old, new)


@cache
def _differ() -> "Callable[..., dict[str, list[DiffLevel]]]":
    """deepdiff, imported when the first list is found to differ: it takes 0.1 s, and most passes find none.

    Without numpy, which it loads where that happens to be installed: 0.1 s and 12 MiB for types that no manifest has.
    """
    there = "numpy" in sys.modules
    if not there:
        sys.modules["numpy"] = None  # type: ignore[assignment]  # how Python is told that there is none
    try:
        from deepdiff import DeepDiff
    finally:
        if not there:
            del sys.modules["numpy"]
    differ: Callable[..., dict[str, list[DiffLevel]]] = DeepDiff
    return differ


def _leaves(tree: "dict[str, list[DiffLevel]]", above: str) -> Iterator[FieldChange]:
    for kind, levels in tree.items():
        for level in levels:
            path = above + pointer(level.path(output_format="list"))
            yield FieldChange(path, _side(level.t1, kind, "added"), _side(level.t2, kind, "removed"))


def _side(value: Json, kind: str, missing: str) -> Json:
    return ABSENT if kind.endswith(missing) else value


def covers(pointers: tuple[str, ...], path: str) -> bool:
    """Is `path` one of `pointers`, or below one?"""
    return any(path == known or path.startswith(known + "/") for known in pointers)
