"""The rules, each a function of its own that returns what is wrong, or "".

They look at writes as the world saw them and at the repo as its authors meant it, never at what the reconciler believes; the digest of a
plan is taken from it only to know what a person acknowledged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor
from typing import Final

from reconciler.resource import ResourceKey
from reconciler.targets.memory.world import Stored
from tests.simulation.declared import Endpoint, Key
from tests.simulation.ground import WatchedWorld
from tests.simulation.team import DEFAULT_DRAIN, Passing, Team


@dataclass(frozen=True)
class Write:
    """One write of a team's reconciler. The world already has it; held: did its process hold the target's lock?"""

    team: Team
    key: ResourceKey
    before: Stored | None
    after: Stored | None
    held: bool

    @property
    def seen(self) -> Passing:
        return self.team.passing

    @property
    def world(self) -> WatchedWorld:
        return self.team.world

    @property
    def owner(self) -> str:
        entry = self.before or self.after
        return entry.mark.owner if entry and entry.mark else ""

    @property
    def declared(self) -> Endpoint | Key | None:
        found = None if self.owner in self.team.unknowable else self.seen.repo.documents.get(self.owner)
        return found if isinstance(found, Endpoint | Key) else None

    @property
    def ends(self) -> bool:
        """A route is withdrawn, or something is removed."""
        return self.before is not None and (self.after is None or (self.after.withdrawn and not self.before.withdrawn))

    @property
    def late(self) -> bool:
        """Only what is bound late differs."""
        old, new = self.before, self.after
        if old is None or new is None:
            return False
        return (old.manifest, old.mark, old.needs, old.withdrawn) == (new.manifest, new.mark, new.needs, new.withdrawn)


def published(entry: Stored | None) -> bool:
    return entry is not None and bool(entry.needs) and not entry.withdrawn


# --- of each write


def only_ours_is_touched(write: Write) -> str:
    """Rule 7: what does not carry our mark, with our instance and our repo, is neither changed nor deleted."""
    if write.before is None or write.team.owns(write.before.mark):
        return ""
    return f"{write.key} is not ours ({write.before.mark}) and was written"


def no_delete_after_a_failed_read(write: Write) -> str:
    """Rule 1: an error is never an empty set; nothing ends on a target that could not be read in this pass."""
    return (
        f"{write.key} ended although {write.key.target} could not be read" if write.ends and write.key.target in write.seen.unread else ""
    )


def no_backend_ends_behind_an_unread_gateway(write: Write) -> str:
    """Rule 1: a gateway that cannot be read may still send requests to any backend of the clusters that it binds."""
    if not write.ends or write.key.kind != "Workload" or write.seen.desired is None:
        return ""
    blind = [entry.key for entry in write.team.ours() if entry.key.target in write.seen.unread and _uses(entry, write.key)]
    return f"{write.key} ended while {blind[0]} may send requests there, and could not be read" if blind else ""


def _uses(entry: Stored, backend: ResourceKey) -> bool:
    return backend in entry.needs or any(key == backend for key, _ in entry.binding.drains)


def nothing_is_routed_to_what_never_served(write: Write) -> str:
    """A new need gates: a route is published, or moved, to a backend only after that has served."""
    if write.after is None or write.after.withdrawn:
        return ""
    known = write.before.needs if write.before and not write.before.withdrawn else ()
    for key in write.after.needs:
        backend = write.world.stored.get(key)
        if key not in known and not (backend and backend.served):
            return f"{write.key} was routed to {key}, which never served"
    return ""


def known_addresses_are_never_emptied(write: Write) -> str:
    """A published route never loses a known set of addresses, and none is published without any."""
    if write.after is None or not published(write.after):
        return ""
    for key in write.after.needs:
        had = write.before.binding.addresses_of(key) if write.before else ()
        new = not (write.before and key in write.before.needs)
        if (had or new) and not write.after.binding.addresses_of(key):
            return f"{write.key} has no address of {key} any more (had {had})"
    return ""


def a_published_route_stays(write: Write) -> str:
    """Rule 2 and the order of things: while its endpoint is declared, validly or not, on this gateway and not paused, a route stays."""
    if not published(write.before) or published(write.after):
        return ""
    document, repo = write.declared, write.seen.repo
    if not isinstance(document, Endpoint):
        return ""
    meant = repo.complete(document.id) and (document.paused or document.gateway != write.key.target)
    return "" if meant else f"{write.key} was cut off although {document.id} is declared"


def broken_declarations_keep_what_they_have(write: Write) -> str:
    """Rule 2: what does not validate, or refers to what does not, changes nothing but late-bound values."""
    document = write.declared
    if document is None or write.seen.repo.complete(document.id) or write.late:
        return ""
    return f"{write.key} was written although {document.id} is broken"


def protected_endpoints_stay(write: Write) -> str:
    """protect: true outlives its declaration: nothing of the endpoint ends until a commit says protect: false.

    It is known by the marks that can be read; a route written before its endpoint was protected does not say so by itself."""
    if not write.ends or write.declared is not None:
        return ""
    seen = [entry for entry in write.team.ours() if entry.key.target not in write.seen.unread]
    marks = [entry.mark for entry in (*seen, write.before) if entry and entry.mark]
    return f"{write.key} ended, and {write.owner} is protected" if any(m.owner == write.owner and m.protect for m in marks) else ""


def a_backend_outlives_its_routes(write: Write) -> str:
    """Route off before backend off: no live route needs it, and its drain time has passed since the last one left."""
    if not write.ends or write.key.kind != "Workload":
        return ""
    team = write.team
    for entry in team.ours():
        if entry.key.target not in team.forgotten and not entry.withdrawn and write.key in entry.needs:
            return f"{write.key} ended while {entry.key} needs it"
    for (route, backend), since in team.left.items():
        entry = write.world.stored.get(route)
        gone = entry is None or not team.owns(entry.mark) or route.target in team.forgotten
        left = since + team.drains.get(backend.target, DEFAULT_DRAIN) - write.world.now
        if backend == write.key and left > 0 and not gone:
            return f"{write.key} ended {left:.0f} s before its drain time was over, since {route} left it"
    return ""


def one_writer(write: Write) -> str:
    """Rule 8: every write batch checks that its process still holds the target's lock."""
    return "" if write.held else f"{write.key} was written without the lock of {write.key.target}"


