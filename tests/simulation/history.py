"""One seed, one history: events and passes in virtual time, checked after each, and an end at which everything must have converged."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from reconciler.change import Plan, Reason
from reconciler.resource import Mark, ResourceKey
from reconciler.targets.memory.world import Stored
from tests.simulation.author import edit, first_repo, mend_everything, remove_endpoint
from tests.simulation.declared import Repo
from tests.simulation.ground import Faults, WatchedTarget, WatchedWorld
from tests.simulation.invariants import PASSES, WRITES, Write, live_is_what_is_declared, nothing_is_left_to_do
from tests.simulation.ledger import account
from tests.simulation.team import Passing, Team

# A delete takes one pass each to be acknowledged, withdrawn, drained (one step of time is longer than any drain), removed, and for its
# route and its target to be forgotten: 6. A migration before it adds create, start and switch: 9. A guard that trips a second time
# because the first acknowledgement uncovered a further change adds 3.
BOUND: Final = 12
STEP: Final = 65.0  # seconds: longer than the longest drain and the slowest start
STEADY: Final = frozenset({Reason.PROTECTED, Reason.DRIFT, Reason.INVALID})


class Violated(AssertionError):
    """A rule was broken; the text is the history as a script."""


@dataclass
class History:
    """counts: events and reasons by name, so that a run can show that it saw them all."""

    seed: int
    checks: bool = True
    random: Random = field(init=False)
    script: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    passes: int = 0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.world = WatchedWorld(noted=self._noted)
        self.start = self.world.now
        self.main = Team("main", "prod", self.world)
        self.rival: Team | None = None
        self.faults = Faults()
        self.dark_for = 0

    # --- the run

    def run(self) -> "History":
        self.main.commit(first_repo(self.random, "prod", self.random.randint(2, 6)))
        self._say("a repo with " + _summary(self.main.repo))
        self._step()
        for _ in range(self.random.randint(15, 30)):
            self._event()
            self._step()
        self._end()
        return self

    def _event(self) -> None:
        while True:
            (event,) = self.random.choices([one for one, _ in EVENTS], [weight for _, weight in EVENTS])
            said = event(self)
            if said is not None:
                self.counts[event.__name__.strip("_")] += 1
                self._say(said)
                return

    def _step(self) -> None:
        self.world.now += self.random.choice((0.5, 1, 2, 5, 10, 20, 45))
        if self.dark_for:
            self.dark_for -= 1
        elif self.world.unreadable:
            self.world.unreadable.clear()
            self._say("targets can be read again")
        if self.rival is not None and self.random.random() < 0.5:
            self._pass(self.rival, Faults())
        faults, self.faults = self.faults, Faults()
        self._pass(self.main, faults)

    def _pass(self, team: Team, faults: Faults) -> Passing:
        self.passes += 1
        seen = team.run(faults)
        if seen.killed:
            self.counts["killed"] += 1
            self._restart(team)
        self._tell(team, seen)
        self._check(team)
        return seen

    def _restart(self, team: Team) -> None:
        for lock in team.state.locks.values():
            lock.release()
        team.process = team.start(team.name)

    def _check(self, team: Team) -> None:
        if not self.checks:
            return
        found = [f"{rule.__name__}: {said}" for rule in PASSES if (said := rule(team))]
        self._fail([*self.broken, *found])

    def _fail(self, broken: list[str]) -> None:
        if broken:
            self.script += [f"BROKEN {rule}" for rule in broken]
            raise Violated("\n".join([*self.script, f"replay: python -m tests.simulation {self.seed}"]))

    def _noted(self, target: WatchedTarget | None, key: ResourceKey, before: Stored | None, after: Stored | None) -> None:
        assert target is not None
        assert isinstance(target.who, Team)
        write = Write(target.who, key, before, after, target.holds_lock())
        account(write)
        if self.checks:
            self.broken += [f"{rule.__name__}: {said}" for rule in WRITES if (said := rule(write))]

    # --- the end

    def _end(self) -> None:
        """Faults are over, somebody cleans up by hand and in the repo, and acknowledges whatever is held."""
        team, world = self.main, self.world
        self.rival, self.dark_for = None, 0
        world.unreadable.clear()
        self._remove_strangers()
        team.commit(mend_everything(team.repo, self.random))
        self._say("faults are over, strangers are gone, everything is mended: " + _summary(team.repo))
        for number in range(BOUND + 1):
            world.now += STEP
            plan = self._pass(team, Faults()).plan
            if _settled(plan):
                self.counts[f"converged in {number:2}"] += 1
                break
            if plan is not None and any(held.reason is Reason.GUARD for held in plan.held):
                self._say(acknowledge(self) or "")
        else:
            self._fail([f"converged: not within {BOUND} passes"])
        self._rest()

    def _rest(self) -> None:
        writes = self.world.writes
        for pause in (1.0, 400.0):
            self.world.now += pause
            self._pass(self.main, Faults())
        found = [nothing_is_left_to_do(self.main, writes), live_is_what_is_declared(self.main)]
        self._fail([said for said in found if said] if self.checks else [])

    def _remove_strangers(self) -> None:
        """A conflict ends when somebody removes by hand what holds our key."""
        for key, entry in sorted(self.world.stored.items()):
            if not self.main.owns(entry.mark):
                self.world.outside(key, None)

    # --- the script

    def _say(self, text: str) -> None:
        self.script.append(f"{self.world.now - self.start:7.1f}s  {text}")

    def _tell(self, team: Team, seen: Passing) -> None:
        plan = seen.plan
        reasons = Counter(held.reason.value for held in plan.held) if plan else Counter[str]()
        self.counts.update({f"held: {reason}": number for reason, number in reasons.items()})
        self.counts.update(f"guard: {trip.rule}" for trip in plan.trips) if plan else None
        done = [
            f"{type(one.change).__name__} {one.change.key}{'' if one.applied else ' FAILED'}"
            for one in (seen.report and seen.report.outcomes) or ()
        ]
        what = ", ".join(done) or (f"{seen.operations} writes" if seen.killed else "nothing to do")
        held = "; ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
        kill = f"; KILLED at {seen.killed}" if seen.killed else f"; {seen.error}" if seen.error else ""
        self._say(f"  {team.name} passes at {team.number(seen.head)}: {what}{'; held: ' + held if held else ''}{kill}")


def _settled(plan: Plan | None) -> bool:
    return plan is not None and not (plan.changes or plan.rebinds) and all(held.reason in STEADY for held in plan.held)


def _summary(repo: Repo) -> str:
    wrong = f", broken: {', '.join(sorted(repo.wrong))}" if repo.wrong else ""
    return ", ".join(one.id for one in repo.endpoints()) + f" and {len(repo.api_keys())} keys{wrong}"


# --- events: each says what it did, or None where it makes no sense now


def commit(history: History) -> str:
    team = history.main
    name, repo = edit(team.repo, history.random)
    history.counts[f"commit: {name}"] += 1
    return f"{team.number(team.commit(repo))}: {name}: {_difference(team, repo)}"


def _difference(team: Team, repo: Repo) -> str:
    parent = team.source.commits[team.source.head].parent
    old = team.repos[parent] if parent else Repo()
    gone = [f"- {id_}" for id_ in sorted(old.documents) if id_ not in repo.documents]
    new = [
        f"{'~' if id_ in old.documents else '+'} {document}"
        for id_, document in sorted(repo.documents.items())
        if old.documents.get(id_) != document
    ]
    wrong = [f"{id_} {how}" for id_, how in sorted(repo.wrong.items()) if old.wrong.get(id_) != how]
    cured = [f"{id_} cured" for id_ in sorted(old.wrong) if id_ not in repo.wrong]
    return "; ".join((*gone, *new, *wrong, *cured)) or "files move"


def several_commits(history: History) -> str:
    """Nobody looked in between."""
    return "\n            ".join(commit(history) for _ in range(history.random.randint(2, 4)))


def acknowledge(history: History) -> str | None:
    team = history.main
    if not team.shown:
        return None
    return f"{team.number(team.commit(team.repo, team.shown))}: acknowledges {team.shown[:15]}"


def acknowledge_held(history: History) -> str | None:
    plan = history.main.passing.plan
    guarded = plan is not None and any(held.reason is Reason.GUARD for held in plan.held)
    return acknowledge(history) if guarded else None


def rewind(history: History) -> str | None:
    team = history.main
    older = [commit.id for commit in team.source.history(team.source.head)][1:6]
    if not older:
        return None
    team.source.rewind(history.random.choice(older))
    return f"the branch is forced back to {team.number(team.source.head)}"


def force_sibling(history: History) -> str | None:
    """Another line of commits takes the branch's place."""
    said = rewind(history)
    if said is None or history.random.random() < 0.3:
        history.main.source.rewind(history.random.choice(sorted(history.main.source.commits)))
        return f"the branch is forced to {history.main.number(history.main.source.head)}"
    return f"{said}, and grows: {commit(history)}"


