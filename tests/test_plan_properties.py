"""Properties of plans over fleets that nobody thought of: hypothesis makes worlds and declarations, the memory target applies the plans."""

import random
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.apply import apply_plan
from reconciler.change import Delete, Plan, Replace, Update
from reconciler.desired import Desired, Guards
from reconciler.observe import observe
from reconciler.plan.make import make_plan
from reconciler.plan.situation import Situation
from reconciler.resource import Binding, Json, Live, LiveResource, Mark, Observation, Resource
from reconciler.targets.memory.rules import RULES
from reconciler.targets.memory.target import MemoryTarget
from reconciler.targets.memory.world import Stored, World
from reconciler.targets.protocol import Claim, Context
from tests.fleet import (
    EAST,
    EDGE,
    INSTANCE,
    NOW,
    NOWHERE,
    REPO,
    TARGETS,
    WEST,
    api_key,
    desired,
    draining,
    live,
    plan,
    route,
    serving,
    work_key,
    workload,
    world,
)

NAMES = "abcd"
LOOSE = Guards(1.0, 1.0, 1.0)
names = st.sets(st.sampled_from(NAMES))
fleet = partial(settings, deadline=None, max_examples=150)


@st.composite
def declared(draw: st.DrawFn) -> Desired:
    """Endpoints on either cluster, with or without a pause, of any size; keys; some blocked."""
    resources: list[Resource] = []
    asleep, blocked = draw(names), draw(names)
    for name in sorted(draw(names) | asleep):
        if name in blocked:
            continue
        if name in asleep:
            resources.append(route(name, *NOWHERE))
            continue
        target, replicas, model = draw(st.sampled_from([EAST, WEST])), draw(st.integers(1, 2)), draw(st.sampled_from(["m", "n"]))
        resources += [
            workload(name, target, replicas=replicas, model=model),
            route(name, work_key(name, target), retries=draw(st.integers(0, 1))),
        ]
    resources += [api_key(name) for name in draw(names)]
    return desired(*resources, asleep=asleep - blocked, blocked=blocked, guards=LOOSE)


MARKS = st.sampled_from([None, Mark("other", REPO, "Endpoint/x/y", "d"), Mark(INSTANCE, "8" * 40, "Endpoint/x/y", "d")])


@st.composite
def found(draw: st.DrawFn) -> list[LiveResource]:
    """Whatever lives: ours in any state, and others'."""
    lives: list[LiveResource] = []
    for name in NAMES:
        for target in (EAST, WEST):
            if draw(st.booleans()):
                facts = serving(draw(st.integers(0, 2)), 2, gave_up=draw(st.booleans()), since=NOW - draw(st.sampled_from([10, 5000])))
                lives.append(live(workload(name, target, replicas=draw(st.integers(1, 3))), serving=facts))
        kind = draw(st.sampled_from(["none", "open", "draining", "paused"]))
        if kind == "open":
            lives.append(live(route(name, work_key(name, draw(st.sampled_from([EAST, WEST]))))))
        elif kind == "draining":
            lives.append(draining(route(name), work_key(name), since=NOW - draw(st.sampled_from([1, 100]))))
        elif kind == "paused":
            lives.append(live(route(name, *NOWHERE)))
        if draw(st.booleans()):
            lives.append(live(api_key(name)))
    return [replace(one, mark=draw(MARKS)) if draw(st.integers(0, 5)) == 0 else one for one in lives]


def is_ours(one: LiveResource) -> bool:
    return one.mark is not None and (one.mark.instance, one.mark.repo) == (INSTANCE, REPO)


@fleet()
@given(declared(), found(), st.sets(st.sampled_from([EAST, WEST, EDGE])))
def test_nothing_without_our_mark_is_ever_in_a_delete_or_an_update(wanted: Desired, lives: list[LiveResource], dark: set[str]) -> None:
    made = plan(wanted, world(*lives, dark=dark))

    assert all(is_ours(op.live) for op in made.operations if isinstance(op, Delete | Update | Replace))
    assert all(is_ours(rebind.live) for rebind in made.rebinds)
    assert not any(op.key.target in dark for op in made.operations)


@fleet()
@given(declared(), found(), st.randoms())
def test_a_plan_does_not_depend_on_the_order_of_its_input(wanted: Desired, lives: list[LiveResource], chance: random.Random) -> None:
    shuffled = list(lives)
    chance.shuffle(shuffled)
    resources = list(wanted.resources.items())
    chance.shuffle(resources)
    owners = list(wanted.owners.items())
    chance.shuffle(owners)
    other = replace(wanted, resources=dict(resources), owners=dict(owners))
    turned = dict(reversed(world(*shuffled).items()))

    assert plan(other, turned) == plan(wanted, world(*lives))


