"""One word per endpoint: serving-checklist 7.3 as a table, one row for each of its rules, and the consequences that it draws."""

from dataclasses import replace

import pytest

from reconciler.change import ChangeClass, Effects, Outcome, Rebind, Update
from reconciler.errors import Problem
from reconciler.plan.situation import Situation
from reconciler.plan.view import View
from reconciler.report.model import EndpointStatus
from reconciler.resource import Binding as LateBinding
from reconciler.resource import Health, Replica, ReplicaState, Serving
from reconciler.status import RULES, Facts, sort_replicas, statuses, word_of
from tests.fleet import (
    EAST,
    EDGE,
    HEAD,
    NOW,
    NOWHERE,
    TARGETS,
    WEST,
    desired,
    draining,
    endpoint,
    live,
    owner_of,
    plan,
    route,
    serving,
    work_key,
    workload,
    world,
)

UP, BAD, PEND, LOAD, BOOT = (
    Replica("up", ReplicaState.SERVING),
    Replica("bad", ReplicaState.FAILING, "CrashLoop", "code 1"),
    Replica("pend", ReplicaState.PENDING, "Unschedulable", "no GPU"),
    Replica("load", ReplicaState.DOWNLOADING),
    Replica("boot", ReplicaState.STARTING),
)
READY_BEFORE = EndpointStatus("Endpoint/team-a/a", Health.READY, "Ready", ever_ready=True)
STARTED_BEFORE = EndpointStatus("Endpoint/team-a/a", Health.STARTING, "Starting")


def facts(*replicas: Replica, wanted: int = 2, previous: EndpointStatus | None = READY_BEFORE, **changes: object) -> Facts:
    """Facts of a declared endpoint that wants 2 replicas; what starts with `serving_` is said of its workload."""
    ours = {name.removeprefix("serving_"): value for name, value in changes.items() if name.startswith("serving_")}
    others = {name: value for name, value in changes.items() if not name.startswith("serving_")}
    found = Facts(
        declared=True,
        asleep=False,
        serving=replace(Serving(wanted, replicas), **ours),  # type: ignore[arg-type]
        unreadable="",
        timeout=1200,
        now=NOW,
        previous=previous,
        change_pending=False,
    )
    return replace(found, **others)  # type: ignore[arg-type]


LONG_AGO, JUST_NOW = NOW - 1201, NOW - 10
TABLE = {
    1: (facts(serving=None, unreadable="no answer"), Health.UNKNOWN, "TargetUnreachable"),
    2: (facts(UP, UP, declared=False), Health.DELETING, "Pruned"),
    3: (facts(serving=None, asleep=True), Health.PAUSED, "Paused"),
    4: (facts(UP, asleep=True), Health.UPDATING, "Pausing"),
    5: (facts(wanted=0), Health.SCALED_DOWN, "Idle"),
    6: (facts(BAD, PEND), Health.ERROR, "CrashLoop"),
    7: (facts(PEND, LOAD), Health.PENDING, "Unschedulable"),
    8: (facts(BOOT, LOAD, serving_rollout=True, serving_since=LONG_AGO), Health.ERROR, "ProgressDeadlineExceeded"),
    9: (facts(LOAD, BOOT), Health.MODEL_DOWNLOADING, "Downloading"),
    10: (facts(BOOT), Health.STARTING, "Starting"),
    11: (facts(UP, BAD), Health.DEGRADED, "CrashLoop"),
    12: (facts(UP, BOOT, serving_rollout=True, serving_since=LONG_AGO), Health.DEGRADED, "ProgressDeadlineExceeded"),
    13: (facts(UP, PEND), Health.DEGRADED, "Unschedulable"),
    14: (facts(UP, BOOT, serving_rollout=True, serving_since=JUST_NOW, previous=STARTED_BEFORE), Health.STARTING, "1 of 2 ready, serving"),
    15: (facts(UP, UP, BOOT, serving_rollout=True, serving_since=JUST_NOW), Health.UPDATING, "RollingUpdate"),
    16: (facts(UP), Health.DEGRADED, "ReplicasNotReady"),
    17: (facts(UP, UP), Health.READY, "Ready"),
}


@pytest.mark.parametrize("number", TABLE)
def test_a_row_of_the_table(number: int) -> None:
    found, word, reason = TABLE[number]

    assert word_of(found) == (word, reason)
    assert next(n for n, rule in enumerate(RULES, 1) if rule[0](found)) == number


