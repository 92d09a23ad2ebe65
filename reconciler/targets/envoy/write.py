"""One wave at the gateway: state, then the files in the one order that loses no request, then the state without what has gone.

    state (all that is new, changed or about to go) -> clusters (new and leaving) -> gate -> routes -> clusters (new) -> state

Each file is acknowledged before the next is written. When Envoy refuses one, everything is put back, and the wave is tried in halves
until the culprit stands alone: it fails, with Envoy's own reason, and takes nothing else with it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from reconciler.change import Change, Outcome
from reconciler.errors import Busy, Problem, TargetRefused
from reconciler.targets.envoy.acknowledge import Envoy, Rejected
from reconciler.targets.envoy.files import GENERATED, Folder
from reconciler.targets.envoy.generate import Generator
from reconciler.targets.envoy.merge import Merged, merge
from reconciler.targets.envoy.read import is_foreign
from reconciler.targets.envoy.settings import GatewaySettings
from reconciler.targets.envoy.state import State
from reconciler.targets.envoy.xds import BOOTSTRAP, CDS, ECDS, LDS, RDS, STATE, VALIDATE, hash_of
from reconciler.targets.protocol import Context

UNACKNOWLEDGED = "written; nobody answers at Envoy's admin address, so it is not known whether it runs"


@dataclass(frozen=True, slots=True)
class Live:
    """What a writer needs of the outside.

    made: fingerprint of generator and settings. envoy: who answers, None for nobody. start: brings ours up, where it is ours to do.
    refuses: why Envoy would not take a whole configuration, or "".
    """

    settings: GatewaySettings
    generator: Generator
    made: str
    context: Context
    folder: Folder
    envoy: Callable[[], Envoy | None]
    start: Callable[[], None]
    refuses: Callable[[bytes], str]


class ListenerRejected(Exception):
    """The gateway's own settings are refused, not a route. Never leaves this module."""


