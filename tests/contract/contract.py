"""The contract of `targets/protocol.py` as cases. A target takes part with a `Place`: `test_memory.py`, `tests/real/test_contract_*.py`."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import pytest

from reconciler import checkpoint
from reconciler.change import Change, ChangeClass, Create, Delete, Effects, Outcome, Rebind, Update
from reconciler.errors import Busy, TargetError
from reconciler.packed import Packed
from reconciler.plan.fields import field_changes
from reconciler.resource import Binding, LiveResource, Observation, Resource, ResourceKey
from reconciler.targets.protocol import Claim, Target

OURS, THEIRS, FORK = Claim("default", "root"), Claim("other", "root"), Claim("default", "another-root")
EFFECTS = Effects(ChangeClass.IN_PLACE)


class Killed(BaseException):
    """As SIGKILL: nothing that runs catches it."""


class Place(Protocol):
    """A place to write to, for one test. Names are its own: several tests may share one server."""

    def open(self, claim: Claim = OURS, *, write: bool = True, held: Callable[[], bool] = lambda: True) -> Target: ...

    def wanted(self, name: str, form: int = 0) -> Resource:
        """A resource; another `form` is another manifest of the same key, that can be written in place."""

    def intrude(self, key: ResourceKey, mark: Claim | None) -> None:
        """Somebody else puts something there: with another's mark, or with none. Skips the test where nobody else can."""

    def meddle(self, key: ResourceKey) -> None:
        """Somebody changes what we have there. Skips the test where that is drift of generated files and no other live state."""

    def broken(self) -> contextlib.AbstractContextManager[Target]:
        """The target in a state in which it cannot be read."""

    def tick(self, seconds: float) -> None:
        """Time passes, where the place has its own clock."""


def read(place: Place, *wanted: Resource, claim: Claim = OURS) -> Observation:
    with contextlib.closing(place.open(claim)) as target:
        return target.read({one.key: one for one in wanted})


def write(place: Place, *changes: Change, claim: Claim = OURS) -> Sequence[Outcome]:
    """As a pass does it: read, then write within a session."""
    with contextlib.closing(place.open(claim)) as target:
        target.read({change.key: change.desired for change in changes if isinstance(change, Create | Update)})
        with target.session(changes) as writer:
            return list(writer.write(changes))


def live(place: Place, wanted: Resource, claim: Claim = OURS) -> LiveResource:
    found = read(place, wanted, claim=claim).resources.get(wanted.key)
    assert found is not None
    return found


def difference(wanted: Sequence[Resource], seen: Mapping[ResourceKey, LiveResource], names: set[str]) -> list[Change]:
    """What is left to do, of the names of this test only."""
    changes: list[Change] = []
    for one in wanted:
        found = seen.get(one.key)
        if found is None:
            changes.append(Create(one, EFFECTS))
        elif found.manifest != one.manifest or found.withdrawn or (found.mark and found.mark.digest != one.digest):
            changes.append(Update(one, found, field_changes(found.manifest, one.manifest), EFFECTS, found.binding))
    keys = {one.key for one in wanted}
    gone = (found for key, found in seen.items() if key not in keys and key.name in names and is_ours(found))
    return changes + [Delete(found, EFFECTS) for found in gone]


def is_ours(found: LiveResource) -> bool:
    return found.mark is not None and (found.mark.instance, found.mark.repo) == (OURS.instance, OURS.repo)


def converge(place: Place, wanted: Sequence[Resource], names: set[str]) -> int:
    """Passes until nothing is left; how many of them wrote."""
    for number in range(6):
        seen = read(place, *wanted)
        changes = difference(wanted, seen.resources, names)
        if not changes and not seen.pending:
            return number
        assert [outcome for outcome in write(place, *changes) if not outcome.applied] == []
        place.tick(100)
    raise AssertionError(f"does not converge: {changes} {seen.pending}")


@contextlib.contextmanager
def heard(kill_at: int = 0) -> Iterator[list[str]]:
    """The places between writes that are reached; dies at the one with this number."""
    reached: list[str] = []

    def hear(place: str) -> None:
        reached.append(place)
        if len(reached) == kill_at:
            raise Killed(place)

    checkpoint.listen(hear)
    try:
        yield reached
    finally:
        checkpoint.listen(None)


