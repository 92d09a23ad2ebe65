"""The pass as a whole, with the real compiler, a repo in memory and memory targets: what is written when, and what a kill leaves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from reconciler import checkpoint
from reconciler.change import Outcome
from reconciler.compile import compile_declarations
from reconciler.desired import TargetSpec
from reconciler.engine_schemas import engine_schemas
from reconciler.errors import Busy, LocalError, RepoUnavailable, StateError, TargetUnavailable
from reconciler.given import Given
from reconciler.places import Places
from reconciler.reconcile import reconcile
from reconciler.repo.memory import MemorySource
from reconciler.report.model import Report
from reconciler.resource import ResourceKey
from reconciler.state.folder import StateFolder
from reconciler.state.memory import MemoryState
from reconciler.targets.memory.target import MemoryTarget
from reconciler.targets.memory.world import World
from reconciler.targets.protocol import Context
from tests.fleet import NOW, desired, plan, route, workload, world

BASE = (Path(__file__).parent / "cases" / "_base" / "platform.yaml").read_text()
COMPILE = partial(compile_declarations, schemas=engine_schemas(), kinds={"ray": "memory", "envoy": "memory"})


def endpoint(name: str, cluster: str = "lab", **fields: object) -> str:
    head = (
        f"apiVersion: reconciler.dev/v1alpha1\nkind: Endpoint\nmetadata: {{name: {name}, workspace: team-a}}\nspec:\n  cluster: {cluster}\n"
    )
    model = "  model: {registry: files, name: m, file: m.gguf}\n  engine: {name: llama-cpp, version: b11549}\n"
    return head + model + "".join(f"  {key}: {value}\n" for key, value in fields.items())


class Killed(BaseException):
    """As SIGKILL: nothing that runs catches it."""


class Ground:
    """A repo, a world and a record; each pass is a process of its own."""

    def __init__(self) -> None:
        self.source, self.state, self.world = MemorySource(), MemoryState(), World()
        self.fails: dict[str, Exception] = {}

    def opener(self, spec: TargetSpec, context: Context) -> MemoryTarget:
        if spec.name in self.fails:
            raise self.fails[spec.name]
        return MemoryTarget(spec, context, self.world)

    def commit(self, *documents: str, message: str = "") -> None:
        self.source.commit({"platform.yaml": BASE, "endpoints.yaml": "---\n".join(documents) or "# nothing\n"}, message)

    def one_pass(self, write: bool = True, places: Places | None = None) -> Report:
        found = places or Places(self.state, "apply", write, lambda: self.world.now, self.opener)
        try:
            return reconcile(Given(self.source, self.state, found, COMPILE, parallel=False))
        finally:
            if not places:
                found.close()

    def converge(self) -> int:
        for number in range(20):
            report = self.one_pass()
            if not (report.plan.operations or report.plan.rebinds):
                return number
            self.world.now += 31
        raise AssertionError(report.plan.held)

    def workloads(self) -> list[str]:
        return sorted(f"{key.target}/{key.name}" for key in self.world.stored if key.kind == "Workload")


@pytest.fixture
def ground() -> Ground:
    return Ground()


@contextmanager
def heard(hear: Callable[[str], None]) -> Iterator[None]:
    checkpoint.listen(hear)
    try:
        yield
    finally:
        checkpoint.listen(None)


def test_a_plan_writes_nothing_locks_nothing_and_remembers_nothing(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.commit(endpoint("a"))
    monkeypatch.setattr(ground.state, "lock", lambda target, who: pytest.fail("a plan takes no lock"))
    before = ground.state.record
    report = ground.one_pass(write=False)

    assert report.outcomes is None
    assert (ground.world.writes, ground.state.record) == (0, before)
    assert report.exit_code == 2


def test_intent_is_saved_before_the_first_write_and_the_rest_after_the_last(ground: Ground) -> None:
    ground.commit(endpoint("a"))
    places: list[str] = []
    with heard(places.append):
        ground.one_pass()

    assert places == [
        "state: record/before",
        "state: record/after",
        "memory: lab: Workload/team-a/a/before",
        "memory: lab: Workload/team-a/a/after",
        "state: record/before",
        "state: record/after",
    ]


def test_a_pass_that_changes_nothing_writes_nothing_at_all(ground: Ground) -> None:
    ground.commit(endpoint("a"))
    ground.converge()
    places: list[str] = []
    with heard(places.append):
        report = ground.one_pass()

    assert places == []
    assert report.exit_code == 0


STORIES = {
    "create": ((), (endpoint("a"), endpoint("b"))),
    "update": ((endpoint("a"), endpoint("b")), (endpoint("a", replicas=2), endpoint("b", routing="{timeoutSeconds: 60}"))),
    "delete": ((endpoint("a"), endpoint("b")), (endpoint("a"),)),
    "pause": ((endpoint("a"), endpoint("b")), (endpoint("a", paused="true"), endpoint("b"))),
    "resume": ((endpoint("a", paused="true"),), (endpoint("a"),)),
    "migrate": ((endpoint("a"),), (endpoint("a", "west"),)),
}


def world_after(before: tuple[str, ...], after: tuple[str, ...], kill_at: int) -> tuple[Ground, int]:
    """Converge to `before`, then towards `after`, killed at one place between two writes; then on without a kill."""
    ground, reached = Ground(), 0
    ground.commit(*before)
    ground.converge()
    ground.commit(*after)

    def hear(place: str) -> None:
        nonlocal reached
        reached += 1
        if reached == kill_at:
            raise Killed(place)

    with heard(hear), suppress(Killed):
        ground.converge()
    ground.converge()
    return ground, reached


@pytest.mark.parametrize(("before", "after"), STORIES.values(), ids=STORIES)
def test_killed_between_any_two_writes_it_converges_to_the_same(before: tuple[str, ...], after: tuple[str, ...]) -> None:
    whole, places = world_after(before, after, 0)
    expected = {key: (entry.manifest, entry.mark, entry.needs) for key, entry in whole.world.stored.items()}
    assert places > 6
    for number in range(1, places + 1):
        ground, _ = world_after(before, after, number)
        assert {key: (entry.manifest, entry.mark, entry.needs) for key, entry in ground.world.stored.items()} == expected
        assert ground.one_pass().exit_code == 0


def test_a_target_that_somebody_else_writes_to_is_unreadable_here_and_the_others_go_on(ground: Ground) -> None:
    ground.commit(endpoint("a"), endpoint("b", "west"))
    ground.fails["lab"] = Busy("lab is being written by `reconciler run` (pid 1)")
    report = ground.one_pass()

    assert ground.workloads() == ["west/b"]
    assert report.plan.unreadable[0].problem.what == "lab is being written by `reconciler run` (pid 1)"
    assert report.exit_code == 1


@pytest.mark.parametrize("error", [TargetUnavailable("no answer"), LocalError("Ray does not start")])
def test_a_target_that_does_not_open_lets_its_lock_go(tmp_path: Path, error: Exception) -> None:
    ground = Ground()
    ground.state = StateFolder(tmp_path)  # type: ignore[assignment]  # the same protocol
    ground.fails["lab"] = error
    ground.commit(endpoint("a"))
    ground.one_pass()

    ground.state.lock("lab", "apply").release()


def test_a_write_that_fails_is_exit_code_1_and_the_next_pass_does_it(ground: Ground) -> None:
    ground.commit(endpoint("a"), endpoint("b"))
    ground.world.unwritable = lambda key: key.name == "a"
    report = ground.one_pass()
    assert report.exit_code == 1
    assert [problem.what for problem in report.problems] == ["lab failed in the middle of a write"]
    assert ground.state.record.remembered.revision == ""

    ground.world.unwritable = lambda key: False
    ground.converge()
    assert ground.workloads() == ["lab/a", "lab/b"]
    assert ground.state.record.remembered.revision == ground.source.head


def test_artifacts_that_were_not_acknowledged_are_healed_by_a_pass_without_changes(ground: Ground) -> None:
    ground.commit(endpoint("a"))
    ground.converge()
    ground.world.pending.add("public")

    assert ground.one_pass(write=False).exit_code == 2
    assert ground.one_pass().exit_code == 0
    assert ground.world.pending == set()


def test_open_targets_are_kept_between_passes_and_opened_anew_when_their_declaration_changes(ground: Ground) -> None:
    opened: list[str] = []

    def opener(spec: TargetSpec, context: Context) -> MemoryTarget:
        opened.append(spec.name)
        return MemoryTarget(spec, context, ground.world)

    places = Places(ground.state, "run", True, lambda: ground.world.now, opener)
    ground.commit(endpoint("a"))
    ground.one_pass(places=places)
    ground.one_pass(places=places)
    assert opened == ["lab", "public", "west"]

    ground.source.commit({"platform.yaml": BASE.replace("http://west:8265", "http://far-west:8265"), "e.yaml": endpoint("a")})
    ground.one_pass(places=places)
    assert opened == ["lab", "public", "west", "west"]


def test_without_a_repo_nothing_is_touched(ground: Ground) -> None:
    ground.commit(endpoint("a"))
    ground.converge()
    record, writes = ground.state.record, ground.world.writes
    ground.source.fail = 1
    with pytest.raises(RepoUnavailable):
        ground.one_pass()

    assert (ground.state.record, ground.world.writes) == (record, writes)


def test_another_repo_on_this_state_folder_is_refused_before_anything_is_opened(ground: Ground) -> None:
    ground.commit(endpoint("a"))
    ground.converge()
    ground.source = MemorySource()
    ground.source.commit({"platform.yaml": BASE}, "another root")
    ground.fails = dict.fromkeys(("lab", "west", "public"), AssertionError("opened"))  # type: ignore[arg-type]
    with pytest.raises(StateError) as caught:
        ground.one_pass()

    assert caught.value.problem.code == "S3"


def test_two_repos_with_one_instance_cannot_prune_each_other(ground: Ground) -> None:
    ground.commit(endpoint("a"))
    ground.converge()
    other = Ground()
    other.world = ground.world
    other.source.commit({"platform.yaml": BASE, "e.yaml": endpoint("a") + "---\n" + endpoint("b")}, "another root")
    report = other.one_pass()

    assert {(held.reason, held.subject) for held in report.plan.held if held.reason == "conflict"} == {
        ("conflict", "lab: Workload/team-a/a"),
        ("conflict", "public: Route/team-a/a"),
    }
    assert ground.one_pass().exit_code == 0
    assert ground.workloads() == ["lab/a", "lab/b"]


def test_a_state_folder_that_cannot_remember_lets_nothing_be_written(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    ground.commit(endpoint("a"))

    def full(record: object) -> None:
        raise StateError("no space left")

    monkeypatch.setattr(ground.state, "save", full)
    with pytest.raises(StateError):
        ground.one_pass()

    assert ground.world.writes == 0


def test_statuses_are_in_the_record_and_know_what_was_before(ground: Ground) -> None:
    ground.commit(endpoint("a"))
    ground.one_pass()
    assert ground.state.record.statuses["Endpoint/team-a/a"].word == "Starting"
    ground.converge()
    ground.one_pass()
    status = ground.state.record.statuses["Endpoint/team-a/a"]

    assert (status.word, status.routed, status.ever_ready, status.revision) == ("Ready", True, True, ground.source.head)


def test_a_replica_that_moves_is_followed_at_once(ground: Ground) -> None:
    ground.commit(endpoint("a"))
    ground.converge()
    key, route = ResourceKey("lab", "Workload", "team-a", "a"), ResourceKey("public", "Route", "team-a", "a")
    entry = ground.world.stored[key]
    object.__setattr__(entry, "since", ground.world.now)
    ground.world.now += 4
    report = ground.one_pass()

    assert (report.exit_code, len(report.plan.rebinds)) == (0, 1)
    assert dict(ground.world.stored[route].binding.addresses)[key][0].startswith(f"team-a-a-{entry.since:.0f}")


def test_what_was_replaced_is_created_by_a_later_pass_that_somebody_must_wait_for() -> None:
    found = plan(desired(workload("a", zone="b"), route("a")), world(workload("a", zone="a"), route("a")))
    done = Report(found, (), (), tuple(Outcome(op, True) for op in found.changes), NOW)

    assert (done.waiting, done.exit_code) == (True, 2)
