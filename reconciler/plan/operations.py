"""Every operation that turns live into desired, before anything is held; and the digest by which a person acknowledges them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reconciler.change import ChangeClass, Create, Delete, Effects, FieldChange, Operation, Replace, Update
from reconciler.desired import Owner
from reconciler.plan.binding import bound_addresses
from reconciler.plan.fields import covers, field_changes
from reconciler.plan.view import View
from reconciler.resource import Binding, DriftMode, Json, LiveResource, Resource, digest_of

MARK: Final = ("/mark",)  # pointers of the mark's own fields: no part of any manifest
RESTARTING: Final = frozenset({ChangeClass.RESTART, ChangeClass.REPLACE, ChangeClass.MIGRATE})


def operations(view: View) -> Iterator[Operation]:
    """Creates, updates and replaces of what is declared, deletes of what is not, in no order.

    What is blocked keeps running as it is: no operation at all. So does everything on a target that cannot be read.
    """
    readable, declared = view.readable, view.desired.resources
    for key, wanted in declared.items():
        if key.target in readable and (operation := _towards(view, wanted)):
            yield operation
    for key in view.ours.keys() - declared.keys():
        found = view.ours[key]
        owner = found.mark.owner if found.mark else ""
        if owner not in view.desired.blocked and not found.leaving:
            yield Delete(found, _ending(view, found, view.desired.owners.get(owner)))


def _towards(view: View, wanted: Resource) -> Operation | None:
    found = view.everything.get(wanted.key)
    if found is None or not view.is_ours(found) or found.leaving:
        if found is not None and wanted.key.kind in view.rules(wanted.key.target).shared:
            return None  # whoever made it
        return Create(wanted, _beginning(view, wanted), Binding(bound_addresses(view, wanted.needs, Binding())))
    fields, mark = field_changes(found.manifest, wanted.manifest), _mark_changes(found, wanted)
    if not (fields or mark or found.withdrawn):
        return None
    # a changed mark and a route that comes back were declared, although the digest in the mark says nothing of them
    drift = not (mark or found.withdrawn) and found.mark is not None and found.mark.digest == wanted.digest
    if drift and wanted.drift is DriftMode.OFF:
        return None
    signed = tuple(replace(change, by=found.writers.get(change.path, "")) for change in fields) if found.writers else fields
    return _updating(view, wanted, found, (*signed, *mark), drift)


def _updating(view: View, wanted: Resource, found: LiveResource, fields: tuple[FieldChange, ...], drift: bool) -> Operation:
    rules = view.rules(wanted.key.target)
    immutable = tuple(change.path for change in fields if covers(rules.immutable.get(wanted.key.kind, ()), change.path))
    if immutable:
        text = f"{', '.join(immutable)} cannot change in place: deleted first, created again in a later pass"
        return Replace(wanted, found, fields, Effects(ChangeClass.REPLACE, text, downtime=True))
    manifest = tuple(change for change in fields if not covers(MARK, change.path))
    effects = _quiet(wanted, found, fields, manifest) or rules.effects(wanted, found, manifest)
    attempt = 0 if effects.kind in RESTARTING else found.binding.attempt
    binding = Binding(bound_addresses(view, wanted.needs, found.binding), attempt, found.binding.drains)
    return Update(wanted, found, fields, effects, binding, drift)


def _quiet(wanted: Resource, found: LiveResource, fields: tuple[FieldChange, ...], manifest: tuple[FieldChange, ...]) -> Effects | None:
    """What no target's table needs to be asked about: a route that comes back, and a mark that changes alone."""
    if found.withdrawn and wanted.needs:
        return Effects(ChangeClass.TRAFFIC, "was withdrawn, takes traffic again")
    if fields and not manifest:
        return Effects(ChangeClass.IN_PLACE, "only its mark changes")
    return None


def _mark_changes(found: LiveResource, wanted: Resource) -> tuple[FieldChange, ...]:
    """The mark is ours too; its digest follows the manifest and is no difference of its own."""
    mark = found.mark
    if mark is None:
        return ()
    pairs: tuple[tuple[str, Json, Json], ...] = (
        ("/mark/owner", mark.owner, wanted.owner),
        ("/mark/protect", mark.protect, wanted.protect),
    )
    return tuple(FieldChange(path, old, new) for path, old, new in pairs if old != new)


def _beginning(view: View, wanted: Resource) -> Effects:
    if not view.serves(wanted.key):
        return Effects(ChangeClass.CREATE, "takes requests" if wanted.needs else "")
    elsewhere = [live.key.target for live in view.owned_by(wanted.owner) if view.serves(live.key) and live.key != wanted.key]
    if elsewhere:
        return Effects(ChangeClass.MIGRATE, f"from {elsewhere[0]}: starts here, then the route switches, then the old copy goes")
    owner = view.desired.owners.get(wanted.owner)
    if owner is not None and owner.asleep:
        return Effects(ChangeClass.CREATE, "at rest: it is paused")
    if wanted.owner in view.situation.paused:
        return Effects(ChangeClass.RESUME, "was paused, takes resources and starts again")
    return Effects(ChangeClass.CREATE, "starts, then its route opens")


def _ending(view: View, found: LiveResource, owner: Owner | None) -> Effects:
    ready = found.serving.ready if found.serving else 0
    now = f"{ready} replica{' serves' if ready == 1 else 's serve'} now" if view.serves(found.key) else ""
    if heir := view.heirs.get(found.identity):
        return Effects(ChangeClass.IN_PLACE, f"is {heir} now")
    if owner is None:
        return Effects(ChangeClass.DELETE, now or _leaving(found))
    if not view.serves(found.key):
        kind = _leaving_class(view, found, owner)
        return Effects(kind, "nothing needs it any more: it goes" if kind is ChangeClass.IN_PLACE else _leaving(found))
    if owner.asleep:
        return Effects(ChangeClass.PAUSE, f"{now}; its settings and its route entry stay")
    return Effects(ChangeClass.MIGRATE, f"{now}; goes when the copy elsewhere serves and traffic has moved")


def _leaving_class(view: View, found: LiveResource, owner: Owner) -> ChangeClass:
    """What belongs to a declaration that stays: a route goes with its traffic; what a workload has no use for any more just goes."""
    rules = view.rules(found.key.target)
    if rules.serves and found.key.kind not in rules.routes:
        return ChangeClass.IN_PLACE
    return ChangeClass.DELETE if owner.asleep else ChangeClass.TRAFFIC


def _leaving(found: LiveResource) -> str:
    if found.withdrawn:
        return "was withdrawn and has drained: its entry goes"
    return "takes no new requests from now on" if found.needs else ""


def identity(operation: Operation) -> str:
    """What an acknowledgement names: kind of operation, key, and the manifest that it leads to."""
    target = "" if isinstance(operation, Delete) else f" {operation.desired.digest}"
    return f"{type(operation).__name__} {operation.key}{target}"


def digest(found: tuple[Operation, ...]) -> str:
    """Over all operations, whatever holds them: class, key, field paths with old and new values. No effects, times or revisions,
    and nothing that is bound late, so that the plan of the pull request and the plan after the merge have one digest."""
    document = [[type(op).__name__, str(op.key), _values(op)] for op in sorted(found, key=lambda op: op.key)]
    return digest_of(document)


def _values(operation: Operation) -> Json:
    match operation:
        case Create(desired):
            return desired.digest
        case Update(fields=fields) | Replace(fields=fields):
            return [[change.path, change.old, change.new] for change in fields]
        case Delete():
            return None
