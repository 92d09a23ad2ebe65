"""The live object in the shape of the wanted manifest: what the plan compares, and so what a person reads as the difference.

    live value           the field is ours and has another value, or somebody else's value stands where we want ours
    left out             it is not there, or has our value and is not ours any more (somebody changed it and put it back): absent -> value
    live value, extra    it is ours and not wanted any more: value -> absent. null where it is not even there
    wanted value         it is ours and equal: in another spelling of a quantity, as a zero that the server leaves out, with defaults inside

Items of lists that have keys stand where the wanted list has them, with `{}` in the place of one that is not there, so that an index means
the same item on both sides; what is to go stands behind. In another order live, they stay in that order, and that is the difference.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.resource import Json, Manifest, parts_of
from reconciler.targets.kubernetes.fields.fieldset import Fields, Items, Members, Names, Trail, leaf, shape_of, with_key
from reconciler.targets.kubernetes.fields.fieldwalk import MISSING, Decision, compare, is_list, key_in, places_of, unclaimed, vanishes
from reconciler.targets.kubernetes.fields.owned import GOING_AWAY, OWNED_BY_NOBODY, STRIPPED, Owned, is_typed, verdict

LEFT_OUT: Final = "\x00left out"  # no JSON of an API server can hold a NUL


def live_view(wanted: Manifest, live: Mapping[str, Json], owned: Owned, *, settled: bool = False) -> Manifest:
    """Equal to `wanted` if and only if the verdict is NOOP. settled: or if it is UNSURE, because a dry run said that nothing would change.

    What differs is shown and nothing else: beside a field that differs for certain, doubtful ones count as equal.
    """
    found = verdict(wanted, live, owned)
    if found.decision is Decision.NOOP or (settled and found.decision is Decision.UNSURE):
        return wanted
    view = _View(is_typed(wanted), found.decision is Decision.UNSURE).whole(wanted, live, owned.fields or Names({}))
    if found.path == GOING_AWAY:
        view["metadata"] = {**_mapping(view.get("metadata")), "deletionTimestamp": _mapping(live["metadata"])["deletionTimestamp"]}
    return view if view != wanted else _without(wanted, parts_of(found.path))


def _without(wanted: Manifest, path: Sequence[str]) -> dict[str, Json]:
    """The manifest without the value at that path; what decided and has no value of its own is shown as absent."""
    if not path or path[0] not in wanted:
        return {}
    below = wanted[path[0]]
    rest = {name: value for name, value in wanted.items() if name != path[0]}
    if len(path) > 1 and isinstance(below, Mapping):
        return {**rest, path[0]: _without(below, path[1:])}
    return rest


@dataclass(frozen=True, slots=True)
class _View:
    """typed: a built-in kind. strict: doubtful fields are what differs, so they are shown as they are."""

    typed: bool
    strict: bool

    def whole(self, wanted: Manifest, live: Mapping[str, Json], fields: Names) -> dict[str, Json]:
        """Identity is taken as it is wanted: it is why the two were put side by side."""
        view: dict[str, Json] = {name: wanted[name] for name in wanted if name in OWNED_BY_NOBODY}
        metadata = _mapping(wanted.get("metadata"))
        body = {**wanted, "metadata": {name: value for name, value in metadata.items() if name not in STRIPPED}}
        members = self._members_of({name: value for name, value in body.items() if name not in OWNED_BY_NOBODY}, live, fields, ())
        identity = {name: value for name, value in metadata.items() if name in STRIPPED}
        return {**view, **members, "metadata": {**identity, **_mapping(members.get("metadata"))}}

    def _value(self, wanted: Json, live: Json, fields: Fields | None, trail: Trail) -> Json:
        """One field that is wanted. fields: None where nothing of it is ours."""
        if live == MISSING:
            return wanted if self._counts_as_there(wanted, fields) else LEFT_OUT
        shape = shape_of(wanted, trail) if fields is None else fields
        if isinstance(shape, Names) and isinstance(wanted, Mapping) and isinstance(live, Mapping):
            view = self._members_of(wanted, live, shape, trail)
            return view if view or fields is not None else LEFT_OUT
        if isinstance(shape, Items) and is_list(wanted) and is_list(live):
            return self._items(wanted, live, shape, trail) or ([] if fields is not None else LEFT_OUT)
        if isinstance(shape, Members) and is_list(live):
            return [member for member in live if member in shape.values]
        return self._one(wanted, live, fields, trail)

    def _counts_as_there(self, wanted: Json, fields: Fields | None) -> bool:
        """A zero of ours that is left out when it is stored; a list that is empty either way."""
        return not self.strict and (vanishes(wanted) if fields is not None else unclaimed(wanted))

    def _one(self, wanted: Json, live: Json, fields: Fields | None, trail: Trail) -> Json:
        """One value without members that are owned one by one."""
        if fields is None:
            same = not wanted or compare(wanted, live, leaf(trail, atomic=True), self.typed) is None
            return (wanted if unclaimed(wanted) and not self.strict else LEFT_OUT) if same else live
        found = compare(wanted, live, fields, self.typed)
        if found is None or (found.decision is Decision.UNSURE and not self.strict):
            return wanted
        return live if live != wanted else LEFT_OUT

    def _members_of(self, wanted: Mapping[str, Json], live: Mapping[str, Json], fields: Names, trail: Trail) -> dict[str, Json]:
        view: dict[str, Json] = {}
        for name, want in wanted.items():
            value = self._value(want, live.get(name, MISSING), fields.below.get(name), (*trail[-2:], name))
            if value != LEFT_OUT:
                view[name] = value
        for name, field in fields.below.items():
            if name not in wanted:
                view[name] = _ours(live.get(name, MISSING), field)
        return view

    def _items(self, wanted: Sequence[Json], live: Sequence[Json], items: Items, trail: Trail) -> list[Json]:
        places = places_of(live, items)
        keys = [key_in(with_key(item), items) for item in wanted]
        view = [
            self._value(wanted[index], live[places[keys[index]][0]], items.below.get(keys[index]), trail)
            if keys[index] in places
            else LEFT_OUT
            for index in _order(keys, places)
        ]
        view += _to_go(live, places, keys, items)
        while view and view[-1] == LEFT_OUT:
            view.pop()
        return [{} if value == LEFT_OUT else value for value in view]


def _order(keys: Sequence[Json], places: Mapping[Json, Sequence[int]]) -> Sequence[int]:
    """The order in which wanted items are shown: as they are wanted; if they stand otherwise live, as they stand."""
    there = [index for index, key in enumerate(keys) if key in places]
    by_place = sorted(there, key=lambda index: places[keys[index]][0])
    return range(len(keys)) if by_place == there else by_place


def _to_go(live: Sequence[Json], places: Mapping[Json, Sequence[int]], keys: Sequence[Json], items: Items) -> Iterator[Json]:
    """Items that an apply would take away: ours and not wanted any more, and all but one of those that are there twice."""
    for key, field in items.below.items():
        first, *more = places.get(key, [-1])
        if key not in keys and first >= 0:
            yield _ours(live[first], field)
        yield from (live[index] for index in more)


def _ours(live: Json, fields: Fields) -> Json:
    """What of a live value is ours: it is shown because it is to go."""
    if live == MISSING:
        return None
    if isinstance(fields, Names) and isinstance(live, Mapping):
        return {name: _ours(live[name], field) for name, field in fields.below.items() if name in live}
    if isinstance(fields, Items) and is_list(live):
        kept = ((item, fields.below.get(key_in(item, fields))) for item in live)
        return [_ours(item, field) for item, field in kept if field is not None]
    if isinstance(fields, Members) and is_list(live):
        return [member for member in live if member in fields.values]
    return live


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