class AnyResource:
    """Cases for any kind of resource at any target; a subclass gives the fixture `place`."""

    @pytest.fixture(autouse=True)
    def _cleaned(self, place: Place) -> Iterator[None]:
        yield
        converge(place, [], {"one", "two", "three"})

    def test_what_was_created_is_read_back_equal_with_our_mark(self, place: Place) -> None:
        wanted = place.wanted("one")
        (outcome,) = write(place, Create(wanted, EFFECTS))
        found = live(place, wanted)

        assert outcome.applied
        assert field_changes(found.manifest, wanted.manifest) == ()
        assert found.mark == wanted.mark(OURS.instance, OURS.repo)
        assert set(found.needs) == set(wanted.needs)

    def test_one_of_ours_is_shown_although_nobody_wants_it(self, place: Place) -> None:
        wanted = place.wanted("one")
        write(place, Create(wanted, EFFECTS))

        assert read(place).resources[wanted.key].mark == wanted.mark(OURS.instance, OURS.repo)

    def test_an_update_changes_manifest_and_mark(self, place: Place) -> None:
        write(place, Create(place.wanted("one"), EFFECTS))
        other = place.wanted("one", 1)
        found = live(place, other)
        (outcome,) = write(place, Update(other, found, field_changes(found.manifest, other.manifest), EFFECTS))

        assert outcome.applied
        assert field_changes(live(place, other).manifest, other.manifest) == ()
        assert live(place, other).mark == other.mark(OURS.instance, OURS.repo)

    def test_a_manifest_that_is_still_packed_is_written_as_any_other(self, place: Place) -> None:
        """As it comes out of the state folder, in every command after the first."""
        one, other = (replace(wanted, manifest=Packed.of(wanted.manifest)) for wanted in (place.wanted("one"), place.wanted("one", 1)))
        write(place, Create(one, EFFECTS))
        found = live(place, one)
        assert field_changes(found.manifest, one.manifest) == ()

        (outcome,) = write(place, Update(other, found, field_changes(found.manifest, other.manifest), EFFECTS))
        assert outcome.applied
        assert field_changes(live(place, other).manifest, place.wanted("one", 1).manifest) == ()

    def test_a_changed_mark_alone_is_written(self, place: Place) -> None:
        wanted = place.wanted("one")
        write(place, Create(wanted, EFFECTS))
        protected = replace(wanted, protect=True)
        (outcome,) = write(place, Update(protected, live(place, wanted), (), EFFECTS))

        assert outcome.applied
        found = live(place, wanted)
        assert found.mark is not None
        assert found.mark.protect

    def test_a_delete_ends_in_nothing(self, place: Place) -> None:
        wanted = place.wanted("one")
        write(place, Create(wanted, EFFECTS))
        converge(place, [], {"one"})

        assert wanted.key not in read(place, wanted).resources

    def test_others_stay_as_they_are(self, place: Place) -> None:
        one, two = place.wanted("one"), place.wanted("two")
        write(place, Create(one, EFFECTS), Create(two, EFFECTS))
        before = live(place, two)
        other = place.wanted("one", 1)
        write(place, Update(other, live(place, one), (), EFFECTS))
        after = live(place, two)

        assert (after.manifest, after.mark, after.binding) == (before.manifest, before.mark, before.binding)

    def test_writing_twice_is_safe(self, place: Place) -> None:
        wanted = place.wanted("one")
        change = Create(wanted, EFFECTS)
        write(place, change)
        write(place, change)

        assert field_changes(live(place, wanted).manifest, wanted.manifest) == ()
        assert [key.name for key in read(place).resources if key.name == "one"] == ["one"]

    def test_deleting_twice_is_safe(self, place: Place) -> None:
        wanted = place.wanted("one")
        write(place, Create(wanted, EFFECTS))
        change = Delete(live(place, wanted), EFFECTS)
        write(place, change)
        first = read(place).resources.get(wanted.key)
        write(place, change)
        second = read(place).resources.get(wanted.key)

        assert (second is None) == (first is None), "a route that was just withdrawn is not forgotten before it has drained"

    def test_a_second_session_has_nothing_to_do_and_writes_nothing(self, place: Place) -> None:
        wanted = [place.wanted("one"), place.wanted("two")]
        converge(place, wanted, {"one", "two"})
        with heard() as reached:
            assert converge(place, wanted, {"one", "two"}) == 0
            write(place)

        assert reached == []

    @pytest.mark.parametrize("mark", [None, THEIRS, FORK], ids=["no mark", "another instance", "another repo"])
    def test_what_others_hold_is_shown_where_it_is_wanted_and_never_written_over(self, place: Place, mark: Claim | None) -> None:
        wanted = place.wanted("three")
        place.intrude(wanted.key, mark)
        before = live(place, wanted)
        outcomes = write(place, Create(wanted, EFFECTS))
        after = live(place, wanted)

        assert not is_ours(before)
        assert [outcome.applied for outcome in outcomes] == [False]
        assert (after.manifest, after.mark) == (before.manifest, before.mark)

    @pytest.mark.parametrize("mark", [None, THEIRS], ids=["no mark", "another instance"])
    def test_what_others_hold_is_untouched_by_writes_beside_it(self, place: Place, mark: Claim | None) -> None:
        theirs = place.wanted("three")
        place.intrude(theirs.key, mark)
        before = live(place, theirs)
        write(place, Create(place.wanted("one"), EFFECTS))
        converge(place, [], {"one"})

        assert live(place, theirs).manifest == before.manifest

    def test_what_changed_since_it_was_planned_is_not_overwritten(self, place: Place) -> None:
        wanted, other = place.wanted("one"), place.wanted("one", 1)
        write(place, Create(wanted, EFFECTS))
        planned = live(place, wanted)
        place.meddle(wanted.key)
        between = live(place, wanted)
        for change in (Update(other, planned, (), EFFECTS), Delete(planned, EFFECTS)):
            (outcome,) = write(place, change)
            assert not outcome.applied
            assert "changed since planned" in outcome.message
            assert live(place, wanted).manifest == between.manifest

    def test_a_reading_that_fails_raises_and_is_never_shorter(self, place: Place) -> None:
        write(place, Create(place.wanted("one"), EFFECTS))
        with place.broken() as target, pytest.raises(TargetError) as caught:
            target.read({})

        assert caught.value.problem.what
        assert place.wanted("one").key in read(place).resources

    def test_reading_for_a_plan_writes_nothing(self, place: Place) -> None:
        write(place, Create(place.wanted("one"), EFFECTS))
        with heard() as reached, contextlib.closing(place.open(write=False)) as target:
            assert place.wanted("one").key in target.read({}).resources

        assert reached == []

    def test_without_the_lock_nothing_is_written(self, place: Place) -> None:
        wanted = place.wanted("one")
        with contextlib.closing(place.open(held=lambda: False)) as target:
            target.read({})
            changes = [Create(wanted, EFFECTS)]
            with pytest.raises(Busy), target.session(changes) as writer:
                list(writer.write(changes))

        assert wanted.key not in read(place, wanted).resources

    def test_killed_between_any_two_writes_the_next_passes_converge(self, place: Place) -> None:
        """one is updated, two created, three deleted; killed at every place that this reaches, and once again after each."""
        before, after = [place.wanted("one"), place.wanted("three")], [place.wanted("one", 1), place.wanted("two")]
        names = {"one", "two", "three"}
        number = 1
        while True:
            converge(place, before, names)
            with heard(kill_at=number) as reached, contextlib.suppress(Killed):
                converge(place, after, names)
            converge(place, after, names)
            ours = {key: found for key, found in read(place).resources.items() if key.name in names}
            assert sorted(key.name for key in ours) == ["one", "two"]
            assert all(field_changes(ours[one.key].manifest, one.manifest) == () for one in after)
            if len(reached) < number:
                break
            number += 1
        assert number > 2, "the writes of this target reach no place where a test could kill it"


