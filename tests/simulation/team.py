"""One config repo with the reconciler that serves it; and what somebody knows who watches both and trusts neither.

`Team.ledger` and the clocks are kept from writes as they are seen, not from what the reconciler says it did.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import reconciler.reconcile as the_pass
from reconciler.change import Delete, Plan, Reason
from reconciler.compile import compile_declarations
from reconciler.desired import Desired, Remembered, TargetSpec
from reconciler.errors import RepoError
from reconciler.given import Given
from reconciler.places import Places
from reconciler.plan.situation import Situation
from reconciler.reconcile import reconcile
from reconciler.repo.cache import ReadCache
from reconciler.repo.memory import MemorySource
from reconciler.repo.snapshot import Snapshot
from reconciler.report.model import Report
from reconciler.resource import Live, Mark, ResourceKey
from reconciler.state.compiled import Compiled
from reconciler.state.record import Record
from reconciler.targets.memory.world import Stored
from reconciler.targets.protocol import Context
from tests.simulation.declared import Cluster, Endpoint, Repo, Settings
from tests.simulation.ground import Faults, Killed, SharedState, WatchedTarget, WatchedWorld

# The one argument that histories use: reading the whole table of llama-server at every compile would be a third of all time.
SCHEMA: Final = {"additionalProperties": False, "properties": {"ctx_size": {"type": "integer", "minimum": 0}}, "x-model": "file"}
SCHEMAS: Final = {"builtin:engines/llama.cpp-b11549.json": SCHEMA}
KINDS: Final = {"ray": "memory", "envoy": "memory"}
DEFAULT_DRAIN: Final = 30.0
NOWHERE: Final = Path("/nowhere")  # what is compiled is kept in memory alone


def compiled(snapshot: Snapshot, remembered: Remembered) -> Desired:
    return compile_declarations(snapshot, remembered, SCHEMAS, KINDS)


@dataclass
class Ledger:
    """Whom one revision has begun to delete or pause, to restart or migrate, and which keys it has removed; of how many."""

    revision: str = ""
    deletes: set[str] = field(default_factory=set)
    restarts: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    endpoints: set[str] = field(default_factory=set)
    all_keys: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)


@dataclass
class Passing:
    """One pass as it was seen."""

    head: str
    repo: Repo
    dark: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    plan: Plan | None = None
    situation: Situation | None = None
    desired: Desired | None = None
    report: Report | None = None
    error: str = ""
    killed: str = ""
    operations: int = 0
    ended: set[str] = field(default_factory=set)

    @property
    def unread(self) -> set[str]:
        return self.dark | self.closed


@dataclass
class Process:
    """What a kill ends: caches and opened targets."""

    places: Places
    cache: ReadCache = field(default_factory=ReadCache)
    kept: Compiled = field(default_factory=lambda: Compiled(NOWHERE, "1"))


class Team:
    """What somebody knows who only watches.

    acted: the last head that was acted on. amnesia: the state folder was lost, and nothing was acknowledged since. going, moving: owners
    whose delete or migration has begun. left: when a route of ours left a backend. drains: seconds by cluster. forgotten: targets that
    held something when the state was lost. unknowable: what was torn then, so that nobody can know that it is declared.
    """

    def __init__(self, name: str, instance: str, world: WatchedWorld) -> None:
        self.name, self.instance, self.world = name, instance, world
        self.source, self.state = MemorySource(), SharedState()
        self.repos: dict[str, Repo] = {}
        self.trailers: dict[str, str] = {}
        self.process = self.start(name)
        self.passing = Passing("", Repo())
        self.ledger = Ledger()
        self.acted, self.amnesia = "", True
        self.acted_before, self.amnesia_before = "", True
        self.guards = Settings()
        self.going: set[str] = set()
        self.moving: set[str] = set()
        self.left: dict[tuple[ResourceKey, ResourceKey], float] = {}
        self.drains: dict[str, float] = {}
        self.forgotten: set[str] = set()
        self.unknowable: set[str] = set()
        self.shown = ""

    def start(self, who: str) -> Process:
        return Process(Places(self.state, who, True, lambda: self.world.now, self._open))

    def _open(self, spec: TargetSpec, context: Context) -> WatchedTarget:
        return WatchedTarget(spec, context, self.world, self, self.passing.dark)

    # --- its repo

    @property
    def repo(self) -> Repo:
        return self.repos[self.source.head] if self.source.head else Repo()

    @property
    def root(self) -> str:
        return next(iter(self.source.commits))

    def commit(self, repo: Repo, acknowledges: str = "") -> str:
        message = f"change {len(self.source.commits)}" + (f"\n\nReconciler-Ack: {acknowledges}" if acknowledges else "")
        made = self.source.commit(repo.texts(), message)
        self.repos[made], self.trailers[made] = repo, acknowledges
        return made

    def acknowledged_digests(self) -> set[str]:
        """Every digest that a commit up to the head names."""
        return {self.trailers[commit.id] for commit in self.source.history(self.source.head)} - {""}

    def number(self, commit: str) -> str:
        return f"c{list(self.source.commits).index(commit) + 1}" if commit in self.source.commits else commit or "nothing"

    # --- its resources

    def owns(self, mark: Mark | None) -> bool:
        return mark is not None and (mark.instance, mark.repo) == (self.instance, self.root)

    def ours(self) -> list[Stored]:
        return [entry for _, entry in sorted(self.world.stored.items()) if self.owns(entry.mark)]

    # --- its passes

    def run(self, faults: Faults, process: Process | None = None) -> Passing:
        """One pass, however it ends. Raises nothing: what must not happen is for the invariants to say."""
        process = process or self.process
        outer, seen = self.passing, Passing(self.source.head, self.repo)
        self.passing = seen
        for target in process.places.targets().values():
            target.dark = seen.dark  # type: ignore[attr-defined]  # an opened target lives longer than a pass
        self._look()
        given = Given(self.source, self.state, process.places, compiled, process.cache, parallel=False, kept=process.kept)
        plan, the_pass.make_plan = the_pass.make_plan, partial(self._planned, the_pass.make_plan)
        try:
            with faults.listening():
                seen.report = reconcile(given)
        except Killed as killed:
            seen.killed = str(killed)
        except RepoError as error:
            seen.error = error.problem.what
        finally:
            the_pass.make_plan = plan
            self.passing = outer if outer.head and process is not self.process else seen
        self._learn(seen)
        return seen

    def _planned(self, make_plan: object, desired: Desired, live: Live, situation: Situation) -> Plan:
        plan: Plan = make_plan(desired, live, situation)  # type: ignore[operator]
        seen = self.passing
        seen.plan, seen.situation, seen.desired = plan, situation, desired
        seen.closed = {one.target for one in plan.unreadable}
        if plan.digest in self.acknowledged_digests():
            self.ledger.acknowledged |= {operation.owner for operation in plan.operations}
        return plan

    def _look(self) -> None:
        """At the head, before a pass."""
        self.acted_before, self.amnesia_before = self.acted, self.amnesia
        ledger, repo = self.ledger, self.passing.repo
        if ledger.revision != self.passing.head:
            self.ledger = ledger = Ledger(self.passing.head)
        self.count_live()
        for cluster in repo.of(Cluster):
            if isinstance(cluster, Cluster) and repo.sound(cluster.id):
                self.drains[cluster.name] = cluster.drain
        self.unknowable = {id_ for id_ in self.unknowable if not repo.sound(id_)}
        self.left = {(route, backend): since for (route, backend), since in self.left.items() if backend in self.world.stored}
        live = {entry.mark.owner for entry in self.ours() if entry.mark}
        for owner in [*self.going, *self.moving]:
            document = repo.documents.get(owner)
            if owner not in live or (repo.complete(owner) and isinstance(document, Endpoint) and not document.paused):
                self.going.discard(owner)
        self.moving &= {owner for owner in live if self.copies(owner) > 1}

    def copies(self, owner: str, unread: Collection[str] = ()) -> int:
        """How many workloads of one owner live where somebody can see them: not on targets that nobody remembers."""
        named = {document.id.split("/", 1)[1] for document in self.passing.repo.of(Cluster)}
        hidden = {*unread, *(self.forgotten - named)}
        found = (entry for entry in self.ours() if entry.key.kind == "Workload" and entry.key.target not in hidden)
        return sum(entry.mark is not None and entry.mark.owner == owner for entry in found)

    def count_live(self) -> None:
        owners = {entry.mark.owner for entry in self.ours() if entry.mark}
        self.ledger.endpoints |= {owner for owner in owners if owner.startswith("Endpoint/")}
        self.ledger.all_keys |= {owner for owner in owners if owner.startswith("ApiKey/")}

    def _learn(self, seen: Passing) -> None:
        """From a pass that is over."""
        plan = seen.plan
        if plan is None:
            return
        self.shown = plan.digest
        whole = seen.report is not None
        judged = (
            whole and not plan.unreadable and not any(one.reason is Reason.GUARD and isinstance(one.change, Delete) for one in plan.held)
        )
        if judged or (whole and plan.digest in self.acknowledged_digests()):
            self.amnesia = False
        descends = whole and self.source.is_ancestor(self.acted, seen.head)
        answered = whole and plan.digest in self.acknowledged_digests()
        remembers = not self.amnesia and bool(self.state.record.head)  # before that, nobody knows what a branch could go back behind
        if remembers and (seen.operations or descends or answered or (whole and not plan.operations)):
            self.acted = seen.head
        if self.state.record.remembered.revision == seen.head:
            found = seen.repo.settings()
            declared = any(isinstance(one, Settings) for one in seen.repo.documents.values())
            self.guards = found or (self.guards if declared else Settings())

    def lose_state(self) -> None:
        self.forgotten |= {entry.key.target for entry in self.ours()}
        self.unknowable |= {id_ for id_, how in self.repo.wrong.items() if how == "torn"}
        self.state.record = Record()
        self.amnesia, self.acted, self.guards = True, "", Settings(deletes=100, restarts=100, keys=100)

    def limits(self) -> Mapping[str, float]:
        """The stricter of the applied and the declared guards, as shares."""
        found = self.passing.repo.settings() or self.guards
        return {
            "deletes": min(found.deletes, self.guards.deletes) / 100,
            "restarts": min(found.restarts, self.guards.restarts) / 100,
            "keys": min(found.keys, self.guards.keys) / 100,
        }
