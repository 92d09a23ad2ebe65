"""A manifest that is kept packed behaves as the one that was packed."""

from typing import Final

import pytest

from reconciler.packed import Packed
from reconciler.plan.fields import field_changes
from reconciler.resource import Manifest

DEEP: Final[Manifest] = {"spec": {"replicas": 2, "rate": 2.5, "list": [1, None, {"x": True}], "text": "ä"}, "kind": "Deployment"}
OTHER: Final[Manifest] = {**DEEP, "kind": "Service"}


def test_it_reads_as_what_was_packed() -> None:
    packed = Packed.of(DEEP)

    assert dict(packed) == DEEP
    assert (packed["kind"], packed.get("none"), list(packed), len(packed), "spec" in packed) == ("Deployment", None, list(DEEP), 2, True)
    assert repr(packed) == repr(DEEP)


def test_what_is_packed_is_not_packed_again() -> None:
    packed = Packed.of(DEEP)

    assert Packed.of(packed) is packed


@pytest.mark.parametrize("same", [DEEP, Packed.of(DEEP), dict(reversed(DEEP.items())), Packed.of(dict(reversed(DEEP.items())))])
def test_equal_is_what_reads_as_the_same(same: Manifest) -> None:
    assert Packed.of(DEEP) == same
    assert same == Packed.of(DEEP)
    assert field_changes(same, Packed.of(DEEP)) == ()


@pytest.mark.parametrize("other", [OTHER, Packed.of(OTHER), {}, None])
def test_another_is_not(other: object) -> None:
    assert Packed.of(DEEP) != other
    assert other != Packed.of(DEEP)


def test_differences_are_those_of_what_it_reads_as() -> None:
    assert field_changes(Packed.of(DEEP), Packed.of(OTHER)) == field_changes(DEEP, OTHER)
