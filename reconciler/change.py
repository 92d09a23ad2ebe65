"""What a pass does, as values: changes, what holds them, the plan of them all, and what became of each."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from reconciler.errors import Problem
from reconciler.resource import Binding, Json, LiveResource, Resource, ResourceKey, Unreadable


class ChangeClass(StrEnum):
    """What a change does to people (serving-checklist 8); shown in every plan."""

    CREATE = "create"
    IN_PLACE = "in place"
    RESTART = "restart"
    REPLACE = "replace"
    MIGRATE = "migrate"
    TRAFFIC = "traffic"
    PAUSE = "pause"
    RESUME = "resume"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: RFC 6901 pointer into the manifest, old and new value. ABSENT stands for "was not there".

    by: who wrote the old value and when, where the target knows; for people, and part of no digest.
    """

    path: str
    old: Json
    new: Json
    by: str = ""


ABSENT: Final = "\x00absent"  # no YAML or JSON of ours can hold a NUL, so it is no value


@dataclass(frozen=True, slots=True)
class Effects:
    """What one change does, in words: class, how many replicas restart, whether service stops meanwhile, a sentence."""

    kind: ChangeClass
    text: str = ""
    restarts: int = 0
    downtime: bool = False


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A change towards something that is declared."""

    desired: Resource

    @property
    def key(self) -> ResourceKey:
        return self.desired.key

    @property
    def owner(self) -> str:
        return self.desired.owner


@dataclass(frozen=True, slots=True)
class _There:
    """A change of something that is there, declared or not."""

    live: LiveResource

    @property
    def key(self) -> ResourceKey:
        return self.live.key

    @property
    def owner(self) -> str:
        return self.live.mark.owner if self.live.mark else ""


@dataclass(frozen=True, slots=True)
class Create(_Wanted):
    effects: Effects
    binding: Binding = field(default_factory=Binding)


@dataclass(frozen=True, slots=True)
class Update(_Wanted):
    live: LiveResource
    fields: tuple[FieldChange, ...]
    effects: Effects
    binding: Binding = field(default_factory=Binding)
    drift: bool = False


@dataclass(frozen=True, slots=True)
class Replace(_Wanted):
    """An immutable field differs: delete now, create in a later pass. Decided at plan time from a table, never from a refusal."""

    live: LiveResource
    fields: tuple[FieldChange, ...]
    effects: Effects


@dataclass(frozen=True, slots=True)
class Delete(_There):
    """Of a route that still takes traffic: withdraw it (it drains). Of a withdrawn one: forget it. Of anything else: delete it."""

    effects: Effects


@dataclass(frozen=True, slots=True)
class Rebind(_There):
    """Only what is bound late differs: never reviewed, in no digest, never held. `attempt` above the live one is a restart."""

    binding: Binding
    text: str


Operation: TypeAlias = Create | Update | Replace | Delete  # what a person reviews
Change: TypeAlias = Operation | Rebind  # what a writer gets


class Reason(StrEnum):
    WAITING = "waiting"
    GUARD = "guard"
    CONFLICT = "conflict"
    UNREADABLE = "unreadable"
    INVALID = "invalid"
    PROTECTED = "protected"
    DRIFT = "reported drift"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True)
class Held:
    """Something that is in the plan and does not run now. `change` is None where the change itself cannot be known
    (an unreadable target, a declaration that does not validate); then `subject` says what it is about."""

    subject: str
    reason: Reason
    text: str
    change: Operation | None = None


@dataclass(frozen=True, slots=True)
class Trip:
    """A guard that holds: its rule, how much was allowed of how many, and whom it concerns (declarations, sorted)."""

    rule: str
    owners: tuple[str, ...]
    allowed: int
    total: int
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a pass as a value: printed, judged, saved and applied as the same object.

    changes: to run now, in order. rebinds: late-bound changes, applied always. held: not now, with reasons.
    digest: over all operations whatever holds them; what a person acknowledges. drifted: keys whose live manifest differs undeclared.
    """

    revision: str
    changes: tuple[Operation, ...]
    held: tuple[Held, ...]
    rebinds: tuple[Rebind, ...]
    digest: str
    trips: tuple[Trip, ...] = ()
    drifted: tuple[ResourceKey, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    acknowledged: tuple[str, ...] = ()  # identities of the operations that an acknowledgement lets through at this revision
    heals: tuple[str, ...] = ()  # targets whose generated artifacts are not what their own record says
    endpoints: int = 0
    targets: int = 0

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation, held or not, in the plan's order."""
        held = tuple(item.change for item in self.held if item.change is not None)
        return tuple(sorted((*self.changes, *held), key=lambda op: (op.key, type(op).__name__)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change. `applied` means that the target has it, not that it is healthy."""

    change: Change
    applied: bool
    message: str = ""
    problem: Problem | None = None