def wait(history: History) -> str:
    seconds = history.random.choice((30, 60, 120, 600, 4000))
    history.world.now += seconds
    return f"{seconds} s pass"


def _random_entry(history: History, *kinds: str) -> Stored | None:
    found = [entry for entry in history.main.ours() if not kinds or entry.key.kind in kinds]
    return history.random.choice(found) if found else None


def drift_field(history: History) -> str | None:
    entry = _random_entry(history)
    if entry is None:
        return None
    name = {"Workload": history.random.choice(("replicas", "env")), "Route": "timeoutSeconds", "Key": "grants"}[entry.key.kind]
    value: object = {"replicas": 7, "env": {"A": "b"}, "timeoutSeconds": 5.0, "grants": []}[name]
    history.world.outside(entry.key, replace(entry, manifest={**entry.manifest, name: value}))  # type: ignore[dict-item]
    return f"somebody sets {name} of {entry.key} to {value}"


def _forget_clock(history: History, route: ResourceKey) -> None:
    """The route remembered since when its backends drain; with it, nobody knows."""
    for team in filter(None, (history.main, history.rival)):
        team.left = {(key, backend): since for (key, backend), since in team.left.items() if key != route}


def drift_delete(history: History) -> str | None:
    entry = _random_entry(history)
    if entry is None:
        return None
    history.world.outside(entry.key, None)
    _forget_clock(history, entry.key)
    return f"somebody deletes {entry.key}"