def to(*addresses: str, of: Resource, drains: tuple[tuple[ResourceKey, float], ...] = ()) -> Binding:
    return Binding(tuple((key, addresses) for key in sorted(of.needs)), 0, drains)


class Routes(AnyResource):
    """Cases for what carries traffic. `place.wanted(name, 2)` goes to another backend, `place.wanted(name, 3)` to none (paused)."""

    def published(self, place: Place) -> tuple[Resource, LiveResource]:
        wanted = place.wanted("one")
        write(place, Create(wanted, EFFECTS, to("127.0.0.1:9", of=wanted)))
        return wanted, live(place, wanted)

    def drains(self, found: LiveResource) -> dict[ResourceKey, float]:
        return dict(found.binding.drains)

    def test_addresses_are_read_back(self, place: Place) -> None:
        wanted, found = self.published(place)

        assert found.binding.addresses_of(wanted.needs[0]) == ("127.0.0.1:9",)
        assert (found.withdrawn, found.binding.drains) == (False, ())

    def test_addresses_are_no_part_of_manifest_and_mark(self, place: Place) -> None:
        wanted, found = self.published(place)
        write(place, Rebind(found, to("127.0.0.1:9", "127.0.0.1:10", of=wanted), "two"))
        after = live(place, wanted)

        assert after.binding.addresses_of(wanted.needs[0]) in (("127.0.0.1:9", "127.0.0.1:10"), ("127.0.0.1:10", "127.0.0.1:9"))
        assert (after.manifest, after.mark, after.needs) == (found.manifest, found.mark, found.needs)

    def test_an_update_takes_addresses_with_it(self, place: Place) -> None:
        _, found = self.published(place)
        other = place.wanted("one", 1)
        write(place, Update(other, found, (), EFFECTS, to("127.0.0.1:11", of=other)))

        assert live(place, other).binding.addresses_of(other.needs[0]) == ("127.0.0.1:11",)

    def test_a_delete_withdraws_first_and_remembers_since_when(self, place: Place) -> None:
        wanted, found = self.published(place)
        write(place, Delete(found, EFFECTS))
        withdrawn = live(place, wanted)
        place.tick(50)

        assert (withdrawn.withdrawn, withdrawn.needs) == (True, ())
        assert list(self.drains(withdrawn)) == list(wanted.needs)
        assert self.drains(live(place, wanted)) == self.drains(withdrawn), "the clock does not move"

    def test_a_withdrawn_route_is_forgotten_by_its_second_delete(self, place: Place) -> None:
        wanted, found = self.published(place)
        write(place, Delete(found, EFFECTS))
        write(place, Delete(live(place, wanted), EFFECTS))

        assert wanted.key not in read(place, wanted).resources

    def test_a_withdrawn_route_takes_traffic_again(self, place: Place) -> None:
        wanted, found = self.published(place)
        write(place, Delete(found, EFFECTS))
        write(place, Update(wanted, live(place, wanted), (), EFFECTS, to("127.0.0.1:9", of=wanted)))
        after = live(place, wanted)

        assert (after.withdrawn, set(after.needs), after.binding.drains) == (False, set(wanted.needs), ())

    def test_what_a_route_leaves_drains_and_what_it_uses_again_does_not(self, place: Place) -> None:
        wanted, found = self.published(place)
        there = place.wanted("one", 2)
        write(place, Update(there, found, (), EFFECTS, to("127.0.0.1:10", of=there)))
        moved = live(place, there)
        assert list(self.drains(moved)) == list(wanted.needs)
        place.tick(5)
        write(place, Update(wanted, moved, (), EFFECTS, to("127.0.0.1:9", of=wanted)))

        assert list(self.drains(live(place, wanted))) == list(there.needs)

    def test_a_pause_keeps_the_entry_and_drains(self, place: Place) -> None:
        wanted, found = self.published(place)
        paused = place.wanted("one", 3)
        write(place, Update(paused, found, (), EFFECTS))
        after = live(place, paused)

        assert (after.withdrawn, after.needs) == (False, ())
        assert list(self.drains(after)) == list(wanted.needs)

    def test_a_paused_route_that_drains_is_withdrawn_before_it_is_forgotten(self, place: Place) -> None:
        wanted, found = self.published(place)
        write(place, Update(place.wanted("one", 3), found, (), EFFECTS))
        paused = live(place, wanted)
        write(place, Delete(paused, EFFECTS))
        after = live(place, wanted)

        assert after.withdrawn
        assert self.drains(after) == self.drains(paused)

    def test_a_paused_route_that_has_drained_is_forgotten_at_once(self, place: Place) -> None:
        paused = place.wanted("one", 3)
        write(place, Create(paused, EFFECTS))
        write(place, Delete(live(place, paused), EFFECTS))

        assert paused.key not in read(place, paused).resources

    def test_drains_that_are_over_are_taken_out(self, place: Place) -> None:
        _, found = self.published(place)
        there = place.wanted("one", 2)
        write(place, Update(there, found, (), EFFECTS, to("127.0.0.1:10", of=there)))
        write(place, Rebind(live(place, there), to("127.0.0.1:10", of=there), "drain is over"))

        assert live(place, there).binding.drains == ()
