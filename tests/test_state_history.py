"""How a revision relates to what was applied, and what a pass leaves in the record: over several passes, without any I/O."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from reconciler.change import Outcome, Plan
from reconciler.desired import Desired, Guards
from reconciler.errors import StateError
from reconciler.plan.make import make_plan
from reconciler.repo.memory import MemorySource
from reconciler.resource import Live, Observation
from reconciler.state.advance import after_writes, before_writes, known_targets, situate
from reconciler.state.history import Past, history, same_repo
from reconciler.state.record import Record
from tests.fleet import (
    EAST,
    EDGE,
    NOW,
    REPO,
    TARGETS,
    WEST,
    desired,
    draining,
    endpoint,
    endpoints,
    foreign,
    owner_of,
    plan,
    route,
    work_key,
    workload,
    world,
)

DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
TEN = endpoints(*"abcdefghij")


def acting_on(revision: str, applied: str | None = None) -> Record:
    """A record that acted on `revision`; applied: the last revision that nothing held, the same one unless told."""
    record = Record(repo=REPO, head=revision)
    return replace(record, remembered=replace(record.remembered, revision=revision if applied is None else applied))


@pytest.fixture
def repo() -> MemorySource:
    source = MemorySource()
    source.commit({"a.yaml": "1"}, "first")
    return source


# The past of a revision.
def test_the_first_pass_knows_of_nothing(repo: MemorySource) -> None:
    assert history(repo, Record(), repo.head) == Past()


def test_a_later_commit_descends(repo: MemorySource) -> None:
    before = repo.head
    repo.commit({"a.yaml": "2"}, "second")

    assert history(repo, acting_on(before), repo.head) == Past()


def test_trailers_count_after_the_applied_revision_up_to_head(repo: MemorySource) -> None:
    repo.commit({}, f"old\n\nReconciler-Ack: {OTHER}")
    applied = repo.head
    repo.commit({}, f"ack\n\nReconciler-Ack: {DIGEST}")
    repo.commit({}, "later")

    assert history(repo, acting_on(applied), repo.head).trailers == (DIGEST,)


def test_a_trailer_counts_until_its_plan_is_whole(repo: MemorySource) -> None:
    """The head that was acted on is not the applied revision while something is held."""
    applied = repo.head
    repo.commit({}, f"ack\n\nReconciler-Ack: {DIGEST}")

    assert history(repo, acting_on(repo.head, applied), repo.head).trailers == (DIGEST,)


@pytest.mark.parametrize("value", ["yes", "all", "sha1:abc", ""])
def test_only_a_digest_acknowledges(repo: MemorySource, value: str) -> None:
    applied = repo.head
    repo.commit({}, f"ack\n\nReconciler-Ack: {value}")

    assert history(repo, acting_on(applied), repo.head).trailers == ()


def test_an_older_head_is_a_rewind(repo: MemorySource) -> None:
    first = repo.head
    second = repo.commit({"a.yaml": "2"}, "second")
    repo.rewind(first)

    assert history(repo, acting_on(second), repo.head).rewound


def test_another_line_is_a_rewind(repo: MemorySource) -> None:
    first = repo.head
    second = repo.commit({"a.yaml": "2"}, "second")
    repo.rewind(first)
    repo.commit({"a.yaml": "3"}, "instead")

    assert history(repo, acting_on(second), repo.head).rewound


def test_an_acknowledgement_of_the_old_line_does_not_answer_a_rewind(repo: MemorySource) -> None:
    """A delete was acknowledged and undone later; a branch that is forced back to that commit would do it again."""
    repo.commit({}, f"delete it\n\nReconciler-Ack: {DIGEST}")
    acknowledged = repo.head
    undone = repo.commit({"a.yaml": "1"}, "no, keep it")
    repo.rewind(acknowledged)

    assert history(repo, acting_on(undone), repo.head) == Past(rewound=True)


def test_an_acknowledgement_on_top_of_the_rewound_line_answers_it(repo: MemorySource) -> None:
    first = repo.head
    second = repo.commit({"a.yaml": "2"}, "second")
    repo.rewind(first)
    repo.commit({"a.yaml": "1"}, f"yes\n\nReconciler-Ack: {DIGEST}")

    assert history(repo, acting_on(second), repo.head) == Past(True, (DIGEST,))


def test_an_uncommitted_folder_has_no_past(repo: MemorySource) -> None:
    assert history(repo, acting_on(repo.head), "uncommitted") == Past()


# Whose record it is.
def test_another_repo_is_refused() -> None:
    with pytest.raises(StateError) as caught:
        same_repo(replace(desired(), repo="8" * 40), Record(repo=REPO))

    assert caught.value.problem.code == "S3"


@pytest.mark.parametrize(("declares", "remembers", "then"), [("", REPO, REPO), (REPO, "", REPO), (REPO, REPO, REPO), ("", "", "")])
def test_an_uncommitted_folder_belongs_to_the_repo_that_was_applied(declares: str, remembers: str, then: str) -> None:
    assert same_repo(replace(desired(), repo=declares), Record(repo=remembers)).repo == then


# What a pass leaves in the record.
NO_PAST = Past()


def passed(
    record: Record, wanted: Desired, seen: Live, *, past: Past = NO_PAST, failing: Iterable[str] = (), now: float = NOW
) -> tuple[Record, Plan]:
    """One pass: every change of the plan is applied, but those of the endpoints that fail."""
    situation = situate(record, wanted, past, now=now)
    found = make_plan(wanted, seen, situation)
    outcomes = tuple(Outcome(op, op.key.name not in set(failing)) for op in found.changes)
    return after_writes(before_writes(record, wanted, found), wanted, seen, situation, found, outcomes, ()), found


def killed(record: Record, wanted: Desired, seen: Live) -> Record:
    """A pass that dies after its first write: only the intent was saved."""
    return before_writes(record, wanted, make_plan(wanted, seen, situate(record, wanted, Past(), now=NOW)))


FIRST = acting_on("r1")


def test_the_applied_revision_moves_when_nothing_is_held() -> None:
    after, _ = passed(FIRST, desired(*TEN, revision="r2", guards=Guards(0.5, 0.5, 0.5)), world(*TEN))

    assert (after.head, after.remembered.revision, after.remembered.guards) == ("r2", "r2", Guards(0.5, 0.5, 0.5))


def test_waiting_does_not_hold_the_applied_revision() -> None:
    after, found = passed(FIRST, desired(*TEN[:-2], revision="r2"), world(*TEN))

    assert found.held
    assert after.remembered.revision == "r2"


HELD = {
    "a guard": (desired(revision="r2"), world(*TEN), ()),
    "a conflict": (desired(*endpoint("n"), *TEN, revision="r2"), world(foreign(workload("n")), *TEN), ()),
    "an unreadable target": (desired(*TEN, revision="r2"), world(*TEN, dark=[WEST]), ()),
    "a failed write": (desired(*endpoint("n"), *TEN, revision="r2"), world(*TEN), ("n",)),
}


@pytest.mark.parametrize(("wanted", "seen", "failing"), HELD.values(), ids=HELD)
def test_the_applied_revision_stays_while_something_is_open(wanted: Desired, seen: Live, failing: tuple[str, ...]) -> None:
    after, _ = passed(FIRST, replace(wanted, guards=Guards(1, 1, 1)), seen, failing=failing)

    assert (after.head, after.remembered.revision, after.remembered.guards) == ("r2", "r1", None)


def test_a_rewound_head_is_not_acted_on_until_it_is_acknowledged() -> None:
    wanted, seen = desired(*TEN, workload("n"), revision="r0"), world(*TEN)
    held, found = passed(FIRST, wanted, seen, past=Past(rewound=True))
    assert held.head == "r1"
    acknowledged, _ = passed(held, wanted, seen, past=Past(True, (found.digest,)))

    assert acknowledged.head == "r0"


def test_a_rewind_is_not_forgotten_because_a_conflict_holds_first() -> None:
    """Or the conflict's end would let the forced state through."""
    after, found = passed(FIRST, desired(*TEN, workload("n"), revision="r0"), world(foreign(workload("n")), *TEN), past=Past(rewound=True))

    assert [held.reason for held in found.held] == ["conflict"]
    assert after.head == "r1"