def drift_mark(history: History) -> str | None:
    """Our mark is taken off, or replaced by another's: it is not ours any more."""
    entry = _random_entry(history)
    if entry is None or entry.mark is None:
        return None
    marks = (None, replace(entry.mark, instance="other"), replace(entry.mark, repo="0" * 40))
    history.world.outside(entry.key, replace(entry, mark=history.random.choice(marks)))
    _forget_clock(history, entry.key)
    return f"somebody takes our mark off {entry.key}"


def stranger(history: History) -> str | None:
    """A foreign resource, with a key that we want or will want, or nearby."""
    wanted = [one for one in history.main.repo.endpoints()]
    if not wanted:
        return None
    one = history.random.choice(wanted)
    name = one.name if history.random.random() < 0.6 else "stranger"
    key = history.random.choice(
        (ResourceKey(one.cluster, "Workload", one.workspace, name), ResourceKey(one.gateway, "Route", one.workspace, name))
    )
    if key in history.world.stored:
        return None
    mark = history.random.choice((None, Mark("other", "0" * 40, one.id, "")))
    history.world.outside(key, Stored(key, {"command": [], "replicas": 1}, mark, 0, history.world.now, served=True))
    return f"{key} appears, of somebody else"


def stranger_leaves(history: History) -> str | None:
    found = [key for key, entry in sorted(history.world.stored.items()) if not history.main.owns(entry.mark)]
    if not found:
        return None
    key = history.random.choice(found)
    history.world.outside(key, None)
    return f"{key} of somebody else is removed"


def replica_restarts(history: History) -> str | None:
    """All replicas of one endpoint at once: nothing serves until they are back, at other addresses."""
    entry = _random_entry(history, "Workload")
    if entry is None:
        return None
    history.world.outside(entry.key, replace(entry, since=history.world.now, old=()))
    return f"replicas of {entry.key} crash and start again"


def unreadable(history: History) -> str:
    targets = sorted({key.target for key in history.world.stored} | {"east", "front"})
    history.world.unreadable |= set(history.random.sample(targets, history.random.randint(1, min(2, len(targets)))))
    history.dark_for = history.random.randint(1, 4)
    return f"{', '.join(sorted(history.world.unreadable))} cannot be read"


def unreadable_while_committing(history: History) -> str:
    return f"{unreadable(history)}; {commit(history)}"


def repo_unreadable(history: History) -> str:
    history.main.source.fail = history.random.randint(1, 3)
    return "the repo cannot be read"


