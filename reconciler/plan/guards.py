"""Guards: rules that hold changes until a person acknowledges exactly these. They count endpoints (and keys), not objects, over the whole
plan before anything waits (serving-checklist 8.1). One rule, one function, one sentence."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import floor
from typing import Final

from reconciler.desired import Guards
from reconciler.plan.operations import RESTARTING
from reconciler.plan.view import View
from reconciler.resource import ChangeClass, Delete, Operation, Trip

ENDPOINT: Final = "Endpoint"
KEY: Final = "ApiKey"
ENDING: Final = frozenset({ChangeClass.DELETE, ChangeClass.PAUSE})


@dataclass(frozen=True, slots=True)
class Counted:
    """Owners by what the plan does to them. What began at an earlier revision is finished and not counted again."""

    deletes: frozenset[str]
    restarts: frozenset[str]
    keys: frozenset[str]


def count(found: tuple[Operation, ...]) -> Counted:
    """A pause counts as a delete, a migration as a restart."""

    def owners(kind: str, classes: frozenset[ChangeClass]) -> frozenset[str]:
        return frozenset(op.owner for op in found if op.effects.kind in classes and op.owner.startswith(kind + "/"))

    deletes = owners(ENDPOINT, ENDING)
    keys = frozenset(op.owner for op in found if isinstance(op, Delete) and op.owner.startswith(KEY + "/"))
    return Counted(deletes, owners(ENDPOINT, RESTARTING) - deletes, keys)


def allowed(share: float, total: int) -> int:
    """max(1, floor(share x total)): one of three may always go. The sum is rounded first: 0.2 x 15 is 3.0000000000000004 or 2.99."""
    return max(1, floor(round(share * total, 9)))


def _limits(view: View) -> Guards:
    return view.desired.guards.stricter(view.situation.applied_guards)


def rewinds_the_branch(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    """A head that does not descend from what was applied may be an old state that somebody forced."""
    if view.situation.rewound and found:
        text = (
            f"the branch was rewound: {view.desired.revision[:12]} does not descend from {view.situation.rewound[:12]}, which was applied"
        )
        yield Trip("rewound", tuple(sorted({op.owner for op in found})), 0, len(found), text)


def empties_everything(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    """An empty desired set looks exactly like a wrong path or branch."""
    begun = view.situation.spent.begun
    declared = {*view.desired.owners, *view.desired.blocked}  # what does not validate is declared nevertheless
    if any(owner.startswith(ENDPOINT + "/") for owner in declared) or not count(found).deletes - begun:
        return
    # keys too: without them nothing answers, while the endpoints are held
    owners = frozenset(op.owner for op in found if isinstance(op, Delete)) - begun
    total = len(view.owners_live(ENDPOINT))
    text = f"no endpoint is declared any more: all {total} would be deleted; that is never done without an acknowledgement"
    yield Trip("empty", tuple(sorted(owners)), 0, total, text)


def forgets_history(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    """Without memory of an applied revision nothing says that these were ever meant to go."""
    counted = count(found)
    owners = (counted.deletes | counted.keys) - view.situation.spent.begun
    if owners and not view.situation.applied:
        text = "the state folder knows of no applied revision (new or lost), so nothing shows that these were removed on purpose"
        yield Trip("history", tuple(sorted(owners)), 0, len(owners), text)


def deletes_too_much(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    yield from _too_much(
        view, "deletes", "deleted or paused", count(found).deletes, view.situation.spent.deletes, _limits(view).max_deletes
    )


def restarts_too_much(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    yield from _too_much(view, "restarts", "restarted", count(found).restarts, view.situation.spent.restarts, _limits(view).max_restarts)


def removes_too_many_keys(view: View, found: tuple[Operation, ...]) -> Iterator[Trip]:
    yield from _too_much(view, "keys", "removed", count(found).keys, view.situation.spent.keys, _limits(view).max_key_removals, KEY)


def _too_much(
    view: View, rule: str, verb: str, now: frozenset[str], spent: frozenset[str], share: float, kind: str = ENDPOINT
) -> Iterator[Trip]:
    new = now - view.situation.spent.begun
    total = len(view.owners_live(kind) | spent)
    limit = allowed(share, total)
    if new - spent and len(new | spent) > limit:
        things = "endpoints" if kind == ENDPOINT else "keys"
        before = f" ({len(spent)} of them already at this revision)" if spent else ""
        may = "1 is" if limit == 1 else f"{limit} are"
        text = f"{len(new | spent)} of {total} {things} would be {verb}{before}, {may} allowed ({share:.0%})"
        yield Trip(rule, tuple(sorted(new)), limit, total, text)


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
    return tuple(trip for guard in GUARDS for trip in guard(view, found))


def concerns(trip: Trip, operation: Operation) -> bool:
    """A tripped guard holds only the changes of its kind, of the owners that it counted; the rest of the plan goes on."""
    if operation.owner not in trip.owners:
        return False
    if trip.rule in ("deletes", "empty", "history"):
        return not isinstance(operation, Delete) or operation.effects.kind is not ChangeClass.MIGRATE
    return True