@fleet()
@given(declared(), found(), st.integers(0, 3), st.sampled_from([NOW, NOW + 12.5]))
def test_the_digest_knows_nothing_of_what_is_bound_late(wanted: Desired, lives: list[LiveResource], attempt: int, since: float) -> None:
    bound = [
        replace(
            one,
            version="other",
            addresses=("elsewhere:1",) if one.addresses else (),
            binding=Binding(
                tuple((key, ("elsewhere:1",)) for key in one.needs), attempt, tuple((key, since) for key, _ in one.binding.drains)
            ),
        )
        for one in lives
    ]

    assert plan(wanted, world(*bound)).digest == plan(wanted, world(*lives)).digest


@fleet()
@given(declared(), found())
def test_every_operation_is_either_run_or_held_once(wanted: Desired, lives: list[LiveResource]) -> None:
    made = plan(wanted, world(*lives))
    keys = [op.key for op in made.operations]

    assert len(keys) == len(set(keys))
    assert not {op.key for op in made.changes} & {rebind.key for rebind in made.rebinds}
    assert all(held.text for held in made.held)


@fleet()
@given(declared(), found())
def test_no_route_is_opened_to_what_does_not_serve(wanted: Desired, lives: list[LiveResource]) -> None:
    made, seen = plan(wanted, world(*lives)), {one.key: one for one in lives}
    for op in made.changes:
        if not isinstance(op, Delete | Replace):
            known = op.live.needs if isinstance(op, Update) and not op.live.withdrawn else ()
            assert all(seen[key].meets_needs for key in op.desired.needs if key not in known)


@fleet()
@given(declared(), found())
def test_nothing_that_a_route_uses_is_deleted(wanted: Desired, lives: list[LiveResource]) -> None:
    made = plan(wanted, world(*lives))
    used = {key for one in lives if is_ours(one) and not one.withdrawn for key in one.needs}

    assert not {op.key for op in made.changes if isinstance(op, Delete)} & used


class Fleet:
    """The three targets in one memory world, and passes over them without guards."""

    def __init__(self) -> None:
        self.world = World()
        context = Context(Path("/nowhere"), Claim(INSTANCE, REPO), True, lambda: self.world.now)
        self.targets: Mapping[str, MemoryTarget] = {name: MemoryTarget(spec, context, self.world) for name, spec in TARGETS.items()}

    def plan(self, wanted: Desired) -> Plan:
        seen: Live = observe(self.targets, {}, wanted.resources, parallel=False)
        assert all(isinstance(one, Observation) for one in seen.values())
        return make_plan(wanted, seen, Situation(self.world.now, applied="r", targets=TARGETS, applied_guards=LOOSE))

    def converge(self, wanted: Desired) -> int:
        """Passes until nothing is left to do; every time that something runs, it is in the world afterwards."""
        for number in range(12):
            made = self.plan(wanted)
            if not (made.changes or made.rebinds or any(held.change for held in made.held)):
                return number
            written = apply_plan(made, self.targets, dict.fromkeys(TARGETS, RULES))
            assert all(outcome.applied for outcome in written.outcomes), written
            self.world.now += 31
        raise AssertionError(f"not converged: {made.changes} {made.held} {made.rebinds}")


def any_endpoint(one: Desired) -> bool:
    return any(owner.startswith("Endpoint/") for owner in {**one.owners, **one.blocked})


@settings(deadline=None, max_examples=60)
@given(st.lists(declared().filter(any_endpoint), min_size=1, max_size=3))
def test_whatever_is_declared_one_after_the_other_the_plan_is_empty_in_the_end(commits: list[Desired]) -> None:
    ground = Fleet()
    for number, wanted in enumerate(commits):
        ground.converge(replace(wanted, revision=f"{number}"))
        live_now = {key for key in ground.world.stored if key.kind == "Workload"}
        kept = {key for key in live_now if f"Endpoint/team-a/{key.name}" in wanted.blocked}
        assert live_now - kept == {key for key in wanted.resources if key.kind == "Workload"}


@settings(deadline=None, max_examples=60)
@given(declared().filter(any_endpoint))
def test_the_plan_after_an_apply_is_empty_and_writes_nothing(wanted: Desired) -> None:
    ground = Fleet()
    ground.converge(wanted)
    writes = ground.world.writes
    ground.converge(wanted)

    assert ground.world.writes == writes


@settings(deadline=None, max_examples=60)
@given(declared().filter(any_endpoint), st.data())
def test_drift_of_any_kind_is_put_back(wanted: Desired, data: st.DataObject) -> None:
    ground = Fleet()
    ground.converge(wanted)
    for key in data.draw(st.sets(st.sampled_from(sorted(ground.world.stored)))) if ground.world.stored else ():
        entry: Stored = ground.world.stored[key]
        drifted: dict[str, Json] = {**entry.manifest, "replicas": 9}
        ground.world.put(replace(entry, manifest=drifted))
    ground.converge(wanted)

    assert {key: entry.manifest for key, entry in ground.world.stored.items()} == {
        key: one.manifest for key, one in wanted.resources.items()
    }