WRITES: Final[tuple[Callable[[Write], str], ...]] = (
    only_ours_is_touched,
    no_delete_after_a_failed_read,
    no_backend_ends_behind_an_unread_gateway,
    nothing_is_routed_to_what_never_served,
    known_addresses_are_never_emptied,
    a_published_route_stays,
    broken_declarations_keep_what_they_have,
    protected_endpoints_stay,
    a_backend_outlives_its_routes,
    one_writer,
)


# --- of each pass


def _allowed(share: float, total: int) -> int:
    return max(1, floor(round(share * total, 9)))


def guards_hold(team: Team) -> str:
    """Rule 4: what one revision begins without an acknowledgement stays within its share of the endpoints, or of the keys."""
    ledger, limits = team.ledger, team.limits()
    for rule, begun, total in (
        ("deletes", ledger.deletes, ledger.endpoints),
        ("restarts", ledger.restarts, ledger.endpoints),
        ("keys", ledger.keys, ledger.all_keys),
    ):
        counted, limit = begun - ledger.acknowledged, _allowed(limits[rule], len(total))
        if len(counted) > limit:
            return f"{rule}: {sorted(counted)} of {len(total)} at {team.number(ledger.revision)}, {limit} are allowed"
    return ""


def nothing_is_emptied_unasked(team: Team) -> str:
    """Rule 4: a repo without any endpoint deletes none of them before somebody acknowledged it.

    What is torn may be an endpoint that is gone, so a repo with such a document does not count as empty."""
    if "torn" in team.passing.repo.wrong.values():
        return ""
    gone = team.ledger.deletes - team.ledger.acknowledged
    return f"{sorted(gone)} deleted: no endpoint is declared any more" if gone and not team.passing.repo.endpoints() else ""


