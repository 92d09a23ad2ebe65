"""What a write means, in the words of the guards: who begins to be deleted, paused, restarted or migrated, and when traffic leaves."""

from reconciler.resource import Json, Manifest
from tests.simulation.declared import Endpoint
from tests.simulation.invariants import Write, published

IN_PLACE = ("replicas",)


def account(write: Write) -> None:
    """Enter one write into its team's books."""
    team, ledger, owner = write.team, write.team.ledger, write.owner
    write.seen.operations += not write.late
    _clocks(write)
    if owner.startswith("ApiKey/"):
        ledger.all_keys.add(owner)
        if write.after is None and write.declared is None:
            ledger.keys.add(owner)
            write.seen.ended.add(owner)
    elif owner.startswith("Endpoint/"):
        ledger.endpoints.add(owner)
        document = write.declared
        if not isinstance(document, Endpoint) or document.paused:
            if _goes(write) and owner not in team.going:
                team.going.add(owner)
                ledger.deletes.add(owner)
                write.seen.ended.add(owner)
        elif write.key.kind == "Workload" and _moves(write):
            team.moving.add(owner)
            ledger.restarts.add(owner)


def _clocks(write: Write) -> None:
    old = write.before.needs if write.before and published(write.before) else ()
    new = write.after.needs if write.after and published(write.after) else ()
    for backend in old:
        if backend not in new:
            write.team.left[write.key, backend] = write.world.now
    for backend in new:
        write.team.left.pop((write.key, backend), None)


def _goes(write: Write) -> bool:
    return write.ends or (published(write.before) and not published(write.after))


def _moves(write: Write) -> bool:
    """Its replicas start again, here or elsewhere."""
    old, new = write.before, write.after
    if old is None:  # a copy that cannot be read may be gone: then its own end, later, begins the migration
        return write.team.copies(write.owner, write.seen.unread) > 1 and write.owner not in write.team.moving
    if new is None:
        return write.owner not in write.team.moving
    return not write.late and _code(old.manifest) != _code(new.manifest)


def _code(manifest: Manifest) -> dict[str, Json]:
    return {name: value for name, value in manifest.items() if name not in IN_PLACE}