def test_a_rewind_to_what_lives_already_is_taken() -> None:
    assert passed(FIRST, desired(*TEN, revision="r0"), world(*TEN), past=Past(rewound=True))[0].head == "r0"


def test_a_lost_history_stays_lost_until_it_is_acknowledged() -> None:
    wanted, seen = desired(*TEN[2:], revision="r2"), world(*TEN)
    first, found = passed(Record(), wanted, seen)
    second, again = passed(first, wanted, seen)
    third, _ = passed(second, wanted, seen, past=Past(False, (found.digest,)))

    assert {held.reason for held in (*found.held, *again.held)} == {"guard"}
    assert (first.head, second.head, third.head) == ("", "", "r2")


def test_a_lost_history_is_not_found_while_a_target_is_dark() -> None:
    """What that target holds was not judged yet: nothing shows that it was meant to go."""
    dark, _ = passed(Record(), desired(*TEN, revision="r2"), world(*TEN, dark=[WEST]))
    _, found = passed(dark, desired(*TEN, revision="r2"), world(workload("z", WEST), *TEN))

    assert [trip.rule for trip in found.trips] == ["history"]


def test_a_first_pass_that_waits_is_history_enough_for_the_next_commit() -> None:
    first, _ = passed(Record(), desired(*TEN, revision="r1"), world())
    _, found = passed(first, desired(*TEN[2:], revision="r2"), world(*TEN))

    assert not found.trips


