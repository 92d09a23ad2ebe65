"""What is bound late: addresses, attempts, drains that are over. Nothing holds these, and no digest has them."""

import pytest

from reconciler.change import Rebind
from reconciler.plan.binding import retry_delay
from reconciler.resource import Binding, LiveResource
from tests.fleet import (
    EAST,
    EDGE,
    NOW,
    WEST,
    desired,
    draining,
    endpoint,
    endpoints,
    live,
    plan,
    route,
    said,
    serving,
    work_key,
    workload,
    world,
)

A, W = work_key("a"), work_key("a", WEST)
REBIND = [f"rebind {EDGE}: Route/team-a/a"]


def knows(*addresses: str, drains: tuple[tuple[object, float], ...] = ()) -> LiveResource:
    """The route of `a` with what it knows of its backend."""
    return live(route("a"), binding=Binding(((A, addresses),), 0, drains))  # type: ignore[arg-type]


def offers(*addresses: str) -> LiveResource:
    return live(workload("a"), addresses=addresses)


def only(found: tuple[Rebind, ...]) -> Rebind:
    assert len(found) == 1
    return found[0]


def test_new_addresses_are_bound() -> None:
    found = plan(desired(*endpoint("a")), world(offers("h:2", "h:1"), knows("h:1")))

    assert said(found) == REBIND
    assert only(found.rebinds).binding.addresses == ((A, ("h:1", "h:2")),)
    assert only(found.rebinds).text == "replica addresses h:1 -> h:1, h:2"


@pytest.mark.parametrize("backend", [offers(), live(workload("a"), addresses=(), serving=serving(0))])
def test_a_known_set_is_never_replaced_by_an_empty_one(backend: LiveResource) -> None:
    assert said(plan(desired(*endpoint("a")), world(backend, knows("h:1")))) == []


def test_a_known_set_is_never_replaced_by_an_unread_one() -> None:
    found = plan(desired(*endpoint("a")), world(knows("h:1"), dark=[EAST]))

    assert not found.rebinds


def test_a_known_set_stays_when_the_backend_is_gone() -> None:
    found = plan(desired(*endpoint("a")), world(knows("h:1")))

    assert not found.rebinds, "its replicas may come back before anybody knows better"


def test_the_order_of_addresses_is_no_difference() -> None:
    found = plan(desired(*endpoint("a")), world(offers("h:2", "h:1"), knows("h:2", "h:1")))

    assert said(found) == []


@pytest.mark.parametrize("known", [Binding(), Binding(((A, ()),))], ids=["no entry", "an empty entry"])
def test_a_backend_without_addresses_is_no_difference(known: Binding) -> None:
    found = plan(desired(*endpoint("a")), world(offers(), live(route("a"), binding=known)))

    assert said(found) == []


def test_addresses_of_one_of_two_backends_change_and_the_other_keeps_its_own() -> None:
    both = route("a", A, W)
    known = live(both, binding=Binding(((A, ("h:1",)), (W, ("w:1",)))))
    found = plan(desired(workload("a"), workload("a", WEST), both), world(offers("h:2"), live(workload("a", WEST), addresses=()), known))

    assert only(found.rebinds).binding.addresses == ((A, ("h:2",)), (W, ("w:1",)))


HELD = [
    ("a guard", lambda: plan(desired(), world(offers("h:2"), knows("h:1")))),
    ("a waiting change of the same route", lambda: plan(desired(workload("a", WEST), route("a", W)), world(offers("h:2"), knows("h:1")))),
    ("its declaration does not validate", lambda: plan(desired(blocked="a"), world(offers("h:2"), knows("h:1")))),
    ("a rewound branch", lambda: plan(desired(workload("a"), route("a", timeout=5)), world(offers("h:2"), knows("h:1")), rewound="f" * 40)),
    ("no deletes at all", lambda: plan(desired(no_deletes="b.yaml does not parse"), world(offers("h:2"), knows("h:1")))),
]


@pytest.mark.parametrize("make", [row[1] for row in HELD], ids=[row[0] for row in HELD])
def test_addresses_are_bound_while_every_other_change_of_the_route_is_held(make: object) -> None:
    found = make()  # type: ignore[operator]

    assert only(found.rebinds).binding.addresses_of(A) == ("h:2",)


