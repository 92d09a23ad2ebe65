"""`read_repo`: a revision to a Snapshot. Decides what a file that cannot be understood means for deletes.

- Every `*.yaml` and `*.yml` outside hidden folders (a part of the path that begins with a dot) holds declarations and nothing else.
- Identity is kind, workspace and name, never the path: a file that moves changes nothing.
- A broken document blocks what stood in its file at the applied revision (`known`), and what vanished from elsewhere while its name is
  written in the broken text: it may just have moved there. What is validly declared anywhere is blocked by nobody.
- A broken document in a file that was not known makes the repo's content unknown: nothing is deleted. Such a file stays out of
  `declared`, so that it is still unknown at the next pass.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from posixpath import dirname, join, normpath
from typing import Final

from reconciler.errors import Problem, RepoError, Severity
from reconciler.repo.cache import Known, ReadCache
from reconciler.repo.documents import Broken, FileResult, printable, problems_of, read_file, unread_file
from reconciler.repo.snapshot import Place, Snapshot
from reconciler.repo.source import UNCOMMITTED, File, Mode, Revision, Source
from reconciler.repo.yaml_faults import MAX_BYTES, Mark, YamlFault, too_large

MAX_FILES: Final = 20_000
MAX_LINK: Final = 4096  # PATH_MAX: a longer target leads nowhere, and is not read
MAX_TOTAL: Final = 256 * 1024 * 1024


def read_repo(source: Source, known: Known, cache: ReadCache | None = None) -> Snapshot:
    """The declarations of the source's head. known: path -> owners at the applied revision.

    With a cache, the very same Snapshot comes back while neither revision nor files nor what matters of `known` changed.
    Raises RepoError, RepoUnavailable for what concerns the repo as a whole; mistakes in files are problems of the Snapshot.
    """
    cache = cache if cache is not None else ReadCache()
    revision = source.revision()
    if cache.listed is not None and cache.listed[0] == revision and revision.id != UNCOMMITTED:
        files = cache.listed[1]
    else:
        files = files_of(source, revision)
    if cache.snapshot is not None and cache.listed == (revision, files) and _same(cache, known):
        return cache.snapshot
    results = {file: cache.files.get(file) or _result(source, file) for file in files}
    snapshot = assemble(revision, tuple(results.values()), known)
    cache.files, cache.listed, cache.snapshot, cache.known = results, (revision, files), snapshot, known
    return snapshot


def _same(cache: ReadCache, known: Known) -> bool:
    """`known` matters only while something is broken."""
    return not any(result.broken for result in cache.files.values()) or cache.known == known


def files_of(source: Source, revision: Revision) -> tuple[File, ...]:
    """The files that are read or reported, by path. Raises RepoError beyond the bounds of a repo."""
    seen = [file for file in source.files(revision) if not _hidden(file.path) and (file.mode is not Mode.REGULAR or _is_yaml(file.path))]
    total = sum(file.size for file in seen if file.size <= MAX_BYTES)
    if len(seen) > MAX_FILES or total > MAX_TOTAL:
        size = f"{len(seen)} YAML files, {total / 1024 / 1024:.0f} MiB"
        raise RepoError(
            f"the repo is too large: {size}", why=f"at most {MAX_FILES} files and 256 MiB are read", todo="split it", code="R11"
        )
    return tuple(sorted(seen, key=lambda file: file.path))


def _hidden(path: str) -> bool:
    return path.startswith(".") or "/." in path


def _is_yaml(path: str) -> bool:
    return path.endswith((".yaml", ".yml"))


def _result(source: Source, file: File) -> FileResult:
    path = file.path
    if file.mode is Mode.SYMLINK and file.size <= MAX_LINK:
        return _symlink(path, source.read(file).decode(errors="replace"))
    if file.mode is Mode.OTHER:
        return FileResult(
            path, warnings=(_warning(path, "not read: it is no regular file", "submodules and devices hold no declarations here"),)
        )
    if file.size > MAX_BYTES or file.mode is Mode.SYMLINK:
        return unread_file(path, too_large(file.size))
    return read_file(path, source.read(file))


def _symlink(path: str, target: str) -> FileResult:
    place = normpath(join(dirname(path), target))
    if target.startswith("/") or place == ".." or place.startswith("../"):
        fault = YamlFault(
            Mark(1, 1), "E78", f"a link to {target[:200]}", "it leads out of the repo, and is not followed", "put the file itself here"
        )
        return unread_file(path, fault)
    return FileResult(
        path, warnings=(_warning(path, f"the link to {printable(target[:200])} is not followed", "its target is read where it lies"),)
    )


def _warning(path: str, what: str, why: str) -> Problem:
    return Problem("W12", what, why, where=printable(path), severity=Severity.WARNING)


def assemble(revision: Revision, results: Sequence[FileResult], known: Known) -> Snapshot:
    """The files of a revision as one value. Pure; the order of the files does not matter."""
    ids = _places_by_id(results)
    doubles = {id_: _doubles(id_, places) for id_, places in ids.items() if len(places) > 1} | _second_settings(ids)
    blocked: dict[str, list[Problem]] = defaultdict(list)
    for result in results:
        for item in result.invalid:
            blocked[item.id].extend(item.problems)
    for id_, problems in doubles.items():
        blocked[id_].extend(problems)
    held = _suspect(results, known, frozenset(ids), blocked)
    unknown = {result.path: found for result in results if (found := _unknown(result, known))}
    valid = {item.id: item for result in results for item in result.declarations if item.id not in blocked}
    problems = [_owned(problem, held.get(result.path)) for result in results for problem in problems_of(result)]
    problems += [problem for found in doubles.values() for problem in found]
    return Snapshot(
        revision,
        dict(sorted(valid.items())),
        tuple(sorted(problems, key=_order)),
        {id_: tuple(found) for id_, found in sorted(blocked.items())},
        tuple(problem for path in sorted(unknown) for problem in unknown[path]),
        _declared(results, unknown, held),
    )


def _places_by_id(results: Sequence[FileResult]) -> dict[str, list[Place]]:
    ids: dict[str, list[Place]] = defaultdict(list)
    for result in results:
        for id_, place in result.identities():
            ids[id_].append(place)
    return {id_: sorted(places) for id_, places in ids.items()}


def _doubles(id_: str, places: Sequence[Place]) -> list[Problem]:
    kind, _, name = id_.partition("/")
    return [
        Problem(
            "E69",
            f"{kind} {name} is declared at {_other(place, places)} too",
            "one of them would be lost in silence",
            "remove one",
            str(place),
            owner=id_,
        )
        for place in places
    ]


def _other(place: Place, places: Sequence[Place]) -> Place:
    return places[1] if place == places[0] else places[0]


def _second_settings(ids: Mapping[str, list[Place]]) -> dict[str, list[Problem]]:
    """A repo has one Settings, whatever its name: it is the name of the claim on everything."""
    settings = {id_: places[0] for id_, places in ids.items() if id_.startswith("Settings/")}
    if len(settings) < 2:
        return {}
    places = sorted(settings.values())
    return {
        id_: [
            Problem(
                "E69",
                f"Settings are declared at {_other(place, places)} too",
                "a repo has one Settings",
                "remove one",
                str(place),
                owner=id_,
            )
        ]
        for id_, place in settings.items()
    }


def _suspect(
    results: Sequence[FileResult], known: Known, present: frozenset[str], blocked: dict[str, list[Problem]]
) -> dict[str, set[str]]:
    """What broken documents may hold, by path; fills `blocked` with it."""
    missing = {owner for owners in known.values() for owner in owners if owner not in present}
    held: dict[str, set[str]] = {}
    for result in results:
        for broken in result.broken:
            owners = _suspects(result.path, broken, known, missing)
            held.setdefault(result.path, set()).update(owners)
            for owner in owners:
                blocked[owner].extend(replace(problem, owner=owner) for problem in broken.problems)
    return held


def _unknown(result: FileResult, known: Known) -> tuple[Problem, ...]:
    """Why a file may hold anything at all."""
    if result.path in known:
        return ()
    return tuple(problem for broken in result.broken if broken.ours for problem in broken.problems)


def _suspects(path: str, broken: Broken, known: Known, missing: set[str]) -> set[str]:
    own = {owner for owner in known.get(path, ()) if owner in missing}
    return own | {owner for owner in missing if broken.text is None or _names(broken.text, owner.rpartition("/")[2])}


def _names(text: bytes, name: str) -> bool:
    """Is the name written there, as a word?"""
    return name.encode() in text and re.search(rb"(?<![a-z0-9-])%s(?![a-z0-9-])" % re.escape(name.encode()), text) is not None


def _declared(results: Sequence[FileResult], unknown: Mapping[str, object], held: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
    declared = {}
    for result in sorted(results, key=lambda item: item.path):
        owners = {id_ for id_, _ in result.identities()} | held.get(result.path, set())
        if (owners or result.broken) and result.path not in unknown:
            declared[result.path] = tuple(sorted(owners))
    return declared


def _owned(problem: Problem, held: set[str] | None) -> Problem:
    """Whose problem a broken document is, where only one declaration can be meant."""
    return replace(problem, owner=next(iter(held))) if problem.owner is None and held and len(held) == 1 else problem


def _order(problem: Problem) -> tuple[str, int, str, str]:
    path, _, line = problem.where.rpartition(":")
    return (path, int(line), problem.path, problem.code) if line.isdigit() else (problem.where, 0, problem.path, problem.code)