# What one revision has spent.
def gone(*names: str) -> Desired:
    return desired(*(one for one in TEN if one.key.name not in names), revision="r2")


def test_what_was_done_is_spent_at_this_revision_and_begun_at_the_next() -> None:
    seen = world(*TEN)
    after, _ = passed(FIRST, gone("a", "b"), seen)
    assert after.spent.deletes == {owner_of("a"), owner_of("b")}
    assert after.unfinished == after.spent.deletes

    next_one = situate(after, replace(gone("a", "b", "c", "d"), revision="r3"), Past(), now=NOW)
    assert (next_one.spent.deletes, next_one.spent.begun) == (frozenset(), after.unfinished)


def test_four_go_in_two_revisions_although_the_first_two_still_drain() -> None:
    first, _ = passed(FIRST, gone("a", "b"), world(*TEN))
    rest = [one for one in TEN if one.key.name not in "ab"]
    draining_two = [part for n in "ab" for part in (workload(n), draining(route(n), work_key(n)))]
    _, found = passed(first, replace(gone("a", "b", "c", "d"), revision="r3"), world(*rest, *draining_two))

    assert not found.trips


def test_what_is_finished_is_not_begun() -> None:
    first, _ = passed(FIRST, gone("a"), world(*TEN))
    second, _ = passed(first, gone("a"), world(*TEN[2:], workload("a"), draining(route("a"), work_key("a"), since=0)))

    assert second.unfinished == frozenset()
    assert second.spent.deletes == {owner_of("a")}


def test_a_failed_delete_is_spent_and_not_begun() -> None:
    """Its answer may have been lost on the way back; who else could go at this revision is decided as if it was done."""
    after, _ = passed(FIRST, gone("a", "b"), world(*TEN), failing=["a", "b"])

    assert after.spent.deletes == {owner_of("a"), owner_of("b")}
    assert after.unfinished == frozenset()


