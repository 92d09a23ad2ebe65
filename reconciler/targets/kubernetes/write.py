"""Writing: server-side apply, one field manager, sixteen requests wide inside a wave.

Nothing is created, changed or deleted behind somebody's back:

    create   carries a resourceVersion that no object has: the server makes a new object and refuses to merge into one that is there
    update   carries uid and resourceVersion: an object that is gone is not made again, and one that moved is looked at once more. Where
             only its status moved since the plan, the write is repeated; else it "changed since planned", and the next pass plans again
    delete   carries uid and resourceVersion as preconditions, and is not sent at all where another write for its owner failed

A refusal is never taken to mean "immutable, so delete": replaces are decided at plan time.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.change import Change, Create, Delete, Outcome, Rebind, Replace, Update
from reconciler.checkpoint import reach
from reconciler.errors import Busy, Problem, TargetError
from reconciler.packed import plain
from reconciler.resource import Json, LiveResource, Resource, ResourceKey
from reconciler.targets.kubernetes.address import address_of
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.api.failures import CHANGED
from reconciler.targets.kubernetes.body import encoded
from reconciler.targets.kubernetes.inventory import NEW, ApplySet
from reconciler.targets.kubernetes.kinds import HANDOVER_MANAGER, KINDS, MANAGER, path_of
from reconciler.targets.kubernetes.mark import mark_of, marked
from reconciler.targets.kubernetes.render import initial_replicas
from reconciler.targets.kubernetes.shapes import Item, fingerprint, item
from reconciler.targets.protocol import Context

TRIES: Final = 4  # of one change against an object whose status moves
STALE: Final = "changed since planned"


@dataclass(frozen=True, slots=True)
class Version:
    """What `read.version_of` wrote: object, state, and a fingerprint of what we have an opinion on."""

    uid: str
    resource: str
    print: str

    @classmethod
    def of(cls, live: LiveResource) -> "Version":
        uid, resource, print_ = (*live.version.split(" "), "", "", "")[:3]
        return cls(uid, resource, print_)


class Moved(Exception):
    """The object is not what the plan saw. Never leaves this module."""


@dataclass
class KubernetesWriter:
    """One session's writes. failed: owners of which a write failed; nothing of them is deleted any more in this session."""

    client: KubeClient
    applyset: ApplySet
    context: Context
    pool: Executor
    failed: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, wave: Sequence[Change]) -> Iterator[Outcome]:
        """One outcome per change, as they come in. Raises Busy when the lock on the target is lost."""
        if not self.context.still_held():
            raise Busy(f"{self.applyset.settings.name} is no longer ours to write", where=self.applyset.settings.name)
        if len(wave) == 1:
            yield self._write(wave[0])
            return
        futures = [self.pool.submit(self._write, change) for change in wave]
        for future in as_completed(futures):
            yield future.result()

    def _write(self, change: Change) -> Outcome:
        if isinstance(change, Rebind):
            return Outcome(change, True)  # nothing of a cluster's is bound late
        if isinstance(change, Delete | Replace) and change.owner in self.failed:
            return self._refused(change, "not deleted: another write for it failed in this pass")
        try:
            message = self._do(change)
        except Moved:
            return self._refused(change, STALE)
        except TargetError as error:
            return self._refused(change, error.problem.what, error.problem)
        return Outcome(change, True, message)

    def _refused(self, change: Change, message: str, problem: Problem | None = None) -> Outcome:
        with self._lock:
            self.failed.add(change.owner)
        return Outcome(change, False, message, problem)

    def _do(self, change: Create | Update | Replace | Delete) -> str:
        if not self.context.still_held():
            raise Busy(f"{self.applyset.settings.name} is no longer ours to write", where=self.applyset.settings.name)
        name = f"kubernetes: {change.key}"
        reach(name, "before")
        match change:
            case Create(desired):
                self._create(_read(desired))
            case Update(desired, live):
                self._update(_read(desired), live)
            case Replace(live=live) | Delete(live=live):
                self._delete(live)
        reach(name, "after")
        return ""

    def _create(self, desired: Resource) -> None:
        """A new object, or what an earlier try of the same create left. An autoscaled workload is then given the number it begins with,
        which nobody declares and an autoscaler takes over."""
        self._made(desired)
        start = initial_replicas(desired.manifest)
        if start is not None and (there := self._there(desired.key)) is not None:
            self._hand_over(desired.key, start, "", there.meta.uid)

    def _made(self, desired: Resource) -> None:
        try:
            self._apply(desired, Version("", NEW, ""))
        except TargetError as error:
            if error.problem.code != CHANGED:
                raise
            there = self._there(desired.key)
            mark = mark_of(there.meta.labels, there.meta.annotations) if there else None
            if there is None or mark != desired.mark(self.applyset.claim.instance, self.applyset.claim.repo):
                raise Moved from error
            self._apply(desired, Version(there.meta.uid, there.meta.resource_version, ""))

    def _update(self, desired: Resource, live: LiveResource) -> None:
        version = Version.of(live)
        for _ in range(TRIES):
            try:
                if _lets_go_of_replicas(desired, live):
                    version = self._handed_over(desired, live, version)
                self._apply(desired, version)
                return
            except TargetError as error:
                if error.problem.code != CHANGED:
                    raise
                version = self._still(desired.key, version)
        raise Moved

    def _delete(self, live: LiveResource) -> None:
        version = Version.of(live)
        for _ in range(TRIES):
            try:
                self.client.delete(self._path(live.key), version.uid, version.resource)
                return
            except TargetError as error:
                if error.problem.code != CHANGED:
                    raise
                version = self._still(live.key, version)
        raise Moved

    def _still(self, key: ResourceKey, planned: Version) -> Version:
        """The same object in a newer state of which nothing that we look at is new. Raises Moved otherwise."""
        there = self._there(key)
        if there is None or there.meta.uid != planned.uid or fingerprint(there, MANAGER).hex() != planned.print:
            raise Moved
        return Version(there.meta.uid, there.meta.resource_version, planned.print)

    def _apply(self, desired: Resource, version: Version) -> None:
        claim = self.applyset.claim
        body = marked(desired.manifest, desired.mark(claim.instance, claim.repo), self.applyset.id)
        self.client.patch_apply(self._path(desired.key), _stamped(body, version), manager=MANAGER, force=True)

    def _handed_over(self, desired: Resource, live: LiveResource, version: Version) -> Version:
        """`spec.replicas` goes to an autoscaler: somebody must hold the number until it writes one, or the server resets it to 1. From
        none (a pause) it begins with its initial one, because an autoscaler never starts from 0."""
        count = _replicas(live.manifest) or initial_replicas(desired.manifest)
        if count is None:
            return version
        answer = self._hand_over(desired.key, count, version.resource, version.uid)
        return Version(version.uid, answer.meta.resource_version, fingerprint(answer, MANAGER).hex())

    def _hand_over(self, key: ResourceKey, count: int, resource_version: str, uid: str = "") -> Item:
        address, kind = address_of(self.applyset.settings, key), KINDS[key.kind]
        body: dict[str, Json] = {
            "apiVersion": kind.api_version,
            "kind": key.kind,
            "metadata": {"name": address.name, "namespace": address.namespace},
            "spec": {"replicas": count},
        }
        document = _stamped(body, Version(uid, resource_version, ""))
        return item(self.client.patch_apply(self._path(key), document, manager=HANDOVER_MANAGER, force=True, whole=True).body, str(key))

    def _there(self, key: ResourceKey) -> Item | None:
        body = self.client.find(self._path(key))
        return item(body, str(key)) if body is not None else None

    def _path(self, key: ResourceKey) -> str:
        return path_of(*address_of(self.applyset.settings, key))


def _read(desired: Resource) -> Resource:
    return replace(desired, manifest=plain(desired.manifest))


def _stamped(body: Mapping[str, Json], version: Version) -> bytes:
    metadata = body["metadata"]
    assert isinstance(metadata, Mapping)
    stamps = {name: text for name, text in (("uid", version.uid), ("resourceVersion", version.resource)) if text}
    return encoded({**body, "metadata": {**metadata, **stamps}})


def _lets_go_of_replicas(desired: Resource, live: LiveResource) -> bool:
    scaled = desired.key.kind in ("Deployment", "LeaderWorkerSet")
    return scaled and _replicas(desired.manifest) is None and _replicas(live.manifest) is not None


def _replicas(manifest: Mapping[str, Json]) -> int | None:
    spec = manifest.get("spec")
    count = spec.get("replicas") if isinstance(spec, Mapping) else None
    return count if isinstance(count, int) else None
