"""A compiled commit with some endpoints compiled anew: equal to compiling the whole commit, or None where that cannot be promised."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TypeVar

from reconciler.compile.desired import in_order
from reconciler.compile.source import Snapshot
from reconciler.desired import Desired, Remembered
from reconciler.errors import Severity
from reconciler.resource import Resource, ResourceKey

S = TypeVar("S", bound=Snapshot)


def amend(before: Desired, snapshot: S, changed: Collection[str], compile_: Callable[[S, Remembered], Desired]) -> Desired | None:
    """before: a commit in which nothing was wrong (`leans_on_memory` is False). snapshot: everything that is neither endpoint nor key, as
    it was there, and of the endpoints those that changed or are new. changed: their ids; no endpoint and no key has gone. compile_: the
    compiler (`compile_declarations`, set up).

    None: something is wrong now, a model name has a second claimant, or one that a key may open has gone; or a warning stands in a file
    that changed, and nobody knows of what it warns. Warnings are no mistakes.
    """
    part = compile_(snapshot, Remembered(instance=before.instance))
    if leans_on_memory(part) or _around(part) != _around(before):
        return None
    aliases = {name: id_ for name, id_ in before.aliases.items() if id_ not in changed}
    has_keys = any(id_.startswith("ApiKey/") for id_ in before.owners)
    lost = [name for name, id_ in before.aliases.items() if id_ in changed and part.aliases.get(name) != id_]
    paths = {str(snapshot.declarations[id_].place).rpartition(":")[0] for id_ in changed}
    unclear = [one for one in before.problems if one.where.rpartition(":")[0] in paths and one.owner not in changed]
    if aliases.keys() & part.aliases.keys() or (has_keys and lost) or unclear:
        return None
    known = [one for one in before.problems if one.owner not in changed]
    return replace(
        before,
        revision=part.revision,
        resources=_merged(before, part, changed),
        owners=dict(sorted({**before.owners, **part.owners}.items())),
        problems=in_order((*known, *(one for one in part.problems if one.owner in changed))),
        declared=part.declared,
        aliases=dict(sorted({**aliases, **part.aliases}.items())),
    )


def leans_on_memory(found: Desired) -> bool:
    """Was what compiles told of the last applied revision needed? Only where something is wrong: else a commit says it all itself, but
    for the name of an instance that has no Settings."""
    return bool(found.blocked or found.no_deletes) or any(problem.severity is not Severity.WARNING for problem in found.problems)


def _around(found: Desired) -> object:
    return (found.instance, found.repo, found.targets, found.guards, found.status_branch, found.drift)


def _merged(before: Desired, part: Desired, changed: Collection[str]) -> Mapping[ResourceKey, Resource]:
    needed = {key for id_, owner in before.owners.items() if id_ not in changed for key in owner.shares}
    gone = {key for id_ in changed if id_ in before.owners for key in before.owners[id_].shares} - needed
    kept = {key: one for key, one in before.resources.items() if one.owner not in changed and key not in gone}
    return dict(sorted({**part.resources, **kept}.items()))
