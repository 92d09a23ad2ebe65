"""What a guard holds: the specification of serving-checklist 8.1 and of the rules about acknowledgements, as tables."""

import string
from dataclasses import replace

import pytest

from reconciler.change import Plan, Reason
from reconciler.desired import Guards
from reconciler.plan.guards import allowed
from reconciler.plan.operations import identity
from reconciler.plan.situation import Spent
from reconciler.resource import Resource
from tests.fleet import (
    EDGE,
    HEAD,
    NOWHERE,
    WEST,
    api_key,
    desired,
    draining,
    endpoint,
    endpoints,
    owner_of,
    plan,
    route,
    work_key,
    workload,
    world,
)

TEN = tuple(string.ascii_lowercase[:10])


def owners(*names: str) -> frozenset[str]:
    return frozenset(map(owner_of, names))


def guarded(found: Plan) -> set[str]:
    """Names of endpoints and keys of which something is held by a guard."""
    return {held.change.key.name for held in found.held if held.change and held.reason is Reason.GUARD}


def rules(found: Plan) -> list[str]:
    return [trip.rule for trip in found.trips]


def without(*names: str, of: tuple[str, ...] = TEN) -> tuple[Resource, ...]:
    return endpoints(*(name for name in of if name not in names))


@pytest.mark.parametrize(
    ("share", "total", "may"),
    [
        (0.20, 10, 2),
        (0.20, 14, 2),
        (0.20, 15, 3),  # as floats 0.2 x 15 is a little more or less than 3
        (0.20, 4, 1),  # one may always go
        (0.20, 1, 1),
        (0.20, 0, 1),
        (0.0, 100, 1),
        (0.07, 100, 7),  # 7.000000000000001
        (0.29, 100, 29),  # 28.999999999999996
        (1.0, 7, 7),
    ],
)
def test_how_many_a_share_allows(share: float, total: int, may: int) -> None:
    assert allowed(share, total) == may


@pytest.mark.parametrize(
    ("alive", "gone", "held"),
    [
        (TEN, "ab", ""),
        (TEN, "abc", "abc"),  # a third holds all three
        (TEN[:3], "a", ""),  # one of three may always go
        (TEN[:3], "ab", "ab"),
        (TEN[:5], "a", ""),
        (TEN[:5], "ab", "ab"),
        (TEN, "abcdefgh", "abcdefgh"),
    ],
    ids=lambda value: "".join(value) or "none",
)
def test_deletes_are_counted_in_endpoints(alive: tuple[str, ...], gone: str, held: str) -> None:
    found = plan(desired(*without(*gone, of=alive)), world(*endpoints(*alive)))

    assert guarded(found) == set(held)
    assert rules(found) == (["deletes"] if held else [])


def test_the_text_of_a_trip_says_how_many_of_how_many() -> None:
    found = plan(desired(*without("a", "b", "c")), world(*endpoints(*TEN)))

    assert found.trips[0].text == "3 of 10 endpoints would be deleted or paused, 2 are allowed (20%)"
    assert found.trips[0].owners == tuple(sorted(owners("a", "b", "c")))


def test_a_tripped_guard_holds_only_the_changes_of_its_kind() -> None:
    wanted = [one for one in without("a", "b", "c", "d") if one.key != work_key("e")]
    found = plan(desired(*wanted, workload("e", replicas=2), *endpoint("new")), world(*endpoints(*TEN)))

    assert guarded(found) == {"a", "b", "c", "d"}
    assert {op.key.name for op in found.changes} == {"e", "new"}


def test_a_pause_counts_as_a_delete() -> None:
    paused = [route(name, *NOWHERE) for name in "abc"]
    found = plan(desired(*without("a", "b", "c"), *paused, asleep="abc"), world(*endpoints(*TEN)))

    assert rules(found) == ["deletes"]
    assert guarded(found) == set("abc")
    assert not found.changes, "the routes of held pauses keep their backends"


def test_deletes_and_pauses_count_together() -> None:
    found = plan(desired(*without("a", "b", "c"), route("c", *NOWHERE), asleep="c"), world(*endpoints(*TEN)))

    assert guarded(found) == set("abc")


def moved(name: str) -> tuple[Resource, Resource]:
    return workload(name, WEST), route(name, work_key(name, WEST))


@pytest.mark.parametrize(("moving", "held"), [("abcde", ""), ("abcdef", "abcdef")])
def test_a_migration_counts_as_a_restart(moving: str, held: str) -> None:
    wanted = (*without(*moving), *(part for name in moving for part in moved(name)))
    found = plan(desired(*wanted), world(*endpoints(*TEN)))

    assert rules(found) == (["restarts"] if held else [])
    assert guarded(found) == set(held)


