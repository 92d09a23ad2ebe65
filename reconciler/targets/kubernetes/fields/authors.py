"""Who else writes to an object of ours, as its managedFields tell: of a field that differs, and of fields that we do not declare.

Both are for people: a difference is shown with its author, an addition is listed and left alone. Nothing is decided by them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.resource import Json, Manifest, pointer
from reconciler.targets.kubernetes.fields.fieldset import Fields, Items, Members, Names, Opaque, fields_of, with_key
from reconciler.targets.kubernetes.fields.fieldwalk import MISSING, is_list, key_in
from reconciler.targets.kubernetes.fields.owned import APPLY

if TYPE_CHECKING:
    from reconciler.targets.kubernetes.shapes import ManagedFields

Path: TypeAlias = tuple[str | int, ...]
NO_ADDITIONS: Final = frozenset({"metadata", "status"})  # where controllers and people write as a matter of course


@dataclass(frozen=True, slots=True)
class Author:
    """time: RFC 3339, "" if the server does not say; when this manager last changed anything of the object."""

    manager: str
    operation: str
    time: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        """As people read it: `kubectl-edit at 2026-01-01T00:00:00Z`."""
        through = f" through {self.subresource}" if self.subresource else ""
        return f"{self.manager}{through}" + (f" at {self.time}" if self.time else "")


def writers(wanted: Manifest, view: Manifest, entries: Iterable["ManagedFields"], manager: str) -> dict[str, Author]:
    """Who wrote the live value of a field that differs: JSON pointer into either of the two -> the last to own it, besides our applies.

    view: what `projection.live_view` made. Fields that nobody owns any more (taken away by their last owner) have no author.
    """
    newest = sorted((entry for entry in entries if not _is_ours(entry, manager)), key=lambda entry: entry.time or "", reverse=True)
    sets = [(_author(entry), fields_of(bytes(entry.fields_v1))) for entry in newest]
    found: dict[str, Author] = {}
    for path in _differing(view, wanted, ()):
        author = next((author for author, fields in sets if _holds(fields, path, wanted, view)), None)
        if author is not None:
            found[pointer(path)] = author
    return found


def last_writer(entries: Iterable["ManagedFields"]) -> Author | None:
    """Who wrote the object last, its status aside; None where the server says nothing."""
    written = max((entry for entry in entries if entry.subresource != "status"), key=lambda entry: entry.time or "", default=None)
    return _author(written) if written is not None else None


def additions(
    live: Mapping[str, Json], entries: Iterable["ManagedFields"], manager: str, allowed: Collection[str] = ()
) -> tuple[tuple[str, Author], ...]:
    """Fields that others own and we do not, beside metadata and status: JSON pointer into the live object, at the topmost of them.

    allowed: managers whose business it is. What was written through a subresource (an autoscaler's replicas) is no addition.
    """
    entries = tuple(entries)
    ours = _applied(entries, manager)
    found: set[tuple[str, Author]] = set()
    for entry in entries:
        if not (entry.subresource or entry.manager in allowed or _is_ours(entry, manager)):
            paths = _beyond(fields_of(bytes(entry.fields_v1)), ours, live)
            found |= {(pointer(path), _author(entry)) for path in paths if path[0] not in NO_ADDITIONS}
    return tuple(sorted(found, key=lambda one: (one[0], one[1].time, str(one[1]))))


def _author(entry: "ManagedFields") -> Author:
    return Author(entry.manager, entry.operation, entry.time or "", entry.subresource)


def _is_ours(entry: "ManagedFields", manager: str) -> bool:
    """A plain write under our name is not ours."""
    return entry.manager == manager and entry.operation == APPLY and not entry.subresource


def _applied(entries: Iterable["ManagedFields"], manager: str) -> Names:
    """What we own, whatever the apiVersion at which we applied it."""
    ours = next((entry for entry in entries if _is_ours(entry, manager)), None)
    return fields_of(bytes(ours.fields_v1)) if ours is not None else Names({})


def _beyond(theirs: Fields, ours: Fields, live: Json) -> Iterator[Path]:
    """Topmost paths of a set that are there and of which we own nothing."""
    for step, field, value in _below(theirs, live):
        mine = _in(ours, step, value)
        if mine is None:
            yield (step,)
        else:
            yield from ((step, *path) for path in _beyond(field, mine, value))


def _below(fields: Fields, live: Json) -> Iterator[tuple[str | int, Fields, Json]]:
    """Members of a set that are there, and where."""
    if isinstance(fields, Names) and isinstance(live, Mapping):
        yield from ((name, field, live[name]) for name, field in fields.below.items() if name in live)
    elif isinstance(fields, Items) and is_list(live):
        keyed = ((index, key_in(item, fields), item) for index, item in enumerate(live))
        yield from ((index, fields.below[key], item) for index, key, item in keyed if key in fields.below)
    elif isinstance(fields, Members) and is_list(live):
        yield from ((index, fields, value) for index, value in enumerate(live) if value in fields.values)


def _in(ours: Fields, step: str | int, value: Json) -> Fields | None:
    """What we own of a member of something of ours. Below an empty map of ours we own nothing."""
    if isinstance(ours, Names):
        return ours.below.get(str(step))
    if isinstance(ours, Items):
        return ours.below.get(key_in(value, ours))
    return ours if isinstance(ours, Opaque) or (isinstance(ours, Members) and value in ours.values) else None


def _differing(view: Json, wanted: Json, path: Path) -> Iterator[Path]:
    """Every path at which a comparison of the two may say that they differ."""
    if isinstance(view, Mapping) and isinstance(wanted, Mapping):
        for name in {**view, **wanted}:
            yield from _differing(view.get(name, MISSING), wanted.get(name, MISSING), (*path, name))
    elif is_list(view) and is_list(wanted):
        if view != wanted and not any(isinstance(item, Mapping) for item in (*view, *wanted)):
            yield from ((*path, index) for index in range(max(len(view), len(wanted))))  # such lists are not compared index by index
            return
        for index in range(max(len(view), len(wanted))):
            yield from _differing(_step(view, index), _step(wanted, index), (*path, index))
    elif view != wanted:
        yield path


def _holds(fields: Fields, path: Path, wanted: Json, view: Json) -> bool:
    """Does the set have this path, something below it, or the value in which it lies?"""
    for step in path:
        wanted, view = _step(wanted, step), _step(view, step)
        if isinstance(fields, Names):
            below = fields.below.get(str(step))
        elif isinstance(fields, Items):
            below = fields.below.get(key_in(view, fields)) or fields.below.get(key_in(with_key(wanted), fields))
        else:
            return True
        if below is None:
            return False
        fields = below
    return True


def _step(value: Json, step: str | int) -> Json:
    if isinstance(value, Mapping):
        return value.get(str(step), MISSING)
    return value[step] if is_list(value) and isinstance(step, int) and step < len(value) else MISSING
