"""Writing a plan: in order of ranks, deletes last and bottom-up, and a target that fails stops nobody else."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from reconciler.apply import Written, apply_plan, waves
from reconciler.change import Change, Outcome, Plan
from reconciler.errors import Busy, LocalError, TargetUnavailable
from reconciler.plan.make import make_plan
from reconciler.plan.situation import Situation
from reconciler.resource import Observation, Resource, ResourceKey
from reconciler.targets.memory.rules import RULES
from tests.fleet import EAST, EDGE, NOW, TARGETS, api_key, desired, draining, endpoints, plan, route, work_key, workload, world

ALL = dict.fromkeys(TARGETS, RULES)
OTHERS = endpoints("w", "x", "y", "z")


class Writes:
    """A target that writes down what it is given. fails_at: the name of the resource at which it fails, after the ones before it."""

    def __init__(self, fails_at: str = "", error: Exception | None = None, fails_to_open: bool = False) -> None:
        self.fails_to_open, self.fails_at, self.error = fails_to_open, fails_at, error or TargetUnavailable("connection lost")
        self.log: list[str] = []

    def read(self, wanted: Mapping[ResourceKey, Resource]) -> Observation:
        raise NotImplementedError

    def changed(self) -> Iterator[None]:
        yield from ()

    def close(self) -> None: ...

    @contextmanager
    def session(self, plan: Sequence[Change]) -> "Iterator[Writes]":
        if self.fails_to_open:
            raise self.error
        self.log.append(f"intent {len(plan)}")
        yield self
        self.log.append("done")

    def write(self, wave: Sequence[Change]) -> Iterator[Outcome]:
        self.log.append("wave " + " ".join(f"{type(change).__name__.lower()}:{change.key.kind}/{change.key.name}" for change in wave))
        for change in wave:
            if change.key.name == self.fails_at:
                raise self.error
            yield Outcome(change, True)


def test_creates_go_by_rank_and_deletes_bottom_up_behind_them() -> None:
    seen = world(draining(route("old"), work_key("old"), since=0), workload("old"), *OTHERS)
    found = plan(desired(workload("n"), workload("m"), api_key("k"), *OTHERS), seen)

    assert [[f"{type(c).__name__}:{c.key.kind}/{c.key.name}" for c in wave] for wave in waves(found.changes, RULES)] == [
        ["Create:Workload/m", "Create:Workload/n"],
        ["Create:Key/k"],
        ["Delete:Route/old"],
        ["Delete:Workload/old"],
    ]


def test_intent_comes_before_the_first_write_and_ends_after_the_last() -> None:
    east = Writes()
    apply_plan(plan(desired(*endpoints("a")), world()), {EAST: east}, ALL)

    assert east.log == ["intent 1", "wave create:Workload/a", "done"]


def test_nothing_to_write_opens_no_session() -> None:
    east = Writes()
    apply_plan(plan(desired(*OTHERS), world(*OTHERS)), {EAST: east}, ALL)

    assert east.log == []


def test_what_is_held_is_not_written() -> None:
    edge, east = Writes(), Writes()
    found = plan(desired(), world(*OTHERS))

    assert found.held
    assert apply_plan(found, {EAST: east, EDGE: edge}, ALL) == Written()
    assert (east.log, edge.log) == ([], [])


def test_artifacts_are_healed_by_an_empty_wave() -> None:
    edge = Writes()
    apply_plan(plan(desired(*OTHERS), world(*OTHERS, pending={EDGE: ("rds.json",)})), {EDGE: edge}, ALL)

    assert edge.log == ["intent 0", "wave ", "done"]


def test_a_heal_that_fails_is_told_although_no_change_failed() -> None:
    found = plan(desired(*OTHERS), world(*OTHERS, pending={EDGE: ("rds.json",)}))

    assert [one.what for one in apply_plan(found, {EDGE: Writes(fails_to_open=True)}, ALL).problems] == ["connection lost"]


def three() -> Plan:
    return plan(desired(workload("a"), workload("b"), workload("c"), api_key("k")), world())


def applied(found: Written) -> dict[str, bool]:
    return {outcome.change.key.name: outcome.applied for outcome in found.outcomes}


def test_a_target_that_fails_does_not_stop_the_others() -> None:
    found = apply_plan(three(), {EAST: Writes("a"), EDGE: Writes()}, ALL)

    assert applied(found) == {"a": False, "b": False, "c": False, "k": True}


def test_what_was_written_before_the_failure_counts_as_applied() -> None:
    """Or a guard would not know of a delete that was done, and let others go in its place."""
    found = apply_plan(three(), {EAST: Writes("b"), EDGE: Writes()}, ALL)

    assert applied(found) == {"a": True, "b": False, "c": False, "k": True}


@pytest.mark.parametrize(
    "error", [TargetUnavailable("connection lost"), Busy("gpu-east is no longer ours to write"), LocalError("Envoy does not start")]
)
def test_a_failure_is_told_once_for_all_that_it_stopped(error: Exception) -> None:
    found = apply_plan(three(), {EAST: Writes("a", error), EDGE: Writes()}, ALL)

    assert [problem.what for problem in found.problems] == [str(error.args[0])]
    assert {one.message for one in found.outcomes if not one.applied} == {str(error.args[0])}


def test_later_waves_of_a_target_that_failed_are_not_tried() -> None:
    seen = world(workload("old"), *OTHERS)
    east = Writes("n")
    found = apply_plan(make_plan(desired(workload("n"), *OTHERS), seen, Situation(NOW, applied="x", targets=TARGETS)), {EAST: east}, ALL)

    assert east.log == ["intent 2", "wave create:Workload/n"]
    assert applied(found) == {"n": False, "old": False}


def test_every_change_has_exactly_one_outcome() -> None:
    for fails_at in ("", "a", "b", "c"):
        found = apply_plan(three(), {EAST: Writes(fails_at), EDGE: Writes()}, ALL)
        assert sorted(outcome.change.key.name for outcome in found.outcomes) == ["a", "b", "c", "k"]
