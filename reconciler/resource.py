"""The core types: what flows between the steps of a pass.

After `compile` nothing knows what an endpoint is: a Serve application, a gateway route and a key credential are all a `Resource` with a
key and a manifest, so they share one plan, one set of guards, one report. Everything here is a value: made once, never changed.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from reconciler.errors import Problem

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Manifest: TypeAlias = Mapping[str, Json]

BY: Final = "reconciler"  # load-bearing: the first word of the mark on everything we own


class ResourceKey(NamedTuple):
    """Identity of a resource: where it lives, what it is, whose (workspace), its name. Sorts; prints as people read it.

    A tuple, because a pass looks keys up a hundred times per endpoint and a tuple is hashed and compared without running Python.
    """

    target: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.target}: {self.kind}/{self.namespace}/{self.name}"


def canonical(value: Json) -> str:
    """The one JSON text of a value: sorted keys, no blanks. Same value, same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(value: Json) -> str:
    """`sha256:<64 hex>` of the canonical text."""
    return "sha256:" + hashlib.sha256(canonical(value).encode()).hexdigest()


def pointer(parts: Sequence[str | int]) -> str:
    """RFC 6901: the path to a value inside a manifest, as text; `~` and `/` inside a name are escaped."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def parts_of(path: str) -> tuple[str, ...]:
    """A pointer taken apart. Indexes of lists stay text: only what is pointed into knows them."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:])


@dataclass(frozen=True, slots=True)
class Mark:
    """What every target writes on what we own, in its own way.

    instance: name of the Settings; repo: hash of the repo's root commit; owner: the declaration, `Endpoint/team-a/chat`;
    digest: of the manifest as last written (same digest and another live manifest is drift); protect: never prune.
    """

    instance: str
    repo: str
    owner: str
    digest: str
    protect: bool = False

    def as_json(self) -> dict[str, Json]:
        return {
            "by": BY,
            "instance": self.instance,
            "repo": self.repo,
            "owner": self.owner,
            "digest": self.digest,
            "protect": self.protect,
        }

    @classmethod
    def from_json(cls, value: Json) -> "Mark | None":
        """The mark in a JSON value, or None where it is not one of ours in every field."""
        if not isinstance(value, Mapping) or value.get("by") != BY:
            return None
        texts = [value.get(name) for name in ("instance", "repo", "owner", "digest")]
        instance, repo, owner, digest = (text if isinstance(text, str) else "" for text in texts)
        if not (instance and owner):
            return None
        return cls(instance, repo, owner, digest, value.get("protect") is True)


class DriftMode(StrEnum):
    HEAL = "heal"
    REPORT = "report"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as we want it. `manifest` holds only what we own, in the form in which the target's reader gives it back."""

    key: ResourceKey
    manifest: Manifest
    owner: str
    source: str
    digest: str
    needs: tuple[ResourceKey, ...] = ()
    protect: bool = False
    drift: DriftMode = DriftMode.HEAL

    @classmethod
    def make(
        cls,
        key: ResourceKey,
        manifest: Manifest,
        *,
        owner: str,
        source: str,
        needs: tuple[ResourceKey, ...] = (),
        protect: bool = False,
        drift: DriftMode = DriftMode.HEAL,
    ) -> "Resource":
        return cls(key, manifest, owner, source, digest_of(manifest), needs, protect, drift)

    def mark(self, instance: str, repo: str) -> Mark:
        return Mark(instance, repo, self.owner, self.digest, self.protect)


@dataclass(frozen=True, slots=True)
class Binding:
    """What is bound late, from the live state just before the plan: no part of a manifest, a digest or a review.

    addresses: replica addresses `host:port` by the key of the backend that offers them; attempt: retry counter of a workload that its
    target gave up on; drains: backends that traffic has left, and when (seconds since the epoch).
    """

    addresses: tuple[tuple[ResourceKey, tuple[str, ...]], ...] = ()
    attempt: int = 0
    drains: tuple[tuple[ResourceKey, float], ...] = ()

    def addresses_of(self, key: ResourceKey) -> tuple[str, ...]:
        return dict(self.addresses).get(key, ())


