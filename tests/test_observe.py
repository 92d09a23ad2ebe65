"""Reading targets: an error is a value, never an empty set, and one dark target dims no other."""

import threading
import time
from collections.abc import Iterator, Mapping

import pytest

from reconciler.errors import Problem, TargetRefused, TargetUnavailable
from reconciler.observe import observe
from reconciler.resource import Observation, Resource, ResourceKey, Unreadable
from tests.fleet import EAST, EDGE, WEST, route, workload


class Reads:
    """A reader that answers or fails, and remembers what it was asked for."""

    def __init__(self, name: str, error: Exception | None = None) -> None:
        self.name, self.error, self.asked = name, error, list[ResourceKey]()

    def read(self, wanted: Mapping[ResourceKey, Resource]) -> Observation:
        self.asked += wanted
        if self.error:
            raise self.error
        return Observation(self.name, {})

    def changed(self) -> Iterator[None]:
        yield from ()

    def close(self) -> None: ...


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("error", [TargetUnavailable("no answer"), TargetRefused("401")])
def test_a_target_that_fails_is_unreadable_and_the_others_are_read(error: Exception, parallel: bool) -> None:
    found = observe({EAST: Reads(EAST, error), EDGE: Reads(EDGE)}, {}, {}, parallel=parallel)

    assert found[EAST] == Unreadable(EAST, error.problem)  # type: ignore[attr-defined]
    assert found[EDGE] == Observation(EDGE, {})


def test_a_target_that_could_not_be_opened_is_unreadable() -> None:
    busy = Problem("S2", "edge is being written by `reconciler run`")

    assert observe({}, {EDGE: busy}, {}) == {EDGE: Unreadable(EDGE, busy)}


def test_each_reader_is_told_what_is_wanted_of_it() -> None:
    readers = {EAST: Reads(EAST), EDGE: Reads(EDGE)}
    wanted = (workload("a"), workload("b"), route("a"), workload("a", WEST))
    observe(readers, {WEST: Problem("T2", "away")}, {one.key: one for one in wanted})

    assert readers[EAST].asked == [workload("a").key, workload("b").key]
    assert readers[EDGE].asked == [route("a").key]


class Leaves(BaseException):
    """As the daemon leaves a pass when it is told to end."""


def test_who_leaves_in_the_middle_does_not_wait_for_the_readings_of_others() -> None:
    """They end when their targets are closed, which comes after."""
    closed = threading.Event()
    slow, leaving = Reads(EAST), Reads(EDGE)
    slow.read = lambda wanted: (closed.wait(60), Observation(EAST, {}))[1]  # type: ignore[method-assign, assignment]
    leaving.error = Leaves()  # type: ignore[assignment]
    try:
        with pytest.raises(Leaves):
            observe({EDGE: leaving, WEST: slow}, {}, {})
        assert not closed.is_set()
    finally:
        closed.set()


def test_who_passes_again_waits_so_that_no_target_is_read_twice_at_once() -> None:
    began, ended = threading.Event(), threading.Event()

    def slowly(wanted: object) -> Observation:
        began.set()
        time.sleep(0.2)
        ended.set()
        return Observation(WEST, {})

    slow, broken = Reads(WEST), Reads(EDGE)
    slow.read = slowly  # type: ignore[method-assign]
    broken.read = lambda wanted: 1 // 0 if began.wait(60) else None  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(ZeroDivisionError):
        observe({EDGE: broken, WEST: slow}, {}, {})

    assert ended.is_set()


def test_a_mistake_of_ours_is_not_taken_for_an_unreadable_target() -> None:
    with pytest.raises(ZeroDivisionError):
        observe({EAST: Reads(EAST, ZeroDivisionError())}, {}, {})
