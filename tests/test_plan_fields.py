"""Which fields of two manifests differ: the same that deepdiff finds in the whole, looked for only where they do."""

import random

import pytest
from deepdiff import DeepDiff

from reconciler.change import ABSENT, FieldChange
from reconciler.plan.fields import field_changes
from reconciler.resource import Json, Manifest, pointer

WORDS = ("a", "b/c", "d~e", "spec", "0")


def some(dice: random.Random, depth: int) -> Json:
    kind = dice.choice(("leaf", "leaf", "map", "list")) if depth else "leaf"
    if kind == "map":
        return {name: some(dice, depth - 1) for name in dice.sample(WORDS, dice.randint(0, 4))}
    if kind == "list":
        return [some(dice, depth - 1) for _ in range(dice.randint(0, 3))]
    return dice.choice((None, "x", "y", 2, 3, 2.5, 3.0))


def changed(dice: random.Random, value: Json, depth: int) -> Json:
    if dice.random() < 0.15:
        return some(dice, depth)
    if isinstance(value, dict):
        kept = {name: changed(dice, one, depth - 1) for name, one in value.items() if dice.random() < 0.9}
        return kept | ({"new": some(dice, 1)} if dice.random() < 0.1 else {})
    if isinstance(value, list):
        return [changed(dice, one, depth - 1) for one in value if dice.random() < 0.9] + ([some(dice, 1)] if dice.random() < 0.1 else [])
    return value


def by_deepdiff(old: Manifest, new: Manifest) -> tuple[FieldChange, ...]:
    tree = DeepDiff(old, new, view="tree", ignore_numeric_type_changes=True, threshold_to_diff_deeper=0)
    found = {
        pointer(level.path(output_format="list")): (
            ABSENT if kind.endswith("added") else level.t1,
            ABSENT if kind.endswith("removed") else level.t2,
        )
        for kind, levels in tree.items()
        for level in levels
    }
    return tuple(FieldChange(path, *sides) for path, sides in sorted(found.items()))


@pytest.mark.parametrize("seed", range(300))
def test_they_are_those_of_the_whole(seed: int) -> None:
    dice = random.Random(seed)
    old: dict[str, Json] = {name: some(dice, 4) for name in WORDS}
    new: dict[str, Json] = {name: changed(dice, one, 4) for name, one in old.items() if dice.random() < 0.9}

    assert field_changes(old, new) == by_deepdiff(old, new)


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        ({"a": 5}, {"a": 5.0}, []),
        ({"a": [5]}, {"a": [5.0], "b": 1}, [("/b", ABSENT, 1)]),
        ({"a": {}}, {"a": {"b": None}}, [("/a/b", ABSENT, None)]),
        ({"a": {"b": 1}}, {"a": [1]}, [("/a", {"b": 1}, [1])]),
        ({"a": ["x", "y"]}, {"a": ["x", "z"]}, [("/a/1", "y", "z")]),
        ({"a": ["x"]}, {"a": ["x", {"b": 1}]}, [("/a/1", ABSENT, {"b": 1})]),
        ({"a": [{"b": {"c": 1, "d": 2}}]}, {"a": [{"b": {"c": 1, "d": 3}}]}, [("/a/0/b/d", 2, 3)]),
    ],
)
def test_by_example(old: Manifest, new: Manifest, fields: list[tuple[str, Json, Json]]) -> None:
    assert field_changes(old, new) == tuple(FieldChange(*one) for one in fields)
