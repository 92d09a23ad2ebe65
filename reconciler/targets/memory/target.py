"""Reading and writing the memory world by the contract of `targets/protocol.py`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from reconciler.change import Change, Create, Delete, Outcome, Rebind, Replace, Update
from reconciler.checkpoint import reach
from reconciler.desired import TargetSpec
from reconciler.errors import Busy, TargetUnavailable
from reconciler.resource import Binding, Observation, Resource, ResourceKey
from reconciler.targets.memory.world import Stored, World
from reconciler.targets.protocol import Context

WORLDS: Final[dict[str, World]] = {}  # state folder -> its world, for callers that only know the folder


class MemoryTarget:
    """Reader, Target and Writer of one target in a world."""

    def __init__(self, spec: TargetSpec, context: Context, world: World) -> None:
        self.name, self.context, self.world = spec.name, context, world

    def read(self, wanted: Mapping[ResourceKey, Resource]) -> Observation:
        if self.name in self.world.unreadable:
            raise TargetUnavailable(f"{self.name} does not answer", where=self.name)
        self.world.settle()
        mine = self.world.live(self.name)
        ours = self.context.claim.instance
        shown = {key: live for key, live in mine.items() if key in wanted or (live.mark and live.mark.instance == ours)}
        return Observation(self.name, shown, pending=tuple(sorted(self.world.pending & {self.name})))

    def changed(self) -> Iterator[None]:
        yield from ()

    def close(self) -> None:
        pass

    @contextmanager
    def session(self, plan: Sequence[Change]) -> "Iterator[MemoryTarget]":
        yield self
        self.world.pending.discard(self.name)

    def write(self, wave: Sequence[Change]) -> Iterator[Outcome]:
        for change in wave:
            yield self._write(change)

    def _write(self, change: Change) -> Outcome:
        """One change is one batch here. Whatever can happen before it happens before the checks, so that these and it are one step."""
        reach(f"memory: {change.key}", "before")
        if not self.context.still_held():
            raise Busy(f"{self.name} is no longer ours to write", where=self.name)
        if self.world.unwritable(change.key):
            raise TargetUnavailable(f"{self.name} failed in the middle of a write", where=self.name)
        before = self.world.stored.get(change.key)
        if not self._as_planned(change, before):
            return Outcome(change, False, "changed since planned")
        self._do(change, before)
        reach(f"memory: {change.key}", "after")
        return Outcome(change, True)

    def _as_planned(self, change: Change, before: Stored | None) -> bool:
        """What is there is what the plan saw; a create finds nothing, or what an earlier try of it left."""
        if isinstance(change, Create):
            claim = self.context.claim
            return before is None or before.mark == change.desired.mark(claim.instance, claim.repo)
        return before is not None and str(before.version) == change.live.version

    def _do(self, change: Change, before: Stored | None) -> None:
        match change:
            case Create(desired, _, binding) | Update(desired, _, _, _, binding):
                self.world.put(self._form(desired, binding, before))
            case Rebind(binding=binding) if before is not None:
                self.world.put(self._rebound(before, binding))
            case Delete() if before is not None and not before.withdrawn and (before.needs or before.binding.drains):
                self.world.put(replace(before, withdrawn=True, needs=(), binding=self._drained(before, ())))
            case Delete() | Replace() | Rebind():
                self.world.drop(change.key)

    def _form(self, desired: Resource, binding: Binding, before: Stored | None) -> Stored:
        claim = self.context.claim
        mark = desired.mark(claim.instance, claim.repo)
        restart = before is None or _code(before.manifest) != _code(desired.manifest) or binding.attempt != before.binding.attempt
        return Stored(
            key=desired.key,
            manifest=desired.manifest,
            mark=mark,
            version=0,
            since=self.world.now if restart or before is None else before.since,
            needs=desired.needs,
            binding=replace(binding, drains=self._drained(before, desired.needs).drains if before else ()),
            old=self.world.addresses(before) if before and restart else (),
            served=bool(before and before.served),
        )

    def _rebound(self, before: Stored, binding: Binding) -> Stored:
        again = binding.attempt != before.binding.attempt
        return replace(before, binding=binding, since=self.world.now if again else before.since)

    def _drained(self, before: Stored, needs: tuple[ResourceKey, ...]) -> Binding:
        """What traffic leaves now starts to drain; what it comes back to does not drain any more."""
        drains = {**dict(before.binding.drains), **{key: self.world.now for key in before.needs}}
        left = tuple(sorted((key, since) for key, since in drains.items() if key not in needs))
        return Binding((), before.binding.attempt, left)


def _code(manifest: Mapping[str, object]) -> list[tuple[str, object]]:
    """What restarts replicas: everything but their number."""
    return sorted((name, str(value)) for name, value in manifest.items() if name != "replicas")


def open_target(spec: TargetSpec, context: Context) -> MemoryTarget:
    return MemoryTarget(spec, context, WORLDS.setdefault(str(context.folder), World()))
