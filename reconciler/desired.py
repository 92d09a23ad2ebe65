"""What `compile` hands to the rest of the pass: resources, whose they are, what is blocked, and which targets there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.errors import Problem
from reconciler.resource import DriftMode, Json, Manifest, Resource, ResourceKey


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A place we write to, as plain data: it is kept in the state folder, because a target outlives its declaration.

    settings: what the target's own folder needs (addresses, references; never a secret). binds: targets whose replica addresses this
    one uses (a gateway's clusters). drain_seconds: between a withdrawn route and the stop of its backend (of clusters).
    """

    name: str
    type: str
    settings: Manifest = field(default_factory=dict)
    binds: tuple[str, ...] = ()
    drain_seconds: float = 30.0
    source: str = ""

    def as_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "type": self.type,
            "settings": self.settings,
            "binds": list(self.binds),
            "drainSeconds": self.drain_seconds,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Owner:
    """A declaration that owns resources. asleep: it is declared and serves nothing on purpose (paused, key disabled). shares: resources
    that it needs and others may need too (the namespace of its workspace): they go with the last who does."""

    id: str  # Endpoint/team-a/chat
    source: str  # path:line
    asleep: bool = False
    url: str = ""
    targets: tuple[str, ...] = ()
    rollout_timeout: float = 1200.0
    versions: Mapping[str, str] = field(default_factory=dict)  # resolved engine and model versions, for status
    shares: tuple[ResourceKey, ...] = ()

    @property
    def kind(self) -> str:
        return self.id.split("/", 1)[0]

    @property
    def name(self) -> str:
        """`team-a/chat`."""
        return self.id.split("/", 1)[1]


@dataclass(frozen=True, slots=True)
class Guards:
    """Shares (0 to 1) of the endpoints or keys that one revision may touch; at least one is always allowed."""

    max_deletes: float = 0.20
    max_restarts: float = 0.50
    max_key_removals: float = 0.20

    def stricter(self, other: "Guards | None") -> "Guards":
        """A commit cannot lift a guard and use that."""
        if other is None:
            return self
        return Guards(
            min(self.max_deletes, other.max_deletes),
            min(self.max_restarts, other.max_restarts),
            min(self.max_key_removals, other.max_key_removals),
        )


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that should be, and what could not be said.

    blocked: owner -> why it does not compile; what it has keeps running as it is. no_deletes: why nothing may be deleted at all
    (a file whose content is not known), or "". declared: path -> owners, for the day when that file does not parse.
    """

    revision: str
    instance: str
    repo: str  # hash of the root commit; "" for an uncommitted folder
    resources: Mapping[ResourceKey, Resource]
    owners: Mapping[str, Owner]
    targets: Mapping[str, TargetSpec]
    guards: Guards = field(default_factory=Guards)
    blocked: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    no_deletes: str = ""
    problems: tuple[Problem, ...] = ()
    declared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)  # model name in lower case -> owner that has it
    status_branch: str = "status/{target}"
    drift: DriftMode = DriftMode.HEAL


@dataclass(frozen=True, slots=True)
class Remembered:
    """What compile is told of the last applied revision: so that a broken Settings keeps the last good one, a broken Cluster its
    target, an unparsable file its owners, and a model name its holder. All empty on the first pass, or when the state was lost."""

    revision: str = ""
    instance: str = "default"
    guards: Guards | None = None
    drift: DriftMode = DriftMode.HEAL
    status_branch: str = "status/{target}"
    targets: Mapping[str, TargetSpec] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    declared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