def write_error(history: History) -> str:
    history.faults.refuse_at = history.random.randint(1, 5)
    return f"write {history.faults.refuse_at} of the next pass fails; {commit(history)}"


def answer_lost(history: History) -> str:
    history.faults.lose_at = history.random.randint(1, 5)
    return f"write {history.faults.lose_at} of the next pass is done and reported as failed; {commit(history)}"


def unacknowledged_files(history: History) -> str:
    target = history.random.choice(("east", "front"))
    history.world.pending.add(target)
    return f"{target} has written files that nobody acknowledged"


def kill(history: History) -> str:
    history.faults.kill_at = history.random.randint(1, 14)
    return f"the next pass is killed at checkpoint {history.faults.kill_at}; {commit(history)}"


def kill_and_lose_state(history: History) -> str | None:
    """Not while the Settings are broken as well: then nothing at all says whose these targets are."""
    if history.main.repo.settings() is None:
        return None
    history._restart(history.main)
    history.main.lose_state()
    said = "the process is killed, and the state folder is lost"
    gone = remove_endpoint(history.main.repo, history.random)
    if gone is None or history.random.random() < 0.5:
        return said
    return f"{said}; meanwhile somebody removes an endpoint: {history.main.number(history.main.commit(gone))}"


def kill_and_change(history: History) -> str:
    """Killed while at work; whoever starts it again finds another head."""
    said = kill(history)
    history._step()
    return f"{said}\n            {force_sibling(history) if history.random.random() < 0.5 else commit(history)}"


def lock_stolen(history: History) -> str:
    """Somebody removes the lock files in the middle of a pass, and a second process passes right there."""
    team = history.main
    history.faults.steal_at = history.random.randint(1, 8)

    def intrude() -> None:
        for lock in team.state.locks.values():
            lock.lost = True
        second = team.start("second")
        team.run(Faults(), second)
        second.places.close()

    history.faults.intrude = intrude
    return f"at checkpoint {history.faults.steal_at} a second process takes the locks; {commit(history)}"


def lock_held(history: History) -> str:
    """The process restarts while another one has a target."""
    team = history.main
    history._restart(team)
    target = history.random.choice(sorted({key.target for key in history.world.stored} | {"east"}))
    holder = team.state.lock(target, "apply by somebody")
    history._step()
    holder.release()
    return f"{target} was locked by somebody else for one pass"


def second_process(history: History) -> str:
    """`apply` beside `run`: it finds every target locked."""
    team = history.main
    second = team.start("second")
    team.run(Faults(), second)
    second.places.close()
    history._check(team)
    return "a second process passes beside the first"


def rival(history: History) -> str | None:
    """Another repo serves the same targets: with an instance of its own, or with ours."""
    if history.rival is not None:
        return None
    instance = history.random.choice(("other", "prod"))
    history.rival = Team("rival", instance, history.world)
    history.rival.commit(first_repo(history.random, instance, history.random.randint(1, 4)))
    return f"another repo with the instance {instance} appears: {_summary(history.rival.repo)}"


def rival_commits(history: History) -> str | None:
    if history.rival is None:
        return None
    name, repo = edit(history.rival.repo, history.random)
    return f"the other repo: {name}: {history.rival.number(history.rival.commit(repo))}"


def rival_leaves(history: History) -> str | None:
    if history.rival is None:
        return None
    history.rival = None
    return "the other repo's reconciler stops"


Event = Callable[[History], "str | None"]
EVENTS: Final[tuple[tuple[Event, int], ...]] = (
    (commit, 40),
    (several_commits, 3),
    (acknowledge_held, 12),
    (rewind, 2),
    (force_sibling, 2),
    (wait, 6),
    (drift_field, 4),
    (drift_delete, 4),
    (drift_mark, 2),
    (stranger, 2),
    (stranger_leaves, 3),
    (replica_restarts, 4),
    (unreadable, 3),
    (unreadable_while_committing, 4),
    (repo_unreadable, 1),
    (write_error, 3),
    (answer_lost, 2),
    (unacknowledged_files, 1),
    (kill, 5),
    (kill_and_lose_state, 2),
    (kill_and_change, 3),
    (lock_stolen, 2),
    (lock_held, 1),
    (second_process, 1),
    (rival, 1),
    (rival_commits, 2),
    (rival_leaves, 1),
)
