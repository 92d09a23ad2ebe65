"""The benchmark of Kubernetes runs from end to end on a small fleet, and what it counts at the server is right. No time is judged here."""

import pytest

from bench import kubernetes
from bench.measure import Row

FEW = kubernetes.Sizes(endpoints=20, growth=(5, 40), rounds=1, passes=2)
OBJECTS = 82  # 20 of each of four kinds, and two namespaces


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_row_of_the_benchmark_is_there_and_nothing_to_do_writes_nothing() -> None:
    rows = kubernetes.run(FEW).rows

    def row(beginning: str) -> Row:
        return next(one for one in rows if one.what.startswith(beginning))

    compared = [one for one in rows if one.goal.endswith("x") and " more" not in one.ratio and "noise" not in one.ratio]
    assert [one.goal for one in compared] == [">= 15x", ">= 4x", ">= 10x", ">= 3x", ">= 2x", "<= 1.3x"]
    assert all(float(one.ratio.removesuffix("x")) > 0 for one in compared)
    assert float(row("create: writes").ratio.removesuffix("%")) > 0

    nothing = row("writes of an apply, nothing to do")
    assert (nothing.ours, nothing.met) == ("0", True)
    assert nothing.peer.startswith(f"{OBJECTS} ")
    assert row("apply of a commit that changes 1 %").what.endswith("(writes: 1)")

    asked = row("requests of a plan")
    assert asked.met, asked
    assert asked.peer.startswith(f"{OBJECTS} get, {OBJECTS} patch")
    assert row("daemon: requests").met
    assert row("daemon: requests").ours == asked.ours
