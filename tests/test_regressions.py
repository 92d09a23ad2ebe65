"""Mistakes that the simulation found, each as the smallest case that shows it. The rule's number is in the test's name or first line."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from reconciler.change import ChangeClass, Create, Effects
from reconciler.compile import compile_declarations
from reconciler.desired import Guards, Remembered, TargetSpec
from reconciler.places import places
from reconciler.plan.guards import move
from reconciler.plan.situation import Spent
from reconciler.repo.memory import MemorySource
from reconciler.repo.read import read_repo
from reconciler.resource import Binding
from reconciler.state.advance import before_writes, situate
from reconciler.state.history import Past
from reconciler.state.memory import MemoryLock, MemoryState
from reconciler.state.record import Record
from reconciler.targets.memory.target import MemoryTarget
from reconciler.targets.memory.world import World
from reconciler.targets.protocol import Claim, Context
from tests.fleet import EAST, EDGE, INSTANCE, NOW, NOWHERE, REPO, TARGETS, desired, endpoints, owner_of, plan, route, said, workload, world


def memory_target(world: World, lock: MemoryLock | None = None) -> MemoryTarget:
    held = lock.held if lock else lambda: True
    return MemoryTarget(TARGETS[EAST], Context(Path("/nowhere"), Claim(INSTANCE, REPO), True, lambda: world.now, held), world)


def test_rule_8_a_lock_that_is_lost_in_the_middle_of_a_wave_ends_it() -> None:
    there, lock = World(), MemoryLock()
    target = memory_target(there, lock)
    wave = [Create(workload(name), Effects(ChangeClass.CREATE)) for name in "ab"]

    done = iter(target.write(wave))
    assert next(done).applied
    lock.lost = True

    assert "no longer ours" in _error_of(done)
    assert len(there.stored) == 1


def _error_of(outcomes: object) -> str:
    try:
        next(outcomes)  # type: ignore[call-overload]
    except Exception as error:
        return str(error)
    return ""


def test_rule_7_a_create_writes_over_nothing_that_appeared_meanwhile() -> None:
    there = World()
    theirs = Create(workload("a", replicas=7), Effects(ChangeClass.CREATE))
    other = Context(Path("/nowhere"), Claim("other", REPO), True, lambda: there.now)
    list(MemoryTarget(TARGETS[EAST], other, there).write([theirs]))

    (outcome,) = memory_target(there).write([Create(workload("a"), Effects(ChangeClass.CREATE))])

    assert not outcome.applied
    assert there.stored[workload("a").key].mark == theirs.desired.mark("other", REPO)


def test_a_create_can_be_tried_again() -> None:
    there = World()
    change = Create(workload("a"), Effects(ChangeClass.CREATE), Binding())

    outcomes = [*memory_target(there).write([change]), *memory_target(there).write([change])]

    assert [outcome.applied for outcome in outcomes] == [True, True]


def test_rule_1_a_gateway_that_does_not_bind_the_cluster_any_more_may_still_send_requests_there() -> None:
    """It was dropped from `clusters` in the very commit that moved its endpoints, and the gateway has not been reached since."""
    left = {name: spec for name, spec in TARGETS.items() if name != EAST} | {EDGE: TargetSpec(EDGE, "memory", binds=("gpu-west",))}
    wanted = replace(desired(*endpoints("x", "y")), targets=left)
    before = Record(remembered=Remembered(revision="a" * 40, targets=TARGETS))

    known = situate(before_writes(before, wanted, plan(wanted, world())), wanted, Past(), now=NOW).targets
    found = plan(wanted, world(workload("a"), *endpoints("x", "y"), dark=[EDGE]), targets=known)

    assert f"unreadable: delete {EAST}: Workload/team-a/a" in said(found)


def compiled(files: Mapping[str, str], remembered: Remembered) -> str:
    source = MemorySource()
    source.commit(files)
    return compile_declarations(read_repo(source, {}), remembered, {}).instance


def test_rule_3_a_repo_without_settings_keeps_the_instance_that_its_mark_names() -> None:
    """Else an emptied repo would not know any more what is its own, and forget it."""
    assert compiled({"README.md": ""}, Remembered(revision="a" * 40, instance="prod")) == "prod"
    assert compiled({"README.md": ""}, Remembered()) == "default"


def test_rule_8_a_lost_lock_is_taken_again_by_the_next_pass() -> None:
    """Else a daemon whose lock file somebody removed would refuse every write until it is restarted."""
    there, state, locks = World(), MemoryState(), []

    def take(target: str, who: str) -> MemoryLock:
        locks.append(MemoryLock())
        return locks[-1]

    state.lock = take  # type: ignore[method-assign]
    with places(state, "run", write=True, now=lambda: there.now, opener=lambda spec, context: MemoryTarget(spec, context, there)) as kept:
        kept.open({EAST: TARGETS[EAST]}, Claim(INSTANCE, REPO))
        locks[0].lost = True
        opened, _ = kept.open({EAST: TARGETS[EAST]}, Claim(INSTANCE, REPO))

        (outcome,) = opened[EAST].write([Create(workload("a"), Effects(ChangeClass.CREATE))])  # type: ignore[attr-defined]

    assert outcome.applied


TEN = "abcdefghij"


def test_rule_4_a_restart_that_began_earlier_is_no_licence_to_delete() -> None:
    """It was begun, and something of it was left, when the next revision removed it with others."""
    begun = Spent("b" * 40, begun=frozenset({move(owner_of(name)) for name in "abc"}))
    found = plan(desired(*endpoints(*TEN[3:])), world(*endpoints(*TEN)), spent=begun)

    assert [trip.rule for trip in found.trips] == ["deletes"]


def test_rule_4_what_was_restarted_at_an_earlier_revision_counts_when_it_restarts_again() -> None:
    begun = Spent("b" * 40, begun=frozenset({owner_of(name) for name in TEN} | {move(owner_of(name)) for name in TEN}))
    seen = [part for name in TEN for part in (workload(name, command=["serve", "other"]), route(name))]
    found = plan(desired(*endpoints(*TEN)), world(*seen), spent=begun)

    assert [trip.rule for trip in found.trips] == ["restarts"]


def test_rule_4_a_killed_pass_that_wrote_nothing_has_begun_nothing() -> None:
    """Its intent counted at its own revision; the next revision, which empties the repo, must not pass as the end of it."""
    first = desired(*endpoints(*TEN[1:]))
    killed = before_writes(Record(head="a" * 40), first, plan(first, world(*endpoints(*TEN))))
    empty = replace(desired(), revision="c" * 40)
    found = plan(empty, world(*endpoints(*TEN)), spent=situate(killed, empty, Past(), now=NOW).spent)

    assert "empty" in [trip.rule for trip in found.trips]
    assert f"guard: delete {EDGE}: Route/team-a/a" in said(found)


def test_rule_4_a_killed_delete_of_what_never_had_a_route_counts_again() -> None:
    """Nothing shows that it was begun."""
    first = desired(*endpoints(*TEN[1:]))
    killed = before_writes(Record(head="a" * 40), first, plan(first, world(workload("a"), *endpoints(*TEN[1:]))))
    empty = replace(desired(), revision="c" * 40)
    found = plan(empty, world(workload("a")), spent=situate(killed, empty, Past(), now=NOW).spent)

    assert [trip.rule for trip in found.trips] == ["empty"]


def test_rule_6_a_head_that_a_killed_pass_acted_on_is_remembered() -> None:
    """Else the branch could go back behind it unseen."""
    wanted = desired(*endpoints("a"), revision="c" * 40)
    killed = before_writes(Record(head="a" * 40), wanted, plan(wanted, world()))

    assert killed.head == "c" * 40


def test_rule_6_a_killed_pass_does_not_answer_a_lost_history() -> None:
    """It deletes nothing and creates something; what it holds is still to be acknowledged."""
    wanted = desired(*endpoints("a"), revision="c" * 40)
    found = plan(wanted, world(*endpoints("b")), applied="")

    assert found.changes
    assert before_writes(Record(), wanted, found).head == ""


def test_rule_4_pauses_count_while_their_cluster_cannot_be_read() -> None:
    """All that is seen of them is routes that take no traffic any more."""
    resting = tuple(route(name, *NOWHERE, paused=True) for name in "abc")
    wanted = desired(*resting, *endpoints(*TEN[3:]), asleep="abc")
    found = plan(wanted, world(*endpoints(*TEN), dark=[EAST]))

    assert [trip.rule for trip in found.trips] == ["deletes"]
    assert not found.changes


def test_rule_4_while_nothing_was_applied_whole_new_settings_lift_no_guard() -> None:
    """A conflict of the first revision may stay for months: until then the defaults stand for the applied Settings."""
    wanted = desired(*endpoints(*TEN[4:]), guards=Guards(1.0, 1.0, 1.0))

    assert [trip.rule for trip in plan(wanted, world(*endpoints(*TEN)), applied_guards=None).trips] == ["deletes"]