def a_rewound_branch_waits(team: Team) -> str:
    """Rule 6: a head that does not descend from what was acted on changes nothing before somebody acknowledged it."""
    seen = team.passing
    if not seen.operations or not team.acted_before or team.source.is_ancestor(team.acted_before, seen.head):
        return ""
    known = seen.plan is not None and seen.plan.digest in team.acknowledged_digests()
    return (
        ""
        if known or team.ledger.acknowledged
        else f"{seen.operations} changes at {team.number(seen.head)}, which rewinds {team.number(team.acted_before)}"
    )


def amnesia_deletes_nothing(team: Team) -> str:
    """Without the state folder the guards hold rather than guess: no delete before somebody acknowledged it."""
    declared = team.passing.repo.documents
    gone = {owner for owner in team.passing.ended if owner not in declared} - team.ledger.acknowledged
    return f"{sorted(gone)} deleted, and nothing is remembered of an applied revision" if gone and team.amnesia_before else ""


def intent_is_recorded(team: Team) -> str:
    """Rules 3 and 9: every target that holds something of ours is declared now, or remembered."""
    known = {document.name for document in team.repo.documents.values() if document.id.startswith(("Cluster/", "Gateway/"))}  # type: ignore[attr-defined]
    known |= set(team.state.record.remembered.targets) | team.forgotten
    lost = sorted({entry.key.target for entry in team.ours()} - known)
    return f"{lost[0]} holds something of ours, is not declared, and nobody remembers it" if lost else ""


PASSES: Final[tuple[Callable[[Team], str], ...]] = (
    guards_hold,
    nothing_is_emptied_unasked,
    a_rewound_branch_waits,
    amnesia_deletes_nothing,
    intent_is_recorded,
)


# --- of the end


def nothing_is_left_to_do(team: Team, writes: int) -> str:
    """Rule 12: once faults have ended, the plan is empty, and applying again writes nothing."""
    plan = team.passing.plan
    if plan is None or plan.changes or plan.rebinds:
        return f"there is always something left to do: {plan and [*plan.changes, *plan.rebinds]}"
    return f"{team.world.writes - writes} writes by passes that had nothing to do" if team.world.writes != writes else ""


def live_is_what_is_declared(team: Team) -> str:
    """Convergence, as an outsider sees it: every endpoint serves behind its route, every key is there, and nothing else is ours."""
    repo, world = team.repo, team.world
    expected: set[ResourceKey] = set()
    for one in repo.endpoints():
        backend, route = (
            ResourceKey(one.cluster, "Workload", one.workspace, one.name),
            ResourceKey(one.gateway, "Route", one.workspace, one.name),
        )
        expected |= {route} if one.paused else {route, backend}
        entry = world.stored.get(route)
        if entry is None or published(entry) == one.paused:
            return f"{route} is {'published' if one.paused else 'not published'}"
        if not one.paused and (entry.needs != (backend,) or not entry.binding.addresses_of(backend)):
            return f"{route} goes to {entry.needs} at {entry.binding.addresses}"
        if not one.paused and entry.binding.addresses_of(backend) != tuple(sorted(world.addresses(world.stored[backend]))):
            return f"{route} does not know the addresses of {backend}"
    gateways = [document.name for document in repo.documents.values() if document.id.startswith("Gateway/")]  # type: ignore[attr-defined]
    expected |= {ResourceKey(gateway, "Key", key.workspace, key.name) for key in repo.api_keys() for gateway in gateways}
    found = {entry.key for entry in team.ours() if entry.key.target not in team.forgotten or entry.key in expected}
    protected = {entry.mark.owner for entry in team.ours() if entry.mark and entry.mark.protect}
    extra = {key for key in found - expected if world.stored[key].mark.owner not in protected}  # type: ignore[union-attr]
    return f"missing {sorted(map(str, expected - found))}, too many {sorted(map(str, extra))}" if expected - found or extra else ""