@dataclass
class GatewayWriter:
    """One session. Not frozen: a listener that is refused is left as it was for the rest of it, and routes are written all the same."""

    live: Live
    kept_listener: bytes | None = None
    refusal: str = ""

    def write(self, wave: Sequence[Change]) -> Iterator[Outcome]:
        """One outcome per change; an empty wave puts right what is pending. Raises TargetError, Busy."""
        yield from self._write(tuple(wave))

    def _write(self, wave: tuple[Change, ...]) -> list[Outcome]:
        state = self._state()
        merged = merge(state, wave, self.live.context.claim)
        good = tuple(change for change in wave if change.key not in merged.refused)
        refused = [_failed(change, merged.refused[change.key]) for change in wave if change.key in merged.refused]
        if wave and not good:
            return refused
        try:
            note = self._settle_with_any_listener(merged)
        except Rejected as rejection:
            self._put_back(state)
            return [*refused, *self._isolate(good, str(rejection))]
        if self.refusal and not wave:
            raise self._bad_settings()
        return [*refused, *(Outcome(change, True, self.refusal or note) for change in good)]

    def _settle_with_any_listener(self, merged: Merged) -> str:
        try:
            return self._settle(merged)
        except ListenerRejected as rejection:
            self.kept_listener, self.refusal = self.live.folder.read(LDS), f"the gateway's new settings are refused: {rejection}"
            if self.kept_listener is None:
                raise self._bad_settings() from None
            return self._settle(merged)

    def _bad_settings(self) -> TargetRefused:
        where, todo = self.live.settings.name, "correct the Gateway's declaration; until then it listens as before"
        return TargetRefused(self.refusal, where=where, todo=todo, code="T38")

    def _state(self) -> State:
        claim = self.live.context.claim
        state = self.live.folder.read_state()
        if state is not None and is_foreign(state, claim):
            raise TargetRefused(
                f"this gateway belongs to instance '{state.claim.instance}' of the repo {state.claim.repo[:12]}",
                where=str(self.live.folder.path),
                why="two repos that write one gateway undo each other's work",
                todo="give one of them another output.directory, or another name in its Settings",
                code="T36",
            )
        return replace(state, claim=claim) if state and claim.repo else state or State(claim)

    def _isolate(self, wave: tuple[Change, ...], reason: str) -> list[Outcome]:
        if not wave:
            raise TargetRefused(
                "Envoy refuses what is generated from the state",
                where=str(self.live.folder.path),
                why=reason,
                todo=f"Envoy goes on with what it has; {STATE} names every route, {VALIDATE} can be checked with envoy --mode validate",
                code="T37",
            )
        if len(wave) == 1:
            change = wave[0]
            problem = Problem("T37", f"Envoy refuses {change.key}", reason, "the gateway keeps what it had", owner=change.owner or None)
            return [_failed(change, problem)]
        half = len(wave) // 2
        return [*self._write(wave[:half]), *self._write(wave[half:])]

    def _settle(self, merged: Merged) -> str:
        """From what is live to the goal. Returns what is to be said about it."""
        goal, files = merged.goal, self._files(merged.goal)
        self._write_state(self._stamped(merged.intent, files))
        note = self._put_all(files)
        done = goal.settled(self.live.context.now())
        if done != goal:
            files = self._files(done)
            note = self._put_all(files)
        self._write_state(self._stamped(done, files))
        self.live.folder.keep_good()
        return note

    def _files(self, state: State) -> dict[str, bytes]:
        files = self.live.generator.files(state)
        return files if self.kept_listener is None else {**files, LDS: self.kept_listener}

    def _stamped(self, state: State, files: dict[str, bytes]) -> State:
        """made: only what was taken whole; settings that are refused stay pending."""
        made = self.live.made if self.kept_listener is None else "refused"
        return replace(state, files={name: hash_of(files[name]) for name in GENERATED}, made=made)

    def _write_state(self, state: State) -> None:
        self._still_held()
        self.live.folder.write_state(state)

    def _still_held(self) -> None:
        if not self.live.context.still_held():
            raise Busy(f"the lock of {self.live.settings.name} is lost", todo="another writer has it: nothing more is written here")

    def _put_all(self, files: dict[str, bytes]) -> str:
        """The listener last: it names files that must be there."""
        for name in (BOOTSTRAP, VALIDATE):
            self._put_plain(name, files[name])
        envoy = self.live.envoy() if self.live.folder.read(LDS) is not None else None
        if envoy is None:
            return self._first(files)
        for name in (CDS, ECDS, RDS):
            self._still_held()
            envoy.put(name, files[name])
        self._put_listener(envoy, files)
        return ""

    def _put_listener(self, envoy: Envoy, files: dict[str, bytes]) -> None:
        """Envoy is asked about the whole first when the listener itself differs: settings changed, or the generator is a new one."""
        before = self.live.folder.read(LDS)
        reason = self.live.refuses(files[VALIDATE]) if before != files[LDS] else ""
        if reason:
            raise ListenerRejected(reason)
        self._still_held()
        try:
            envoy.put(LDS, files[LDS])
        except Rejected as rejection:
            if before is not None and before != files[LDS]:
                envoy.put(LDS, before)
            raise ListenerRejected(str(rejection)) from rejection

    def _put_plain(self, name: str, content: bytes) -> None:
        if self.live.folder.read(name) != content:
            self._still_held()
            self.live.folder.write(name, content)

    def _first(self, files: dict[str, bytes]) -> str:
        """Envoy did not run while the files were written: it reads them when it starts, and says whether it took them."""
        for name in (CDS, ECDS, RDS, LDS):
            self._put_plain(name, files[name])
        self.live.start()
        envoy = self.live.envoy()
        if envoy is None:
            return UNACKNOWLEDGED
        for name in (CDS, ECDS, RDS, LDS):
            envoy.put(name, files[name])
        return ""

    def _put_back(self, state: State) -> None:
        """What is live again, in the same order. A file that was refused before this wave is written as it was."""
        self._write_state(self._stamped(state, self._files(state)))
        try:
            self._put_all(self._files(state))
        except Rejected:
            return  # it was like that before; whoever comes next finds it pending


def _failed(change: Change, problem: Problem) -> Outcome:
    return Outcome(change, False, problem.what, problem)
