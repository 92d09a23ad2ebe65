"""One wanted value against the live one, and against what our field set says of it: the walk behind `owned.verdict`.

None is no change. Otherwise a Finding says where and why; the first that DIFFERS ends the walk, and an UNSURE one waits for a worse.
The rules are those of structured-merge-diff (`typed/merge.go`, `typed/tofieldset.go`) at 1.36.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, TypeGuard

from reconciler.resource import Json
from reconciler.targets.kubernetes import quantity
from reconciler.targets.kubernetes.fields.fieldset import Fields, Items, Leaf, Members, Names, Opaque, Trail

MISSING: Final = "\x00missing"  # no JSON of an API server can hold a NUL
_SCALARS: Final = frozenset({str, int, bool})


class Decision(StrEnum):
    NOOP = "no change"
    DIFFERS = "differs"
    UNSURE = "ask the server"


class Finding(NamedTuple):
    """Not NOOP, and where, seen from the value that was looked at."""

    decision: Decision
    why: str
    path: tuple[str | int, ...] = ()


def compare(wanted: Json, live: Json, fields: Fields, typed: bool) -> Finding | None:
    """One value that is there, against what our set says of it. None: no change."""
    match fields:
        case Names():
            return walk_names(wanted, live, fields, typed)
        case Leaf():
            return _leaf(wanted, live, fields, typed)
        case Items():
            return _items(wanted, live, fields, typed)
        case Members():
            return _members(wanted, live, fields)
        case Opaque():
            return Finding(Decision.UNSURE, "is owned in a way that only the server can read")


def missing(wanted: Json) -> Finding:
    """A value of ours that is not in the live object. Built-in kinds leave zeros out when they are stored."""
    if vanishes(wanted):
        return Finding(Decision.UNSURE, "is not there, but a zero may be left out")
    return Finding(Decision.DIFFERS, "is not there")


def vanishes(value: Json) -> bool:
    """Is it a zero, or a map of nothing but zeros?"""
    return not value or (is_map(value) and all(vanishes(below) for below in value.values()))


def unclaimed(value: Json) -> bool:
    """Is there nothing in it that a field set names? So it is with an empty list whose items would be owned one by one."""
    return value == [] or (is_map(value) and value != {} and all(unclaimed(below) for below in value.values()))


def _at(step: str | int, found: Finding) -> Finding:
    return Finding(found.decision, found.why, (step, *found.path))


def walk_names(wanted: Json, live: Json, fields: Names, typed: bool) -> Finding | None:
    if not is_map(wanted) or not is_map(live):
        return Finding(Decision.DIFFERS, "is another kind of value")
    below = fields.below
    doubt = None if wanted.keys() == below.keys() else _claims(wanted, below)
    if doubt is not None and doubt.decision is Decision.DIFFERS:
        return doubt
    for name, field in below.items():
        want, have = wanted[name], live.get(name, MISSING)
        if field.__class__ is Leaf and want.__class__ in _SCALARS and want.__class__ is have.__class__ and want == have:
            continue  # nearly always, so it is worth a line
        found = missing(want) if have is MISSING else compare(want, have, field, typed)
        if found is not None:
            if found.decision is Decision.DIFFERS:
                return _at(name, found)
            doubt = doubt or _at(name, found)
    return doubt


def _claims(wanted: Mapping[str, Json], below: Mapping[str, Fields]) -> Finding:
    """The names are not those that we own: one that we gave up, or one that we do not own yet."""
    for name in below:
        if name not in wanted:
            return Finding(Decision.DIFFERS, "is ours and not wanted any more", (name,))
    added = [name for name in wanted if name not in below]
    claimed = next((name for name in added if not unclaimed(wanted[name])), None)
    if claimed is not None:
        return Finding(Decision.DIFFERS, "is wanted and not ours", (claimed,))
    return Finding(Decision.UNSURE, "is an empty list, which nobody can own", (added[0],))


def _items(wanted: Json, live: Json, fields: Items, typed: bool) -> Finding | None:
    if not is_list(wanted) or not is_list(live):
        return Finding(Decision.DIFFERS, "is another kind of value")
    keys = [key_in(item, fields) for item in wanted]
    if len(keys) != len(fields.below):
        added = next(((index,) for index, key in enumerate(keys) if key not in fields.below), ())
        return Finding(Decision.DIFFERS, "has other items than we own", added)
    if MISSING in keys:
        return Finding(Decision.UNSURE, "lacks a part of its key, which has a default", (keys.index(MISSING),))
    places = places_of(live, fields)
    doubt, last = None, -1
    for index, key in enumerate(keys):
        found = _place(places.get(key), last, key in fields.below)
        if found is None:
            last = places[key][0]
            found = compare(wanted[index], live[last], fields.below[key], typed)
        if found is not None:
            if found.decision is Decision.DIFFERS:
                return _at(index, found)
            doubt = doubt or _at(index, found)
    return doubt


def _place(places: Sequence[int] | None, last: int, ours: bool) -> Finding | None:
    """An item must be ours, there, there once (an apply makes one of two), and behind the one before it."""
    if not ours:
        return Finding(Decision.DIFFERS, "is wanted and not ours")
    if not places:
        return Finding(Decision.DIFFERS, "is not there")
    if len(places) > 1:
        return Finding(Decision.DIFFERS, "is there more than once")
    return Finding(Decision.DIFFERS, "stands in another order") if places[0] <= last else None


def places_of(live: Sequence[Json], fields: Items) -> dict[Json, list[int]]:
    """Where each key stands in a live list."""
    places: dict[Json, list[int]] = {}
    for index, item in enumerate(live):
        places.setdefault(key_in(item, fields), []).append(index)
    return places


def key_in(item: Json, fields: Items) -> Json:
    """The key of an item, or a value that is no key."""
    try:
        key = fields.key_of(item) if is_map(item) else MISSING
        hash(key)
    except (KeyError, TypeError):
        return MISSING
    return key


def _members(wanted: Json, live: Json, fields: Members) -> Finding | None:
    if not is_list(wanted) or not is_list(live):
        return Finding(Decision.DIFFERS, "is another kind of value")
    if len(wanted) != len(fields.values) or not all(member in fields.values for member in wanted):
        return Finding(Decision.DIFFERS, "has other members than we own")
    same = list(wanted) == [member for member in live if member in fields.values]
    return None if same else Finding(Decision.DIFFERS, "has other members, or another order")


def _leaf(wanted: Json, live: Json, field: Leaf, typed: bool) -> Finding | None:
    if wanted == {}:
        if live == {}:
            return None
        other = "has members of others" if is_map(live) else "is another kind of value"
        return Finding(Decision.UNSURE if is_map(live) else Decision.DIFFERS, other)
    found = _whole(wanted, live, field.trail, typed)
    if found is None and not field.atomic and is_map(wanted):
        return Finding(Decision.UNSURE, "is owned as a whole, or was empty when we last applied it")
    return found


def _whole(wanted: Json, live: Json, trail: Trail, typed: bool) -> Finding | None:
    """Two values that are owned as a whole."""
    if is_map(wanted):
        return _whole_map(wanted, live, trail, typed)
    if is_list(wanted):
        return _whole_list(wanted, live, trail, typed)
    return _scalar(wanted, live, typed and quantity.stands_at(trail))


def _whole_map(wanted: Mapping[str, Json], live: Json, trail: Trail, typed: bool) -> Finding | None:
    if not is_map(live):
        return Finding(Decision.DIFFERS, "is another kind of value")
    doubt = None if len(live) <= len(wanted) else Finding(Decision.UNSURE, "has more members than we wrote: defaults, or others'")
    for name, want in wanted.items():
        found = _whole(want, live[name], (*trail[-2:], name), typed) if name in live else missing(want)
        if found is not None:
            if found.decision is Decision.DIFFERS:
                return _at(name, found)
            doubt = doubt or _at(name, found)
    return doubt


def _whole_list(wanted: Sequence[Json], live: Json, trail: Trail, typed: bool) -> Finding | None:
    if not is_list(live) or len(wanted) != len(live):
        return Finding(Decision.DIFFERS, "is a list of another length")
    if wanted == live and all(item.__class__ is str for item in wanted):
        return None
    doubt = None
    for index, (want, have) in enumerate(zip(wanted, live, strict=True)):
        found = _whole(want, have, trail, typed)
        if found is not None:
            if found.decision is Decision.DIFFERS:
                return _at(index, found)
            doubt = doubt or _at(index, found)
    return doubt


def _scalar(wanted: Json, live: Json, amount: bool) -> Finding | None:
    """Equal value and type; whole and broken numbers by value. True is no 1, and "1" is no 1 except where a quantity stands.

    Another spelling of a quantity changes nothing, but it takes the field from others who own it too, and only the server sees those.
    """
    if wanted == live and isinstance(wanted, bool) == isinstance(live, bool):
        return None
    if not (wanted or live):
        return Finding(Decision.UNSURE, "is another kind of zero")
    if not amount:
        return Finding(Decision.DIFFERS, "has another value")
    try:
        same = quantity.canonical(str(wanted)) == quantity.canonical(str(live))
    except ValueError:
        return Finding(Decision.UNSURE, "is no quantity that we can read")
    return Finding(Decision.UNSURE, "is the same amount in another spelling") if same else Finding(Decision.DIFFERS, "has another value")


def is_list(value: Json) -> TypeGuard[Sequence[Json]]:
    return value.__class__ is list or (isinstance(value, Sequence) and not isinstance(value, str))


def is_map(value: Json) -> TypeGuard[Mapping[str, Json]]:
    return value.__class__ is dict or isinstance(value, Mapping)
