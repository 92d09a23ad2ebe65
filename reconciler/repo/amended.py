"""What a commit changes of one that was understood completely, where that is endpoints and nothing else: only these are read.

An endpoint depends on clusters, engines, registries and the like, on its own workspace, and on no other endpoint; keys depend on the names
of endpoints. So a commit that changes or adds endpoints, and takes none away, needs the changed files and those that declare neither
endpoints, nor keys, nor workspaces of others.
Whatever else a commit does, and whatever is wrong with one of these files, is a case for `read_repo`, which knows the words for it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.repo.cache import Known
from reconciler.repo.documents import FileResult, read_file
from reconciler.repo.snapshot import Declaration, Snapshot
from reconciler.repo.source import File, Mode, Revision, Source
from reconciler.repo.yaml_faults import MAX_BYTES

ENDPOINTS: Final = "Endpoint/"
WORKSPACES: Final = "Workspace/"
APART: Final = (ENDPOINTS, "ApiKey/")


@dataclass(frozen=True, slots=True)
class Amendment:
    """snapshot: the endpoints of the files that changed, and what endpoints depend on. changed: the ids of these endpoints, old and new."""

    snapshot: Snapshot
    changed: frozenset[str]


def amendment(source: Source, revision: Revision, files: Sequence[File], before: Mapping[str, str], declared: Known) -> Amendment | None:
    """files: of the revision. before: path -> blob, and declared: path -> ids, of a commit in which nothing was wrong. None where the
    whole revision has to be read. Raises RepoError as `read_repo` does."""
    changed = [file for file in files if before.get(file.path) != file.blob]
    if not changed or before.keys() - {file.path for file in files} or not all(_harmless(file, before, declared) for file in changed):
        return None
    endpoints = _endpoints(source, changed, declared)
    if endpoints is None:
        return None
    found = {**endpoints, **_around(source, files, declared, {f"{WORKSPACES}{one.workspace}" for one in endpoints.values()})}
    declares = {file.path: tuple(sorted(id_ for id_, one in endpoints.items() if one.place.path == file.path)) for file in changed}
    return Amendment(Snapshot(revision, dict(sorted(found.items())), declared={**declared, **declares}), frozenset(endpoints))


def _endpoints(source: Source, changed: Sequence[File], declared: Known) -> dict[str, Declaration[object]] | None:
    """What the changed files declare: these endpoints and no others, none of them twice. None for anything else."""
    known = {id_ for ids in declared.values() for id_ in ids}
    found: dict[str, Declaration[object]] = {}
    for file in changed:
        result = read_file(file.path, source.read(file))
        ids = [item.id for item in result.declarations]
        old = set(declared.get(file.path, ()))
        doubled = len(ids) != len(set(ids)) or (set(ids) - old) & (known | found.keys())
        if _at_fault(result) or doubled or old - set(ids) or not all(id_.startswith(ENDPOINTS) for id_ in ids):
            return None
        found |= {item.id: item for item in result.declarations}
    return found


def _around(source: Source, files: Sequence[File], declared: Known, workspaces: Collection[str]) -> dict[str, Declaration[object]]:
    """What they depend on, out of files that did not change."""
    holding = [file for file in files if any(_needed(id_, workspaces) for id_ in declared.get(file.path, ()))]
    results = (read_file(file.path, source.read(file)) for file in holding)
    return {item.id: item for result in results for item in result.declarations if _needed(item.id, workspaces)}


def _needed(id_: str, workspaces: Collection[str]) -> bool:
    """Do the changed endpoints depend on it?"""
    return id_ in workspaces if id_.startswith(WORKSPACES) else not id_.startswith(APART)


def _harmless(file: File, before: Mapping[str, str], declared: Known) -> bool:
    """A file that held endpoints alone, or that is new. One that held nothing may have been of no interest, or not understood."""
    if file.mode is not Mode.REGULAR or file.size > MAX_BYTES:
        return False
    ids = declared.get(file.path, ())
    return all(id_.startswith(ENDPOINTS) for id_ in ids) and bool(ids) == (file.path in before)


def _at_fault(result: FileResult) -> bool:
    return bool(result.invalid or result.broken or result.warnings or not result.declarations)
