"""Which operations turn live into desired, what nothing helps against (conflict, protection), drift, and the digest."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.change import ABSENT, Delete, FieldChange, Plan, Reason, Update
from reconciler.errors import Problem
from reconciler.resource import Binding, DriftMode, Live, LiveResource, Observation
from tests.fleet import (
    EAST,
    EDGE,
    INSTANCE,
    NOW,
    REPO,
    WEST,
    api_key,
    desired,
    draining,
    endpoint,
    endpoints,
    foreign,
    live,
    owner_of,
    plan,
    route,
    said,
    serving,
    why,
    work_key,
    workload,
    world,
)

OTHERS = endpoints("w", "x", "y", "z")
A_EAST, A_ROUTE = f"{EAST}: Workload/team-a/a", f"{EDGE}: Route/team-a/a"


def test_what_is_as_declared_is_no_operation() -> None:
    found = plan(desired(*endpoint("a"), api_key("k")), world(*endpoint("a"), api_key("k")))

    assert (found.changes, found.held, found.rebinds) == ((), (), ())


def test_field_changes_are_pointers_sorted_with_old_and_new() -> None:
    seen = world(live(workload("a", env={"A": "1", "B/C": "2"}, replicas=1)))
    found = plan(desired(workload("a", env={"A": "1", "B/C": "3"}, replicas=2, extra=[1])), seen)

    assert found.changes[0].fields == (  # type: ignore[union-attr]
        FieldChange("/env/B~1C", "2", "3"),
        FieldChange("/extra", ABSENT, [1]),
        FieldChange("/replicas", 1, 2),
    )


def test_numbers_that_are_equal_are_no_difference() -> None:
    assert not plan(
        desired(workload("a", replicas=5)), world(live(workload("a", replicas=5), manifest=workload("a", replicas=5.0).manifest))
    ).changes


# Conflicts: a wanted key that others hold is never touched.
@pytest.mark.parametrize(
    ("theirs", "whose"),
    [
        (foreign(workload("a")), "held by somebody who is not us"),
        (foreign(workload("a"), "other"), "held by instance 'other' of the repo 777777777777"),
        (foreign(workload("a"), INSTANCE, "8" * 40), "held by instance 'default' of the repo 888888888888"),
    ],
    ids=["no mark", "another instance", "another repo"],
)
def test_a_wanted_key_that_others_hold_is_a_conflict(theirs: LiveResource, whose: str) -> None:
    found = plan(desired(*endpoint("a"), *OTHERS), world(theirs, *OTHERS))

    assert said(found) == [f"waiting: create {A_ROUTE}", f"conflict: create {A_EAST}"]
    assert whose in why(found)


@pytest.mark.parametrize("theirs", [foreign(workload("a")), foreign(workload("a"), "other"), foreign(workload("a"), INSTANCE, "8" * 40)])
def test_what_others_hold_is_never_deleted(theirs: LiveResource) -> None:
    assert said(plan(desired(*OTHERS), world(theirs, *OTHERS))) == []


def test_no_acknowledgement_helps_against_a_conflict() -> None:
    wanted, seen = desired(*endpoint("a")), world(foreign(workload("a")))
    found = plan(wanted, seen, trailers=frozenset({plan(wanted, seen).digest}))

    assert found.held[-1].reason is Reason.CONFLICT


# Protection: a refusal, not a guard.
def test_a_protected_endpoint_never_goes() -> None:
    wanted, seen = desired(*OTHERS), world(workload("a", protect=True), route("a"), *OTHERS)
    for found in (plan(wanted, seen), plan(wanted, seen, trailers=frozenset({plan(wanted, seen).digest}))):
        assert said(found) == [f"protected: delete {A_ROUTE}", f"protected: delete {A_EAST}"]


def test_a_protected_endpoint_may_move_and_pause() -> None:
    moved = (workload("a", WEST, protect=True), route("a", work_key("a", WEST)))
    found = plan(desired(*moved, *OTHERS), world(workload("a", protect=True), moved[1], workload("a", WEST, protect=True), *OTHERS))

    assert said(found) == [f"delete {A_EAST}"]


def test_protection_ends_in_a_commit_of_its_own() -> None:
    found = plan(desired(*endpoint("a")), world(live(workload("a", protect=True)), route("a")))

    assert said(found) == [f"update {A_EAST}"]
    assert found.changes[0].fields == (FieldChange("/mark/protect", True, False),)  # type: ignore[union-attr]


# Drift: same digest in the mark, another manifest on the target.
def drifted(**mark: object) -> LiveResource:
    return live(workload("a"), manifest=workload("a", replicas=7).manifest, **mark)


def with_drift(mode: DriftMode) -> Plan:
    return plan(desired(workload("a", drift=mode), route("a")), world(drifted(), route("a")))


def test_drift_is_healed() -> None:
    found = with_drift(DriftMode.HEAL)

    assert said(found) == [f"update {A_EAST}"]
    assert found.drifted == (work_key("a"),)
    assert found.changes[0].fields == (FieldChange("/replicas", 7, 1),)  # type: ignore[union-attr]


def test_drift_is_reported() -> None:
    found = with_drift(DriftMode.REPORT)

    assert said(found) == [f"reported drift: update {A_EAST}"]
    assert found.drifted == (work_key("a"),)


def test_drift_is_not_looked_at() -> None:
    found = with_drift(DriftMode.OFF)

    assert (said(found), found.drifted) == ([], ())


@pytest.mark.parametrize("mode", DriftMode)
def test_a_new_declaration_is_no_drift(mode: DriftMode) -> None:
    found = plan(desired(workload("a", replicas=3, drift=mode), route("a")), world(drifted(), route("a")))

    assert said(found) == [f"update {A_EAST}"]
    assert found.drifted == ()


@pytest.mark.parametrize("mode", DriftMode)
def test_a_changed_mark_is_declared_and_no_drift(mode: DriftMode) -> None:
    found = plan(desired(workload("a", drift=mode, protect=True), route("a")), world(*endpoint("a")))

    assert said(found) == [f"update {A_EAST}"]
    assert found.drifted == ()


@pytest.mark.parametrize("mode", DriftMode)
def test_a_withdrawn_route_that_is_declared_again_is_no_drift(mode: DriftMode) -> None:
    found = plan(desired(workload("a"), route("a", drift=mode)), world(workload("a"), draining(route("a"), work_key("a"))))

    assert said(found) == [f"update {A_ROUTE}"]
    assert found.drifted == ()


def test_a_mark_alone_restarts_nothing() -> None:
    found = plan(desired(workload("a", protect=True), route("a")), world(live(workload("a"), binding=Binding(attempt=3)), route("a")))

    assert found.changes[0].effects.kind == "in place"
    assert found.changes[0].binding.attempt == 3  # type: ignore[union-attr]


# Isolation: what does not validate keeps what it has.
def test_a_blocked_endpoint_keeps_running_with_its_route_and_the_rest_goes_on() -> None:
    found = plan(desired(*endpoint("new"), *OTHERS, blocked="a"), world(*endpoint("a"), *OTHERS))

    assert said(found) == [f"waiting: create {EDGE}: Route/team-a/new", f"create {EAST}: Workload/team-a/new", f"invalid: {owner_of('a')}"]
    assert "keeps running as it is, with its route" in why(found)


def test_a_blocked_endpoint_that_never_ran_is_not_created() -> None:
    assert "not created" in why(plan(desired(*OTHERS, blocked="a"), world(*OTHERS)))


def test_nothing_is_deleted_while_a_file_is_unknown() -> None:
    reason = "b.yaml does not parse, and what stood in it is not known"
    found = plan(desired(workload("w", replicas=2), *OTHERS[1:], no_deletes=reason), world(*endpoint("a"), *OTHERS))

    assert said(found) == [f"invalid: delete {A_ROUTE}", f"invalid: delete {A_EAST}", f"update {EAST}: Workload/team-a/w"]
    assert reason in why(found)


def test_declared_pauses_go_on_while_a_file_is_unknown() -> None:
    found = plan(desired(*OTHERS, asleep="a", no_deletes="b.yaml"), world(workload("a"), *OTHERS))

    assert said(found) == [f"delete {A_EAST}"]


def test_what_a_reading_knows_to_be_wrong_is_not_written() -> None:
    missing = Problem("T9", "model.gguf is not there", owner=owner_of("a"))
    seen = dict(world(*OTHERS))
    seen[EAST] = replace(seen[EAST], problems=(missing,))  # type: ignore[type-var]
    found = plan(desired(*endpoint("a"), *OTHERS), seen)

    assert said(found) == [f"waiting: create {A_ROUTE}", f"invalid: create {A_EAST}"]
    assert "model.gguf is not there" in why(found)


def test_what_a_reading_knows_to_be_wrong_can_still_be_deleted() -> None:
    seen = dict(world(workload("a"), *OTHERS))
    seen[EAST] = replace(seen[EAST], problems=(Problem("T9", "broken", owner=owner_of("a")),))  # type: ignore[type-var]

    assert said(plan(desired(*OTHERS), seen)) == [f"delete {A_EAST}"]


def test_a_target_that_left_the_repo_is_emptied_under_the_guards() -> None:
    wanted = desired(*OTHERS)
    left = replace(wanted, targets={name: spec for name, spec in wanted.targets.items() if name != WEST})
    found = plan(left, world(workload("a", WEST), workload("b", WEST), *OTHERS))

    assert said(found) == [f"guard: delete {WEST}: Workload/team-a/a", f"guard: delete {WEST}: Workload/team-a/b"]


def test_artifacts_that_were_not_acknowledged_are_written_again_without_an_operation() -> None:
    found = plan(desired(*OTHERS), world(*OTHERS, pending={EDGE: ("rds.json",)}))

    assert (found.heals, found.changes) == ((EDGE,), ())


def test_a_replace_is_decided_by_the_table_and_says_which_field_forces_it() -> None:
    found = plan(desired(workload("a", zone="b")), world(workload("a", zone="a")))

    assert found.changes[0].effects.kind == "replace"
    assert found.changes[0].effects.text.startswith("/zone cannot change in place")


# The digest: what a person reviews.
def changed() -> Plan:
    return plan(desired(workload("a", replicas=2), route("a"), *OTHERS), world(*endpoint("a"), *endpoint("gone"), *OTHERS))


SAME: dict[str, Callable[[], Plan]] = {
    "another revision": lambda: plan(
        desired(workload("a", replicas=2), route("a"), *OTHERS, revision="c" * 40), world(*endpoint("a"), *endpoint("gone"), *OTHERS)
    ),
    "other addresses": lambda: plan(
        desired(workload("a", replicas=2), route("a"), *OTHERS),
        world(live(workload("a"), addresses=("elsewhere:1",)), route("a"), *endpoint("gone"), *OTHERS),
    ),
    "another attempt": lambda: plan(
        desired(workload("a", replicas=2), route("a"), *OTHERS),
        world(live(workload("a"), binding=Binding(attempt=4)), route("a"), *endpoint("gone"), *OTHERS),
    ),
    "another health": lambda: plan(
        desired(workload("a", replicas=2), route("a"), *OTHERS),
        world(live(workload("a"), serving=serving(0, 1)), route("a"), live(workload("gone"), serving=serving(0)), route("gone"), *OTHERS),
    ),
    "another version on the target": lambda: plan(
        desired(workload("a", replicas=2), route("a"), *OTHERS),
        world(live(workload("a"), version="99"), route("a"), *endpoint("gone"), *OTHERS),
    ),
    "held by a guard": lambda: plan(
        desired(workload("a", replicas=2), route("a"), *OTHERS), world(*endpoint("a"), *endpoint("gone"), *OTHERS), applied=""
    ),
    "drains that run": lambda: plan(
        desired(workload("a", replicas=2), route("a"), *OTHERS),
        world(*endpoint("a"), workload("gone"), draining(route("gone"), work_key("gone"), since=NOW), *OTHERS),
    ),
}
OTHER: dict[str, Callable[[], Plan]] = {
    "another value": lambda: plan(
        desired(workload("a", replicas=3), route("a"), *OTHERS), world(*endpoint("a"), *endpoint("gone"), *OTHERS)
    ),
    "another value before": lambda: plan(
        desired(workload("a", replicas=2), route("a"), *OTHERS), world(workload("a", replicas=5), route("a"), *endpoint("gone"), *OTHERS)
    ),
    "another field": lambda: plan(
        desired(workload("a", replicas=2, x=1), route("a"), *OTHERS), world(*endpoint("a"), *endpoint("gone"), *OTHERS)
    ),
    "one more delete": lambda: plan(desired(workload("a", replicas=2), route("a")), world(*endpoint("a"), *endpoint("gone"), *OTHERS)),
    "no delete": lambda: plan(desired(workload("a", replicas=2), route("a"), *OTHERS), world(*endpoint("a"), *OTHERS)),
}


@pytest.mark.parametrize("make", SAME.values(), ids=SAME)
def test_the_digest_stays(make: Callable[[], Plan]) -> None:
    assert make().digest == changed().digest


@pytest.mark.parametrize("make", OTHER.values(), ids=OTHER)
def test_the_digest_changes(make: Callable[[], Plan]) -> None:
    assert make().digest != changed().digest


def test_the_digest_has_the_form_of_a_trailer() -> None:
    assert changed().digest.startswith("sha256:")
    assert len(changed().digest) == 71


def test_operations_name_live_versions_so_that_a_writer_can_see_what_changed_since() -> None:
    seen: Live = world(live(workload("a"), version="7"), *OTHERS)
    found = plan(desired(*OTHERS), seen)

    assert isinstance(seen[EAST], Observation)
    assert [op.live.version for op in found.changes if isinstance(op, Delete | Update)] == ["7"]
    assert REPO


def test_a_mark_beside_a_change_in_place_restarts_nothing() -> None:
    found = plan(desired(workload("a", protect=True, replicas=2), route("a")), world(*endpoint("a")))

    assert found.changes[0].effects.kind == "in place"