def test_a_killed_pass_has_spent_what_it_meant_to_do() -> None:
    """Two of ten go and the process dies; the same revision cannot take two others when a dark target comes back."""
    after = killed(FIRST, gone("a", "b"), world(*TEN))
    _, found = passed(after, gone("a", "b", "c"), world(*TEN[4:]))

    assert after.spent.deletes == {owner_of("a"), owner_of("b")}
    assert [trip.rule for trip in found.trips] == ["deletes"]


def test_a_killed_delete_is_finished_at_the_next_revision() -> None:
    after = killed(FIRST, gone("a", "b"), world(*TEN))
    seen = world(*TEN[4:], workload("a"), draining(route("a"), work_key("a")), workload("b"), draining(route("b"), work_key("b")))
    _, found = passed(after, replace(gone("a", "b", "c", "d"), revision="r3"), seen)

    assert not found.trips


def test_an_acknowledgement_is_recorded_before_the_first_write_and_lasts_for_its_revision() -> None:
    wanted, seen = gone(*"abcde"), world(*TEN)
    held = plan(wanted, seen)
    after, found = passed(FIRST, wanted, seen, past=Past(False, (held.digest,)))
    assert after.acknowledged.revision == "r2"
    assert len(after.acknowledged.operations) == 10

    left = world(*TEN[10:], *(workload(n) for n in "abcde"), *(draining(route(n), work_key(n), since=0) for n in "abcde"))
    assert len(passed(after, wanted, left)[1].changes) == 10
    assert situate(after, replace(wanted, revision="r3"), Past(), now=NOW).acknowledged == frozenset()
    assert found.acknowledged


# Targets outlive their declaration.
def without_west() -> Desired:
    return replace(desired(*TEN, revision="r2"), targets={name: spec for name, spec in TARGETS.items() if name != WEST})


WITH_WEST = replace(FIRST, remembered=replace(FIRST.remembered, targets=TARGETS))


def test_a_pass_covers_targets_that_left_the_repo() -> None:
    assert set(known_targets(WITH_WEST, without_west())) == set(TARGETS)


@pytest.mark.parametrize(
    ("seen", "known"),
    [
        (world(*TEN, workload("z", WEST)), True),
        (world(*TEN, dark=[WEST]), True),
        (world(*TEN), False),
        (world(*TEN, foreign(workload("z", WEST))), False),
    ],
    ids=["not empty", "unreadable", "empty", "only others there"],
)
def test_a_target_is_forgotten_when_a_reading_shows_nothing_of_ours(seen: Live, known: bool) -> None:
    after, _ = passed(WITH_WEST, without_west(), seen)

    assert (WEST in after.remembered.targets) is known
    assert EAST in after.remembered.targets


def test_a_target_on_which_something_lingers_is_read_until_it_has_gone() -> None:
    seen = dict(world(*TEN))
    seen[WEST] = Observation(WEST, {}, lingers=True)
    after, _ = passed(WITH_WEST, without_west(), seen)

    assert WEST in after.remembered.targets


def test_a_gateway_that_is_bound_elsewhere_now_is_still_known_to_reach_where_it_was_bound() -> None:
    """It is dark in the very pass that unbinds it: its routes may still lead to the old cluster, so that one stays."""
    wanted = replace(desired(*TEN, revision="r2"), targets={**TARGETS, EDGE: replace(TARGETS[EDGE], binds=(EAST,))})
    seen = world(*TEN, workload("z", WEST), dark=[EDGE])
    first, found = passed(WITH_WEST, wanted, seen)
    _, again = passed(first, wanted, seen)

    for one in (found, again):
        assert [held.reason for held in one.held if held.change] == ["unreadable"]


def test_a_binding_is_forgotten_with_its_cluster() -> None:
    wanted = replace(without_west(), targets={EAST: TARGETS[EAST], EDGE: replace(TARGETS[EDGE], binds=(EAST,))})
    first, _ = passed(WITH_WEST, wanted, world(*TEN))
    second, _ = passed(first, wanted, world(*TEN))

    assert second.remembered.targets == wanted.targets
