"""The words of a report: symbol, colour and rank of every class of change and of every reason to hold one.

One table for text, Markdown and JSON, so that they cannot disagree (the classes are those of serving-checklist 8).
"""

from dataclasses import dataclass
from typing import Final

from reconciler.change import Change, ChangeClass, Create, Delete, Operation, Plan, Reason, Rebind, Replace, Update
from reconciler.resource import ResourceKey


@dataclass(frozen=True, slots=True)
class Look:
    symbol: str
    colour: str
    fence: str  # column 0 in a GitHub diff fence


CLASSES: Final = {
    ChangeClass.CREATE: Look("+", "green", "+"),
    ChangeClass.IN_PLACE: Look("~", "yellow", "!"),
    ChangeClass.RESTART: Look("~", "yellow bold", "!"),
    ChangeClass.REPLACE: Look("-/+", "red bold", "-"),
    ChangeClass.MIGRATE: Look(">>", "magenta", "!"),
    ChangeClass.TRAFFIC: Look("=", "cyan", "!"),
    ChangeClass.PAUSE: Look("||", "blue", "!"),
    ChangeClass.RESUME: Look(">", "blue", "!"),
    ChangeClass.DELETE: Look("-", "red", "-"),
}
QUIET: Final = frozenset({Reason.WAITING, Reason.DRIFT})  # held, and no person has to do anything
HELD_LOOK: Final = Look("?", "red", "#")
QUIET_LOOK: Final = Look("?", "grey", "#")

# In this order they stand in a report: what needs a person first.
REASONS: Final = (
    (Reason.GUARD, "held by a guard"),
    (Reason.APPROVAL, "held for approval"),
    (Reason.PROTECTED, "protected"),
    (Reason.CONFLICT, "conflict"),
    (Reason.UNREADABLE, "unreadable"),
    (Reason.INVALID, "invalid"),
    (Reason.DRIFT, "drift, reported only"),
    (Reason.WAITING, "waiting"),
)
CUTS: Final = frozenset({ChangeClass.DELETE, ChangeClass.REPLACE})  # shown first, and never cut from a list

CHANGED: Final = "changed on the target"
MISSING: Final = "declared, missing on the target"
UNDECLARED: Final = "on the target, not declared"


def look_of(reason: Reason) -> Look:
    return QUIET_LOOK if reason in QUIET else HELD_LOOK


def class_of(change: Change) -> ChangeClass:
    """What the change does to people; a rebind is traffic, or a restart where it raises the attempt counter."""
    if isinstance(change, Rebind):
        return ChangeClass.RESTART if change.binding.attempt > change.live.binding.attempt else ChangeClass.TRAFFIC
    return change.effects.kind


def operation_of(change: Change) -> str:
    """`create`, `update`, `replace`, `delete` or `rebind`: what is done to the resource, apart from what it does to people."""
    return type(change).__name__.lower()


def subject_of(owner: str, key: ResourceKey) -> str:
    """`team-a/chat` for an endpoint; other declarations with their kind, so that a key and an endpoint of one name stay apart."""
    if owner.startswith("Endpoint/"):
        return owner.removeprefix("Endpoint/")
    return owner or f"{key.kind}/{key.namespace}/{key.name}"


def short_revision(revision: str) -> str:
    """The first 7 digits of a commit; any other word (`uncommitted`) as it is."""
    return revision[:7] if len(revision) in (40, 64) else revision


def short_digest(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def direction_of(operation: Operation | None) -> str:
    """Which way the target drifted from what was last written."""
    if isinstance(operation, Create):
        return MISSING
    return UNDECLARED if isinstance(operation, Delete) else CHANGED


def is_drift(plan: Plan, operation: Operation) -> bool:
    return operation.key in plan.drifted or (isinstance(operation, Update) and operation.drift)


def source_of(operation: Operation) -> str:
    return operation.desired.source if isinstance(operation, Create | Update | Replace) else ""