MORE = {
    "2 the target deletes it": (facts(UP, serving_deleting=True), Health.DELETING, "Pruned"),
    "4 the target deletes it because it is paused": (facts(UP, serving_deleting=True, asleep=True), Health.UPDATING, "Pausing"),
    "6 gave up, no replica left": (facts(serving_gave_up=True, serving_reason="DeployFailed"), Health.ERROR, "DeployFailed"),
    "6 gave up and says nothing": (facts(serving_gave_up=True), Health.ERROR, "ReplicaFailed"),
    "7 no replica 31 s after the workload": (facts(serving_since=NOW - 31), Health.PENDING, "NotCreated"),
    "10 no replica 29 s after the workload": (facts(serving_since=NOW - 29), Health.STARTING, "Starting"),
    "10 the workload is not there yet": (facts(serving=None), Health.STARTING, "Starting"),
    "7 beats 8: pending stays pending after the time-out": (
        facts(PEND, serving_rollout=True, serving_since=LONG_AGO),
        Health.PENDING,
        "Unschedulable",
    ),
    "6 beats 7: failing beside a pending one": (facts(PEND, BAD), Health.ERROR, "CrashLoop"),
    "7 beats 9: pending beats loading": (facts(LOAD, PEND), Health.PENDING, "Unschedulable"),
    "11 a new replica fails while all old ones serve": (facts(UP, UP, BAD, serving_rollout=True), Health.DEGRADED, "CrashLoop"),
    "11 gave up while old ones serve": (
        facts(UP, UP, serving_gave_up=True, serving_reason="DeployFailed"),
        Health.DEGRADED,
        "DeployFailed",
    ),
    "12 overdue because of a pending replica": (
        facts(UP, PEND, serving_rollout=True, serving_since=LONG_AGO),
        Health.DEGRADED,
        "Unschedulable",
    ),
    "15 scaling up": (facts(UP, BOOT, serving_rollout=True), Health.UPDATING, "Scaling"),
    "15 a pending replica during a rollout": (facts(UP, PEND, serving_rollout=True), Health.UPDATING, "Scaling"),
    "15 this pass has just changed it": (facts(UP, UP, change_pending=True), Health.UPDATING, "RollingUpdate"),
    "17 nothing known of before": (facts(UP, UP, previous=None), Health.READY, "Ready"),
    "14 nothing known of before": (facts(UP, BOOT, serving_rollout=True, previous=None), Health.STARTING, "1 of 2 ready, serving"),
}


@pytest.mark.parametrize(("found", "word", "reason"), MORE.values(), ids=MORE)
def test_consequences(found: Facts, word: Health, reason: str) -> None:
    assert word_of(found) == (word, reason)


@pytest.mark.parametrize("others", [(), (BAD,), (PEND,), (LOAD,), (BOOT,), (BAD, PEND, LOAD, BOOT)])
def test_whatever_serves_is_never_error(others: tuple[Replica, ...]) -> None:
    for rollout in (True, False):
        for since in (None, LONG_AGO):
            assert word_of(facts(UP, *others, serving_rollout=rollout, serving_since=since))[0] is not Health.ERROR


def test_a_flap_keeps_the_previous_word() -> None:
    before = EndpointStatus("Endpoint/team-a/a", Health.DEGRADED, "CrashLoop")

    assert word_of(facts(UP, serving_unsettled=True, previous=before)) == (Health.DEGRADED, "CrashLoop")
    assert word_of(facts(UP, serving_unsettled=True, previous=before, asleep=True)) == (Health.UPDATING, "Pausing")
    assert word_of(facts(UP, serving_unsettled=True, previous=before, declared=False)) == (Health.DELETING, "Pruned")


def test_failing_replicas_come_first() -> None:
    assert sort_replicas((UP, BOOT, LOAD, PEND, BAD)) == (BAD, PEND, LOAD, BOOT, UP)


# The status as a whole: from the declared and the live state of all targets.
def status(name: str, found: View, previous: tuple[EndpointStatus, ...] = (), outcomes: tuple[Outcome, ...] = ()) -> EndpointStatus:
    planned = plan(found.desired, found.live)
    words = statuses(found, planned, outcomes, {one.owner: one for one in previous})
    return next(one for one in words if one.owner == owner_of(name))


def view(wanted: object, seen: object) -> View:
    return View(wanted, seen, Situation(NOW, targets=TARGETS))  # type: ignore[arg-type]


BEFORE = EndpointStatus(
    owner_of("a"),
    Health.READY,
    "Ready",
    ready=2,
    desired=2,
    url="http://u",
    revision="old",
    since=5.0,
    ever_ready=True,
    targets=(EAST, EDGE),
)


def test_ready_and_routed() -> None:
    found = status("a", view(desired(*endpoint("a")), world(*endpoint("a"))))

    assert (found.word, found.routed, found.ready, found.desired, found.revision) == (Health.READY, True, 1, 1, HEAD)


@pytest.mark.parametrize(
    "seen", [(workload("a"),), (workload("a"), draining(route("a"), work_key("a"))), (workload("a"), route("a", *NOWHERE))]
)
def test_ready_without_a_published_route_is_not_routed(seen: tuple[object, ...]) -> None:
    found = status("a", view(desired(*endpoint("a")), world(*seen)))  # type: ignore[arg-type]

    assert (found.word, found.routed) == (Health.READY, False)


def test_a_target_that_cannot_be_read_is_unknown_and_keeps_the_last_word_in_its_message() -> None:
    found = status("a", view(desired(*endpoint("a")), world(route("a"), dark=[EAST])), (BEFORE,))

    assert found.word is Health.UNKNOWN
    assert found.message == "no answer; last known: Ready at 2 of 2"


