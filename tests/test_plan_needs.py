"""What waits, and for what: backend before route, route off before backend off, drains, migration, pause."""

from dataclasses import replace

import pytest

from reconciler.change import Reason
from reconciler.resource import Binding, ReplicaState, Resource, ResourceKey
from tests.fleet import (
    AWAY,
    EAST,
    EDGE,
    NOW,
    NOWHERE,
    TARGETS,
    WEST,
    desired,
    draining,
    endpoint,
    endpoints,
    live,
    owner_of,
    plan,
    route,
    route_key,
    said,
    serving,
    why,
    work_key,
    workload,
    world,
)

OTHERS = endpoints("x", "y")  # so that no guard has a word in this
STARTING = serving(0)
A_EAST, A_WEST, A_ROUTE = f"{EAST}: Workload/team-a/a", f"{WEST}: Workload/team-a/a", f"{EDGE}: Route/team-a/a"


def test_a_new_endpoint_starts_before_its_route_opens() -> None:
    found = plan(desired(*endpoint("a"), *OTHERS), world(*OTHERS))

    assert said(found) == [f"waiting: create {A_ROUTE}", f"create {A_EAST}"]
    assert why(found) == f"waits for {A_EAST} to be created and to serve"


@pytest.mark.parametrize(
    ("facts", "opens"),
    [
        (serving(1, 1), True),
        (serving(1, 3), True),  # at least one replica
        (serving(0, 0), True),  # sleeps on purpose (ScaledDown)
        (serving(0, 2), False),
        (serving(1, 1, deleting=True), False),
        (serving(0, 1, gave_up=True, message="boot\ncannot open model.gguf"), False),
    ],
)
def test_a_new_need_gates(facts: object, opens: bool) -> None:
    found = plan(desired(*endpoint("a")), world(live(workload("a"), serving=facts)))

    assert said(found) == [f"create {A_ROUTE}" if opens else f"waiting: create {A_ROUTE}"]


def test_a_replica_that_serves_at_no_known_address_opens_no_route() -> None:
    """Its cluster says Ready a moment before it says where: a route that opened or moved now would lead nowhere."""
    found = plan(desired(*endpoint("a")), world(live(workload("a"), addresses=())))

    assert said(found) == [f"waiting: create {A_ROUTE}"]
    assert why(found) == f"waits for {A_EAST} to serve (1 of 1 replicas, no address yet)"


def test_what_waits_says_how_far_it_is_and_why_it_may_wait_long() -> None:
    seen = world(live(workload("a"), serving=serving(0, 2, gave_up=True, message="boot\ncannot open model.gguf")))

    assert why(plan(desired(*endpoint("a")), seen)) == f"waits for {A_EAST} to serve (0 of 2 replicas, cannot open model.gguf)"


def test_a_published_route_stays_when_its_backend_degrades_and_its_other_settings_change() -> None:
    seen = world(live(workload("a"), serving=STARTING, addresses=()), route("a"))
    found = plan(desired(workload("a"), route("a", timeout=600)), seen)

    assert said(found) == [f"update {A_ROUTE}"]
    assert found.changes[0].binding.addresses_of(work_key("a")) == ("gpu-east-a:80",)  # type: ignore[union-attr]


def test_a_withdrawn_route_needs_its_backend_anew() -> None:
    seen = world(live(workload("a"), serving=STARTING), draining(route("a"), work_key("a")))

    assert said(plan(desired(*endpoint("a")), seen)) == [f"waiting: update {A_ROUTE}"]


def test_a_withdrawn_route_that_is_declared_again_opens_again() -> None:
    seen = world(workload("a"), draining(route("a"), work_key("a")))

    assert said(plan(desired(*endpoint("a")), seen)) == [f"update {A_ROUTE}"]


def test_a_route_with_a_second_backend_waits_for_the_new_one_only() -> None:
    both = route("a", work_key("a"), work_key("a", WEST))
    seen = world(live(workload("a"), serving=STARTING), route("a"), live(workload("a", WEST), serving=STARTING))

    assert why(plan(desired(workload("a"), workload("a", WEST), both), seen)) == f"waits for {A_WEST} to serve (0 of 1 replicas)"


# What ends serving: first the route, then the drain, then the workload; passes in order.
DELETED = [
    ("published", (workload("a"), route("a")), [f"delete {A_ROUTE}", f"waiting: delete {A_EAST}"]),
    (
        "just withdrawn",
        (workload("a"), draining(route("a"), work_key("a"))),
        [f"waiting: delete {A_ROUTE}", f"waiting: delete {A_EAST}"],
    ),
    (
        "drained",
        (workload("a"), draining(route("a"), work_key("a"), since=NOW - 30)),
        [f"delete {A_ROUTE}", f"delete {A_EAST}"],
    ),
    ("backend gone before the drain was over", (draining(route("a"), work_key("a")),), [f"delete {A_ROUTE}"]),
    ("never published", (workload("a"),), [f"delete {A_EAST}"]),
]