def test_a_route_that_is_written_anyway_takes_the_new_addresses_with_it() -> None:
    found = plan(desired(workload("a"), route("a", timeout=5)), world(offers("h:2"), knows("h:1")))

    assert said(found) == [f"update {EDGE}: Route/team-a/a"]
    assert found.changes[0].binding.addresses_of(A) == ("h:2",)  # type: ignore[union-attr]


def test_a_withdrawn_route_gets_no_addresses() -> None:
    found = plan(desired(*endpoints("x")), world(offers("h:2"), draining(route("a"), A), *endpoints("x")))

    assert not found.rebinds


def test_a_drain_that_is_over_is_forgotten() -> None:
    both = ((W, NOW - 31.0), (work_key("old", WEST), NOW - 5.0))
    seen = world(offers("h:1"), workload("a", WEST), workload("old", WEST), knows("h:1", drains=both))
    found = plan(desired(*endpoint("a"), workload("a", WEST), workload("old", WEST)), seen)

    assert only(found.rebinds).binding.drains == ((work_key("old", WEST), NOW - 5.0),)


def test_a_drain_whose_backend_is_gone_is_forgotten() -> None:
    found = plan(desired(*endpoint("a")), world(offers("h:1"), knows("h:1", drains=((W, NOW),))))

    assert only(found.rebinds).text == "drain is over"


def test_a_drain_whose_backend_cannot_be_read_goes_on() -> None:
    found = plan(desired(*endpoint("a")), world(offers("h:1"), knows("h:1", drains=((W, NOW),)), dark=[WEST]))

    assert not found.rebinds


@pytest.mark.parametrize(("attempt", "minutes"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (6, 30), (1000, 30), (100_000, 30)])
def test_retries_back_off(attempt: int, minutes: int) -> None:
    assert retry_delay(attempt) == minutes * 60


def gave_up(ago: float, attempt: int = 0) -> LiveResource:
    facts = serving(0, 1, gave_up=True, since=NOW - ago)
    return live(workload("a"), addresses=(), serving=facts, binding=Binding(attempt=attempt))


@pytest.mark.parametrize(
    ("ago", "attempt", "then"), [(59, 0, None), (60, 0, 1), (119, 1, None), (120, 1, 2), (1799, 9, None), (1800, 9, 10)]
)
def test_a_target_that_gave_up_is_asked_again_when_the_back_off_is_over(ago: float, attempt: int, then: int | None) -> None:
    found = plan(desired(workload("a")), world(gave_up(ago, attempt)))

    assert [one.binding.attempt for one in found.rebinds] == ([then] if then else [])


def test_a_retry_says_that_replicas_restart() -> None:
    assert only(plan(desired(workload("a")), world(gave_up(60))).rebinds).text.startswith("attempt 2: ")


@pytest.mark.parametrize("wanted", [desired(blocked="a"), desired(workload("a", command=["new"]))], ids=["blocked", "another manifest"])
def test_only_what_is_declared_now_is_retried(wanted: object) -> None:
    assert not plan(wanted, world(gave_up(3600))).rebinds  # type: ignore[arg-type]


def test_an_update_that_restarts_begins_to_count_anew() -> None:
    found = plan(desired(workload("a", command=["new"])), world(gave_up(3600, 5)))

    assert found.changes[0].binding.attempt == 0  # type: ignore[union-attr]


def test_an_update_in_place_keeps_the_count() -> None:
    found = plan(desired(workload("a", replicas=4)), world(gave_up(5, 5)))

    assert found.changes[0].binding.attempt == 5  # type: ignore[union-attr]


def test_others_addresses_are_never_bound() -> None:
    """A workload that is not ours stands where our backend should be: nobody sends our traffic there."""
    found = plan(desired(*endpoint("a")), world(live(workload("a"), mark=None, addresses=("evil:80",)), knows("h:1")))

    assert not found.rebinds


def test_a_withdrawn_route_keeps_its_clocks_while_its_delete_is_held() -> None:
    found = plan(desired(no_deletes="b.yaml"), world(workload("a"), draining(route("a"), A, since=NOW - 100)))

    assert not found.rebinds