@pytest.mark.parametrize(("changing", "held"), [("abcde", ""), ("abcdef", "abcdef")])
def test_half_of_the_endpoints_may_restart(changing: str, held: str) -> None:
    wanted = [one for one in endpoints(*TEN) if not (one.key.name in changing and one.key.kind == "Workload")]
    found = plan(desired(*wanted, *(workload(name, command=["other"]) for name in changing)), world(*endpoints(*TEN)))

    assert guarded(found) == set(held)


def test_changes_in_place_are_not_counted() -> None:
    found = plan(desired(*(workload(name, replicas=3) for name in TEN), *(route(name) for name in TEN)), world(*endpoints(*TEN)))

    assert not found.trips
    assert len(found.changes) == 10


def test_protecting_everything_restarts_nothing() -> None:
    wanted = [part for name in TEN for part in (workload(name, protect=True), route(name))]
    found = plan(desired(*wanted), world(*endpoints(*TEN)))

    assert not found.trips
    assert {op.effects.kind for op in found.changes} == {"in place"}  # type: ignore[union-attr]


@pytest.mark.parametrize(("gone", "held"), [("ab", ""), ("abc", "abc")])
def test_keys_have_a_limit_of_their_own(gone: str, held: str) -> None:
    keys = [api_key(name) for name in TEN]
    left = [api_key(name) for name in TEN if name not in gone]
    found = plan(desired(*endpoint("e"), *left), world(*endpoint("e"), *keys))

    assert guarded(found) == set(held)
    assert rules(found) == (["keys"] if held else [])


def test_keys_do_not_use_up_what_endpoints_may() -> None:
    keys = [api_key(name) for name in TEN]
    found = plan(desired(*without("a", "b"), *keys[2:]), world(*endpoints(*TEN), *keys))

    assert not found.trips
    assert len(found.changes) == 4  # two routes are withdrawn, two keys go; the workloads wait


def test_an_empty_repo_is_held_whatever_the_share() -> None:
    found = plan(desired(guards=Guards(max_deletes=1.0)), world(*endpoint("only")), applied_guards=Guards(max_deletes=1.0))

    assert rules(found) == ["empty"]
    assert guarded(found) == {"only"}


def test_a_repo_whose_last_declaration_is_broken_is_not_empty() -> None:
    found = plan(desired(blocked="a"), world(*endpoints("a", "b")))

    assert rules(found) == []


def test_a_rewound_branch_holds_everything() -> None:
    wanted = (workload("a", replicas=2), route("a"), *endpoint("new"))
    found = plan(desired(*wanted), world(*endpoint("a")), rewound="f" * 40)

    assert rules(found) == ["rewound"]
    assert not found.changes
    assert {held.reason for held in found.held} == {Reason.GUARD}


def test_a_rewound_branch_that_changes_nothing_is_no_trip() -> None:
    assert not plan(desired(*endpoint("a")), world(*endpoint("a")), rewound="f" * 40).trips


def test_without_history_nothing_is_deleted_and_the_rest_goes_on() -> None:
    wanted = (*without("a"), *endpoint("new"))
    found = plan(desired(*wanted), world(*endpoints(*TEN)), applied="")

    assert rules(found) == ["history"]
    assert guarded(found) == {"a"}
    assert {op.key.name for op in found.changes} == {"new"}


def test_without_history_keys_stay_too() -> None:
    found = plan(desired(*endpoint("e")), world(*endpoint("e"), api_key("a")), applied="")

    assert guarded(found) == {"a"}


@pytest.mark.parametrize(
    ("now", "before", "held"),
    [
        (Guards(max_deletes=1.0), Guards(max_deletes=0.2), True),  # a commit cannot lift a guard and use that
        (Guards(max_deletes=0.2), Guards(max_deletes=1.0), True),  # a stricter one counts at once
        (Guards(max_deletes=0.3), Guards(max_deletes=0.3), False),
        (Guards(max_deletes=0.3), None, True),  # until one was applied whole, the defaults are it
    ],
)
def test_the_stricter_of_the_applied_and_the_new_settings_counts(now: Guards, before: Guards | None, held: bool) -> None:
    found = plan(desired(*without("a", "b", "c"), guards=now), world(*endpoints(*TEN)), applied_guards=before)

    assert bool(found.trips) is held


def test_one_revision_cannot_delete_in_slices() -> None:
    spent = Spent(HEAD, deletes=owners("x", "y"))
    found = plan(desired(*without("a")), world(*endpoints(*TEN)), spent=spent)

    assert guarded(found) == {"a"}
    assert found.trips[0].text.startswith("3 of 12 endpoints would be deleted or paused (2 of them already at this revision)")