class ReplicaState(StrEnum):
    """Class of one replica (serving-checklist 7.2). Replicas that are being stopped are left out of everything."""

    SERVING = "serving"
    FAILING = "failing"
    PENDING = "pending"
    DOWNLOADING = "downloading"
    STARTING = "starting"


@dataclass(frozen=True, slots=True)
class Replica:
    name: str
    state: ReplicaState
    reason: str = ""
    message: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Serving:
    """The facts from which `status.py` makes a word; every target that serves delivers them.

    desired: replicas wanted now (the autoscaler's number where one is set); rollout: the target is still moving to what was last
    written; since: when that began, seconds since the epoch, None if unknown; gave_up: the target does not try any more, so that the
    attempt counter decides; deleting: on its way out; unsettled: a reading during a flap, keep the previous word.
    """

    desired: int
    replicas: tuple[Replica, ...] = ()
    rollout: bool = False
    since: float | None = None
    gave_up: bool = False
    deleting: bool = False
    unsettled: bool = False
    reason: str = ""
    message: str = ""

    def count(self, state: ReplicaState) -> int:
        return [replica.state for replica in self.replicas].count(state)

    @property
    def ready(self) -> int:
        return self.count(ReplicaState.SERVING)


@dataclass(frozen=True, slots=True)
class LiveResource:
    """A resource as it is. Without our mark it is somebody else's.

    needs: backends that its traffic goes to now. withdrawn: takes no traffic any more and only waits for its drains.
    binding: late-bound state as it is now. addresses: what it offers to routes. serving: facts of a workload, None for what does not serve.
    writers: JSON pointer -> who else wrote that field, and when, as people read it. kept: why it is never deleted, or "".
    leaving: it is on its way out (its deletion was asked for): nothing can be written until it is gone. lost: how something that we wrote
    ceased to carry our mark, and what gives it back; "" for what was never ours, and for what is. identity: what it is on its server, by
    whatever target's name it is seen; "" where no two targets see one thing. holder: where something that is not ours is, and who wrote
    it, as people look for it.
    """

    key: ResourceKey
    manifest: Manifest
    mark: Mark | None
    version: str = ""
    needs: tuple[ResourceKey, ...] = ()
    withdrawn: bool = False
    binding: Binding = field(default_factory=Binding)
    addresses: tuple[str, ...] = ()
    serving: Serving | None = None
    message: str = ""
    writers: Mapping[str, str] = field(default_factory=dict)
    kept: str = ""
    leaving: bool = False
    lost: str = ""
    identity: str = ""
    holder: str = ""

    @property
    def meets_needs(self) -> bool:
        """A new need is met when at least one replica serves at an address that is known, or when it sleeps on purpose (ScaledDown)."""
        if self.serving is None or self.serving.deleting:
            return False
        return self.serving.desired == 0 or (self.serving.ready > 0 and bool(self.addresses))


@dataclass(frozen=True, slots=True)
class Observation:
    """A complete, successful reading of one target: ours, and whatever else holds a key that we want (mark None or another's).

    pending: files or parts that were written and not acknowledged yet; a pass writes them again although no manifest differs.
    problems: what is known to be wrong with wanted resources before anything is written (a model file that is not there); each
    names the owner that it blocks. notes: what a person should see and nothing depends on. lingers: something that was asked to go is still
    needed on the target, and no resource yet: the target is read until it has gone.
    """

    target: str
    resources: Mapping[ResourceKey, LiveResource]
    pending: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    lingers: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A target that could not be read: an error, never an empty set. Nothing of it is pruned."""

    target: str
    problem: Problem


Observed: TypeAlias = Observation | Unreadable
Live: TypeAlias = Mapping[str, Observed]


class Health(StrEnum):
    """The status words that users see, on every target alike."""

    READY = "Ready"
    STARTING = "Starting"
    MODEL_DOWNLOADING = "ModelDownloading"
    UPDATING = "Updating"
    DEGRADED = "Degraded"
    ERROR = "Error"
    PENDING = "Pending"
    SCALED_DOWN = "ScaledDown"
    PAUSED = "Paused"
    DELETING = "Deleting"
    UNKNOWN = "Unknown"