@pytest.mark.parametrize(("seen", "lines"), [row[1:] for row in DELETED], ids=[row[0] for row in DELETED])
def test_a_delete_waits_for_the_route_and_then_for_the_drain(seen: tuple[Resource, ...], lines: list[str]) -> None:
    assert said(plan(desired(*OTHERS), world(*seen, *OTHERS))) == lines


def test_a_drain_says_how_long_it_takes() -> None:
    found = plan(desired(*OTHERS), world(workload("a"), draining(route("a"), work_key("a"), since=NOW - 18), *OTHERS))

    assert "drains for 12 s more" in why(found)
    assert "have 12 s more to finish" in why(found)


def test_the_drain_time_is_that_of_the_cluster() -> None:
    slow = {**TARGETS, EAST: replace(TARGETS[EAST], drain_seconds=300)}
    wanted = replace(desired(*OTHERS), targets=slow)

    assert "drains for 282 s more" in why(plan(wanted, world(workload("a"), draining(route("a"), work_key("a"), since=NOW - 18), *OTHERS)))


def test_a_backend_waits_for_every_route_that_uses_it() -> None:
    shared = route("b", work_key("a"), work_key("b"))
    found = plan(desired(workload("b"), shared, *OTHERS), world(workload("a"), workload("b"), shared, *OTHERS))

    assert f"waits for {EDGE}: Route/team-a/b to leave it" in why(found)


def test_an_unreadable_gateway_holds_deletes_of_its_backends() -> None:
    found = plan(desired(*OTHERS), world(workload("a"), *OTHERS, dark=[EDGE]))

    assert said(found) == [f"unreadable: delete {A_EAST}", f"unreadable: {EDGE}"]


def test_an_unreadable_gateway_that_binds_other_clusters_holds_nothing() -> None:
    targets = {**TARGETS, EDGE: replace(TARGETS[EDGE], binds=(WEST,))}
    found = plan(replace(desired(*OTHERS), targets=targets), world(workload("a"), *OTHERS, dark=[EDGE]), targets=targets)

    assert f"delete {A_EAST}" in said(found)


def test_an_unreadable_cluster_keeps_its_part_and_new_routes_to_it_wait() -> None:
    found = plan(desired(*endpoint("a"), *OTHERS), world(*OTHERS, dark=[EAST]))

    assert said(found) == [f"waiting: create {A_ROUTE}", f"unreadable: {EAST}"]
    assert f"waits for {A_EAST}: {EAST} cannot be read" in why(found)
    assert found.unreadable[0].problem == AWAY


def test_routes_to_an_unreadable_cluster_stay_as_they_are() -> None:
    assert said(plan(desired(*endpoint("a")), world(route("a"), dark=[EAST]))) == [f"unreadable: {EAST}"]


MOVED = (workload("a", WEST), route("a", work_key("a", WEST)))
MIGRATION = [
    ("nothing done yet", (*endpoint("a"),), [f"waiting: update {A_ROUTE}", f"waiting: delete {A_EAST}", f"create {A_WEST}"]),
    (
        "the copy starts",
        (*endpoint("a"), live(workload("a", WEST), serving=STARTING)),
        [f"waiting: update {A_ROUTE}", f"waiting: delete {A_EAST}"],
    ),
    ("the copy serves", (*endpoint("a"), workload("a", WEST)), [f"update {A_ROUTE}", f"waiting: delete {A_EAST}"]),
    (
        "the route has switched",
        (
            workload("a"),
            workload("a", WEST),
            live(MOVED[1], binding=Binding(((work_key("a", WEST), ("gpu-west-a:80",)),), 0, ((work_key("a"), NOW),))),
        ),
        [f"waiting: delete {A_EAST}"],
    ),
    (
        "the old copy has drained",
        (workload("a"), workload("a", WEST), live(MOVED[1], binding=Binding(((work_key("a", WEST), ("gpu-west-a:80",)),)))),
        [f"delete {A_EAST}"],
    ),
    ("there was no route, the copy starts", (workload("a"), live(workload("a", WEST), serving=STARTING)), None),
]


@pytest.mark.parametrize(("seen", "lines"), [row[1:] for row in MIGRATION], ids=[row[0] for row in MIGRATION])
def test_a_migration_creates_there_switches_drains_and_deletes_here(seen: tuple[Resource, ...], lines: list[str] | None) -> None:
    found = said(plan(desired(*MOVED, *OTHERS), world(*seen, *OTHERS)))

    assert found == (lines or [f"waiting: create {A_ROUTE}", f"waiting: delete {A_EAST}"])


@pytest.mark.parametrize("seen", [endpoint("a"), (*endpoint("a"), workload("a", WEST))], ids=["begins", "serves there"])
def test_a_move_to_where_no_gateway_leads_leaves_the_old_copy_and_its_route(seen: tuple[Resource, ...]) -> None:
    """Withdrawn at once, it would have been dark from that moment on, and the plan called it a migration."""
    found = plan(desired(workload("a", WEST), *OTHERS), world(*seen, *OTHERS))

    (stays,) = (one for one in found.held if one.subject == str(A_ROUTE))
    assert (stays.reason, stays.text.partition(", to which")[0]) == (Reason.INVALID, f"stays: no gateway routes to {WEST}")
    assert f"waiting: delete {A_EAST}" in said(found)


