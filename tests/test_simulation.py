"""Seeded histories through the real pass: every rule checked after each step, and each rule shown to be able to fail.

A failing history is printed as a script; `python -m tests.simulation SEED` replays it. `SIMULATION_SEEDS=5000` plays more than usual.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from reconciler.change import Delete, Reason
from reconciler.desired import Desired
from reconciler.plan import binding, guards, make, needs
from reconciler.plan.view import View
from reconciler.resource import Mark
from reconciler.state import advance
from reconciler.targets.memory.target import MemoryTarget
from tests.simulation.history import EVENTS, History, Violated

CHUNK = 50
QUICK = 50
TRIES = 120
SEEDS = int(os.environ.get("SIMULATION_SEEDS", "1200"))
SEEN: Counter[str] = Counter()


def chunks() -> Iterator[object]:
    for first in range(1, SEEDS + 1, CHUNK):
        last = min(first + CHUNK - 1, SEEDS)
        yield pytest.param(range(first, last + 1), id=f"{first}-{last}", marks=[] if last <= QUICK else [pytest.mark.slow])


@pytest.mark.parametrize("seeds", list(chunks()))
def test_histories_keep_every_rule(seeds: range) -> None:
    for seed in seeds:
        try:
            SEEN.update(History(seed).run().counts)
        except Violated as broken:
            pytest.fail(str(broken), pytrace=False)


def test_the_same_seed_is_the_same_history() -> None:
    assert History(7).run().script == History(7).run().script


@pytest.mark.slow  # of fewer histories it would not be true
def test_every_kind_of_event_and_every_reason_to_hold_occurred() -> None:
    """Else the histories above would prove less than they seem to."""
    if not SEEN:
        pytest.skip("plays no histories by itself")
    events = {event.__name__ for event, _ in EVENTS} | {"killed"}
    reasons = {f"held: {reason}" for reason in Reason if reason is not Reason.APPROVAL}  # nothing asks for approvals yet
    rules = {f"guard: {rule}" for rule in ("rewound", "empty", "history", "deletes", "restarts", "keys")}

    assert {name for name in events | reasons | rules if not SEEN[name]} == set()


# --- rules switched off, one at a time: the invariant that stands for each must notice


def ours_is_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(View, "is_ours", lambda view, found: isinstance(found.mark, Mark))


def no_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "trips", lambda view, found: ())


def no_rewinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "GUARDS", tuple(one for one in guards.GUARDS if one is not guards.rewinds_the_branch))


def no_lost_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "GUARDS", tuple(one for one in guards.GUARDS if one is not guards.forgets_history))


def no_waiting_before_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = make.waits
    monkeypatch.setattr(make, "waits", lambda view, operation: None if isinstance(operation, Delete) else waits(view, operation))


def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "waits", lambda view, operation: None)


def no_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "drain_left", lambda view, backend, since: 0.0)


def no_known_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        binding, "bound_addresses", lambda view, keys, known: tuple((key, binding._offered(view, key)) for key in sorted(keys))
    )


def no_protection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "_protected", lambda view: frozenset())


def no_memory_of_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advance, "_still_known", lambda record, desired, live, plan: desired.targets)


def no_isolation(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is broken counts as gone."""
    whole = make.make_plan

    def plan(desired: Desired, *rest: object) -> object:
        return whole(replace(desired, blocked={}, no_deletes=""), *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("reconciler.reconcile.make_plan", plan)


def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    write = MemoryTarget._write

    def unguarded(target: MemoryTarget, change: object) -> object:
        held, target.context = target.context, replace(target.context, still_held=lambda: True)
        try:
            return write(target, change)  # type: ignore[arg-type]
        finally:
            target.context = held

    monkeypatch.setattr(MemoryTarget, "_write", unguarded)


def no_rebinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "rebinds", lambda view, busy: ())


@pytest.mark.slow  # each plays histories until the rule is missed
@pytest.mark.parametrize(
    ("switch_off", "noticed"),
    [
        (ours_is_everything, "only_ours_is_touched"),
        (no_guards, "guards_hold"),
        (no_guards, "nothing_is_emptied_unasked"),
        (no_lost_history, "amnesia_deletes_nothing"),
        (no_rewinds, "a_rewound_branch_waits"),
        (no_waiting, "nothing_is_routed_to_what_never_served"),
        (no_waiting_before_an_end, "a_backend_outlives_its_routes"),
        (no_waiting_before_an_end, "no_backend_ends_behind_an_unread_gateway"),
        (no_drains, "a_backend_outlives_its_routes"),
        (no_known_addresses, "known_addresses_are_never_emptied"),
        (no_protection, "protected_endpoints_stay"),
        (no_memory_of_targets, "intent_is_recorded"),
        (no_isolation, "a_published_route_stays"),
        (no_lock, "one_writer"),
        (no_rebinds, "does not know the addresses"),
    ],
)
def test_a_rule_that_is_switched_off_is_missed(
    switch_off: Callable[[pytest.MonkeyPatch], None], noticed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_off(monkeypatch)

    for seed in range(1, TRIES + 1):
        try:
            History(seed).run()
        except Violated as broken:
            if noticed in str(broken):
                return
    pytest.fail(f"{TRIES} histories, and {noticed} says nothing")