def test_what_is_being_deleted_is_not_counted_twice() -> None:
    spent = Spent(HEAD, deletes=owners("a", "b"))
    seen = world(*without("a", "b"), workload("a"), draining(route("a"), work_key("a"), since=0), workload("b"))
    found = plan(desired(*without("a", "b")), seen, spent=spent)

    assert not found.trips
    assert {op.key.name for op in found.changes} == {"a", "b"}


def test_what_began_at_an_earlier_revision_is_finished() -> None:
    """Two drain since the last revision; this one deletes two others, and all four go on."""
    spent = Spent(HEAD, begun=owners("a", "b"))
    found = plan(desired(*without("a", "b", "c", "d")), world(*endpoints(*TEN)), spent=spent)

    assert not found.trips


def test_an_emptied_repo_finishes_what_began_before() -> None:
    spent = Spent(HEAD, begun=owners("a"))

    assert not plan(desired(), world(workload("a")), spent=spent).trips


def test_the_trailer_with_the_digest_lets_exactly_this_plan_through() -> None:
    held = plan(desired(*without("a", "b", "c")), world(*endpoints(*TEN)))
    found = plan(desired(*without("a", "b", "c")), world(*endpoints(*TEN)), trailers=frozenset({held.digest}))

    assert not guarded(found)
    assert {op.key for op in found.changes} == {route(name).key for name in "abc"}
    assert len(found.acknowledged) == 6


@pytest.mark.parametrize("trailer", ["sha256:" + "0" * 64, "", "all"])
def test_another_trailer_lets_nothing_through(trailer: str) -> None:
    found = plan(desired(*without("a", "b", "c")), world(*endpoints(*TEN)), trailers=frozenset({trailer}))

    assert guarded(found) == set("abc")


def test_an_acknowledged_plan_that_has_grown_is_held_again() -> None:
    held = plan(desired(*without("a", "b", "c")), world(*endpoints(*TEN)))
    found = plan(desired(*without("a", "b", "c", "d")), world(*endpoints(*TEN)), trailers=frozenset({held.digest}))

    assert guarded(found) == set("abcd")


def test_an_acknowledgement_lasts_for_its_revision() -> None:
    """Later passes have smaller plans with other digests, and may do any part of what was acknowledged."""
    first = plan(desired(*without("a", "b", "c")), world(*endpoints(*TEN)))
    recorded = frozenset(map(identity, first.operations))
    left = [part for name in "ab" for part in (workload(name), draining(route(name), work_key(name), since=0))]
    seen = world(*without("a", "b", "c"), *left)
    found = plan(desired(*without("a", "b", "c")), seen, acknowledged=recorded)

    assert found.digest != first.digest
    assert not found.held
    assert len(found.changes) == 4


def test_an_acknowledgement_covers_the_manifest_that_was_shown() -> None:
    """The restarts of one manifest were acknowledged; another manifest at the same keys was not."""

    def changed(word: str) -> tuple[Resource, ...]:
        return tuple(part for name in TEN for part in (workload(name, command=[word]), route(name)))

    recorded = frozenset(map(identity, plan(desired(*changed("x")), world(*endpoints(*TEN))).operations))
    assert not plan(desired(*changed("x")), world(*endpoints(*TEN)), acknowledged=recorded).held
    assert len(plan(desired(*changed("y")), world(*endpoints(*TEN)), acknowledged=recorded).held) == 10


def test_an_acknowledgement_answers_a_rewind_and_an_empty_repo() -> None:
    for wanted, given in ((desired(*endpoint("a")), {"rewound": "f" * 40}), (desired(), {})):
        seen = world(*endpoints("a", "b"))
        held = plan(wanted, seen, **given)
        found = plan(wanted, seen, trailers=frozenset({held.digest}), **given)
        assert held.trips
        assert not [one for one in found.held if one.reason is Reason.GUARD]


def test_guards_look_at_the_whole_plan_before_anything_waits() -> None:
    """All three routes drain already at a revision that is over; nothing could run now, and still the guard speaks."""
    seen = world(*without("a", "b", "c"), *(workload(n) for n in "abc"), *(draining(route(n), work_key(n)) for n in "abc"))

    assert guarded(plan(desired(*without("a", "b", "c")), seen)) == set("abc")


def test_a_target_that_cannot_be_read_does_not_make_the_fleet_smaller_and_its_endpoints_go() -> None:
    found = plan(desired(*without("a", "b")), world(*endpoints(*TEN), dark=[EDGE]))

    assert not found.changes
    assert replace(found, held=()).trips == ()