def test_a_cluster_that_a_gateway_leaves_out_loses_its_routes_as_declared() -> None:
    """Also where the workload becomes another one there."""
    other = replace(workload("a"), key=work_key("a")._replace(name="a-group"))
    for wanted in (workload("a"), other):
        found = plan(desired(wanted, *OTHERS), world(*endpoint("a"), *OTHERS))
        assert not [one for one in found.held if one.reason is Reason.INVALID]


def test_a_gateway_that_leaves_the_repo_holds_no_move() -> None:
    left = replace(desired(workload("a", WEST), *OTHERS), targets={name: spec for name, spec in TARGETS.items() if name != EDGE})
    found = plan(left, world(*endpoint("a"), *OTHERS), targets=TARGETS)

    assert not [one for one in found.held if one.reason is Reason.INVALID]


PAUSED = (route("a", *NOWHERE),)
PAUSE = [
    ("runs", endpoint("a"), [f"update {A_ROUTE}", f"waiting: delete {A_EAST}"]),
    (
        "answers 503 and drains",
        (workload("a"), live(PAUSED[0], binding=Binding(drains=((work_key("a"), NOW),)))),
        [f"waiting: delete {A_EAST}"],
    ),
    (
        "drained",
        (workload("a"), live(PAUSED[0], binding=Binding(drains=((work_key("a"), NOW - 30),)))),
        [f"rebind {A_ROUTE}", f"delete {A_EAST}"],
    ),
    ("paused", PAUSED, []),
]


@pytest.mark.parametrize(("seen", "lines"), [row[1:] for row in PAUSE], ids=[row[0] for row in PAUSE])
def test_a_pause_turns_the_route_then_drains_then_stops(seen: tuple[Resource, ...], lines: list[str]) -> None:
    found = plan(desired(*PAUSED, *OTHERS, asleep="a"), world(*seen, *OTHERS))

    assert said(found) == lines
    assert all(op.effects.kind == "pause" for op in found.operations if op.key == work_key("a"))


def test_a_resume_starts_and_the_route_waits() -> None:
    found = plan(desired(*endpoint("a"), *OTHERS), world(*PAUSED, *OTHERS), paused=frozenset({"Endpoint/team-a/a"}))

    assert said(found) == [f"waiting: update {A_ROUTE}", f"create {A_EAST}"]
    assert found.changes[0].effects.kind == "resume"


def test_a_paused_endpoint_that_is_deleted_within_its_drain_keeps_its_clock() -> None:
    """The entry is withdrawn, not forgotten: it holds the drain of the backend that was just paused."""
    seen = world(workload("a"), live(PAUSED[0], binding=Binding(drains=((work_key("a"), NOW),))), *OTHERS)

    assert said(plan(desired(*OTHERS), seen)) == [f"delete {A_ROUTE}", f"waiting: delete {A_EAST}"]


def test_a_replace_does_not_wait_for_a_route_that_stays() -> None:
    """The route needs the key, not this form of it: it keeps its addresses meanwhile, and the plan says that service stops."""
    found = plan(desired(workload("a", zone="b"), route("a")), world(workload("a", zone="a"), route("a")))

    assert said(found) == [f"replace {A_EAST}"]
    assert found.changes[0].effects.downtime


def test_deletes_of_routes_and_keys_wait_for_no_backend() -> None:
    seen = world(live(workload("a"), serving=serving(0, 1, gave_up=True)), route("a"), *OTHERS)

    assert f"delete {A_ROUTE}" in said(plan(desired(*OTHERS), seen))


def test_needs_are_looked_at_after_guards() -> None:
    found = plan(desired(), world(*endpoint("a")))

    assert {held.reason for held in found.held} == {Reason.GUARD}


def test_a_failing_replica_beside_a_serving_one_opens_the_route() -> None:
    facts = replace(serving(1, 2), replicas=(*serving(1).replicas, replace(serving(1).replicas[0], name="bad", state=ReplicaState.FAILING)))

    assert said(plan(desired(*endpoint("a")), world(live(workload("a"), serving=facts)))) == [f"create {A_ROUTE}"]


def test_route_keys_print_as_people_read_them() -> None:
    assert str(route_key("a")) == A_ROUTE


def test_nothing_is_created_in_what_is_on_its_way_out() -> None:
    """The namespace that a workload shares with others: what is put there now would go with it."""
    ground = Resource.make(ResourceKey(EAST, "Ground", "team-a", "team-a"), {"labels": {}}, owner="Workspace/team-a", source="lab.yaml:1")
    wanted = desired(workload("a"), ground, *OTHERS)
    wanted = replace(wanted, owners={**wanted.owners, owner_of("a"): replace(wanted.owners[owner_of("a")], shares=(ground.key,))})

    leaving = plan(wanted, world(live(ground, leaving=True), *OTHERS))
    assert said(leaving) == [f"waiting: create {ground.key}", f"waiting: create {A_EAST}"]
    assert "waits until Ground team-a, which is being deleted, is gone" in why(leaving).splitlines()
    assert said(plan(wanted, world(live(ground), *OTHERS))) == [f"create {A_EAST}"]
