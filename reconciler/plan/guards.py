"""Guards: rules that hold changes until a person acknowledges exactly these. They count endpoints (and keys), not objects, over the whole
plan before anything waits (serving-checklist 8.1). One rule, one function, one sentence."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import floor
from typing import Final

from reconciler.change import ChangeClass, Delete, Operation, Trip, Update
from reconciler.desired import Guards
from reconciler.plan.operations import RESTARTING
from reconciler.plan.view import View

ENDPOINT: Final = "Endpoint"
KEY: Final = "ApiKey"
PERHAPS: Final = "perhaps "  # in `begun`: a pass meant to, and was killed
ENDING: Final = frozenset({ChangeClass.DELETE, ChangeClass.PAUSE})


@dataclass(frozen=True, slots=True)
class Counted:
    """Owners by what the plan does to them. What began at an earlier revision is finished and not counted again."""

    deletes: frozenset[str]
    restarts: frozenset[str]
    keys: frozenset[str]


def move(owner: str) -> str:
    """How `begun` names a migration: whoever began to move has not begun to be deleted."""
    return f"move {owner}"


def ending_of(operation: Operation) -> str:
    """What `begun` calls the delete, pause or migration that this operation is a part of, or ""."""
    if isinstance(operation, Delete) and operation.effects.kind is ChangeClass.MIGRATE:
        return move(operation.owner)
    key = isinstance(operation, Delete) and operation.owner.startswith(KEY + "/")
    return operation.owner if key or _ends(operation) else ""


def _ends(operation: Operation) -> bool:
    """A delete or a pause; a route alone that takes no traffic any more too, because its cluster may be unreadable."""
    if isinstance(operation, Update) and operation.live.needs and not operation.desired.needs:
        return True
    return operation.effects.kind in ENDING


def count(found: tuple[Operation, ...], begun: frozenset[str] = frozenset()) -> Counted:
    """A pause counts as a delete, a migration as a restart; what only finishes something `begun` does not count."""
    new = [op for op in found if ending_of(op) not in begun]

    endpoints = [op for op in new if op.owner.startswith(ENDPOINT + "/")]
    deletes = frozenset(op.owner for op in endpoints if _ends(op))
    restarts = frozenset(op.owner for op in endpoints if op.effects.kind in RESTARTING)
    keys = frozenset(op.owner for op in new if isinstance(op, Delete) and op.owner.startswith(KEY + "/"))
    return Counted(deletes, restarts - deletes, keys)


def _begun(view: View) -> frozenset[str]:
    """What began at an earlier revision and is not over; of what a killed pass may have begun, only what shows: a route drains, and
    nothing takes traffic any more."""
    begun = view.situation.spent.begun
    routes = [found for found in view.ours.values() if found.mark and f"{PERHAPS}{found.mark.owner}" in begun]
    left = {found.mark.owner for found in routes if found.mark and found.withdrawn}
    return begun | (left - {found.mark.owner for found in routes if found.mark and found.needs and not found.withdrawn})


def allowed(share: float, total: int) -> int:
    """max(1, floor(share x total)): one of three may always go. The sum is rounded first: 0.2 x 15 is 3.0000000000000004 or 2.99."""
    return max(1, floor(round(share * total, 9)))


def _limits(view: View) -> Guards:
    return view.desired.guards.stricter(view.situation.applied_guards or Guards())  # the defaults, where none were applied yet


def rewinds_the_branch(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    """A head that does not descend from what was applied may be an old state that somebody forced."""
    if view.situation.rewound and found:
        text = (
            f"the branch was rewound: {view.desired.revision[:12]} does not descend from {view.situation.rewound[:12]}, which was applied"
        )
        yield Trip("rewound", tuple(sorted({op.owner for op in found})), 0, len(found), text)


def empties_everything(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    """An empty desired set looks exactly like a wrong path or branch."""
    begun = _begun(view)
    declared = {*view.desired.owners, *view.desired.blocked}  # what does not validate is declared nevertheless
    if any(owner.startswith(ENDPOINT + "/") for owner in declared) or not count(found, begun).deletes:
        return
    # keys too: without them nothing answers, while the endpoints are held
    owners = frozenset(op.owner for op in found if isinstance(op, Delete)) - begun
    total = len(view.owners_live(ENDPOINT))
    text = f"no endpoint is declared any more: all {total} would be deleted; that is never done without an acknowledgement"
    yield Trip("empty", tuple(sorted(owners)), 0, total, text)


def forgets_history(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    """Without memory of an applied revision nothing says that these were ever meant to go."""
    counted = count(found, view.situation.spent.begun)
    owners = counted.deletes | counted.keys
    if owners and not view.situation.applied:
        text = "the state folder knows of no applied revision (new or lost), so nothing shows that these were removed on purpose"
        yield Trip("history", tuple(sorted(owners)), 0, len(owners), text)


def deletes_too_much(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    yield from _too_much(
        view, "deletes", "deleted or paused", count(found, _begun(view)).deletes, view.situation.spent.deletes, _limits(view).max_deletes
    )


def restarts_too_much(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    yield from _too_much(
        view, "restarts", "restarted", count(found, _begun(view)).restarts, view.situation.spent.restarts, _limits(view).max_restarts
    )


def removes_too_many_keys(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    yield from _too_much(
        view, "keys", "removed", count(found, _begun(view)).keys, view.situation.spent.keys, _limits(view).max_key_removals, KEY
    )


def _too_much(
    view: View, rule: str, verb: str, now: frozenset[str], spent: frozenset[str], share: float, kind: str = ENDPOINT
) -> Iterator[Trip]:
    total = len(view.owners_live(kind) | spent)
    limit = allowed(share, total)
    if now - spent and len(now | spent) > limit:
        things = "endpoints" if kind == ENDPOINT else "keys"
        before = f" ({len(spent)} of them already at this revision)" if spent else ""
        may = "1 is" if limit == 1 else f"{limit} are"
        text = f"{len(now | spent)} of {total} {things} would be {verb}{before}, {may} allowed ({share:.0%})"
        yield Trip(rule, tuple(sorted(now)), limit, total, text)


Guard = Callable[[View, tuple[Operation, ...]], Iterator[Trip]]
GUARDS: Final[tuple[Guard, ...]] = (
    rewinds_the_branch,
    empties_everything,
    forgets_history,
    deletes_too_much,
    restarts_too_much,
    removes_too_many_keys,
)


def trips(view: View, found: tuple[Operation, ...]) -> tuple[Trip, ...]:
    """Every guard that holds; none where there is no operation, which is nearly every pass."""
    if not found:
        return ()
    return tuple(trip for guard in GUARDS for trip in guard(view, found))


def concerns(trip: Trip, operation: Operation) -> bool:
    """A tripped guard holds only the changes of its kind, of the owners that it counted; the rest of the plan goes on."""
    if operation.owner not in trip.owners:
        return False
    if trip.rule in ("deletes", "empty", "history"):
        return not isinstance(operation, Delete) or operation.effects.kind is not ChangeClass.MIGRATE
    return True