def test_what_left_the_repo_while_its_target_is_dark_has_not_gone() -> None:
    found = status("a", view(desired(*endpoint("b")), world(*endpoint("b"), dark=[EAST])), (BEFORE,))

    assert found.word is Health.UNKNOWN


def test_an_unreadable_gateway_does_not_make_replicas_unknown() -> None:
    assert status("a", view(desired(*endpoint("a")), world(workload("a"), dark=[EDGE])), (BEFORE,)).word is Health.READY


def test_what_is_not_declared_any_more_is_deleting_until_it_is_gone() -> None:
    assert status("a", view(desired(*endpoint("b")), world(workload("a"), *endpoint("b")))).word is Health.DELETING
    assert status("a", view(desired(*endpoint("b")), world(draining(route("a"), work_key("a")), *endpoint("b")))).word is Health.DELETING
    gone = statuses(view(desired(*endpoint("b")), world(*endpoint("b"))), plan(desired(), world()), (), {BEFORE.owner: BEFORE})
    assert [one.owner for one in gone] == [owner_of("b")]


def test_a_blocked_endpoint_shows_how_it_runs_and_why_it_is_held() -> None:
    found = status("a", view(desired(blocked="a"), world(*endpoint("a"))), (BEFORE,))

    assert found.word is Health.READY
    assert found.message.startswith("held (invalid): unknown field; keeps running as it is")
    assert found.url == "http://u"


def test_the_time_moves_with_word_or_reason_only() -> None:
    same = status("a", view(desired(*endpoint("a")), world(*endpoint("a"))), (BEFORE,))
    other = status("a", view(desired(*endpoint("a")), world(live(workload("a"), serving=serving(0)))), (BEFORE,))

    assert (same.since, other.since) == (5.0, NOW)


def test_the_revision_moves_when_the_endpoint_is_written() -> None:
    seen = view(desired(workload("a", replicas=2), route("a")), world(*endpoint("a")))
    written = Update(workload("a", replicas=2), live(workload("a")), (), Effects(ChangeClass.IN_PLACE))

    assert status("a", seen, (BEFORE,)).revision == "old"
    assert status("a", seen, (BEFORE,), (Outcome(written, True),)).revision == HEAD
    assert status("a", seen, (BEFORE,), (Outcome(written, False, "refused"),)).revision == "old"


def test_a_new_address_is_no_new_revision() -> None:
    seen = view(desired(*endpoint("a")), world(*endpoint("a")))

    assert status("a", seen, (BEFORE,), (Outcome(Rebind(live(route("a")), LateBinding(), ""), True),)).revision == "old"


def test_a_failed_write_stands_in_the_message() -> None:
    seen = view(desired(workload("a", replicas=2), route("a")), world(*endpoint("a")))
    written = Update(workload("a", replicas=2), live(workload("a")), (), Effects(ChangeClass.IN_PLACE))

    assert status("a", seen, (), (Outcome(written, False, "refused", Problem("T3", "refused")),)).message == "failed: refused"


@pytest.mark.parametrize(
    ("copy", "word"),
    [
        (None, Health.READY),
        (serving(0, 1), Health.UPDATING),  # the old copy serves: never Starting
        (serving(0, 1, gave_up=True), Health.DEGRADED),  # ... and never Error
        (serving(1, 1), Health.UPDATING),
    ],
)
def test_in_a_migration_the_old_copy_serves_meanwhile(copy: Serving | None, word: Health) -> None:
    moved = (workload("a", WEST), route("a", work_key("a", WEST)))
    there = [live(workload("a", WEST), serving=copy)] if copy else []

    assert status("a", view(desired(*moved), world(*endpoint("a"), *there)), (BEFORE,)).word is word


def test_a_paused_endpoint_is_paused_when_its_workload_is_gone() -> None:
    wanted = desired(route("a", *NOWHERE), asleep="a")

    assert status("a", view(wanted, world(route("a", *NOWHERE)))).word is Health.PAUSED
    assert status("a", view(wanted, world(workload("a"), route("a", *NOWHERE)))).word is Health.UPDATING


def test_ever_ready_is_forgotten_with_the_workload() -> None:
    gone = status("a", view(desired(*endpoint("a")), world()), (BEFORE,))
    starting = status("a", view(desired(*endpoint("a")), world(live(workload("a"), serving=serving(0)))), (BEFORE,))

    assert (gone.ever_ready, starting.ever_ready) == (False, True)


def test_what_is_seen_to_serve_is_not_unknown_because_another_of_its_targets_is_dark() -> None:
    wanted = desired(workload("a", WEST), route("a", work_key("a", WEST)))
    seen = view(
        replace(wanted, owners={owner_of("a"): replace(wanted.owners[owner_of("a")], targets=(WEST, EDGE))}),
        world(*endpoint("a"), dark=[WEST]),
    )

    assert status("a", seen, (BEFORE,)).word is Health.READY
