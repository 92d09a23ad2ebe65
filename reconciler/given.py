"""What a pass is given: where declarations come from, what is remembered, opened targets, the compiler."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from reconciler.desired import Desired, Remembered
from reconciler.places import Places
from reconciler.repo.cache import ReadCache
from reconciler.repo.source import UNCOMMITTED, Revision, Source
from reconciler.state.compiled import Commit
from reconciler.state.folder import State

if TYPE_CHECKING:
    from reconciler.repo.snapshot import Snapshot


class Kept(Protocol):
    """A memory of compiled commits (`state/compiled.py`)."""

    def find(self, revision: str, root: str, remembered: Remembered) -> Desired | None: ...

    def latest(self, root: str, remembered: Remembered) -> Commit | None: ...

    def keep(self, remembered: Remembered, commit: Commit, *, whole: bool) -> Desired: ...


@dataclass(frozen=True, slots=True)
class Given:
    """What a pass is given. compile: the compiler with its engine schemas and caches. parallel: read targets side by side.

    kept: what was compiled of commits, by this process and by earlier ones; cache: what was read of a folder that is not committed.
    """

    source: Source
    state: State
    places: Places
    compile: "Callable[[Snapshot, Remembered], Desired]"
    cache: ReadCache = field(default_factory=ReadCache)
    parallel: bool = True
    kept: Kept | None = None


def desired_of(given: Given, remembered: Remembered) -> Desired:
    """What should be. A commit that was compiled before is neither read nor compiled; of one that changes little, only that is."""
    if given.kept is None or (revision := given.source.revision()).id == UNCOMMITTED:
        return _read_and_compile(given, remembered, given.cache)
    return given.kept.find(revision.id, revision.root, remembered) or _new(given, given.kept, revision, remembered)


def _new(given: Given, kept: Kept, revision: Revision, remembered: Remembered) -> Desired:
    """Compiled, and kept for the next command or pass. What was read stays only while something is wrong: then each pass that applied some
    of it compiles the rest anew."""
    from reconciler.compile.amend import leans_on_memory

    before = kept.latest(revision.root, remembered)
    amended = _amended(given, revision, before) if before else None
    if amended:
        return kept.keep(remembered, amended, whole=True)
    desired = _read_and_compile(given, remembered, given.cache)
    whole = not leans_on_memory(desired)
    lean = kept.keep(remembered, Commit(desired, given.cache.blobs), whole=whole)
    if whole:
        given.cache.forget()
    return lean


def _amended(given: Given, revision: Revision, before: Commit) -> Commit | None:
    """The same with what changed since; None where a commit does more than change endpoints and add some."""
    from reconciler.compile.amend import amend
    from reconciler.repo.amended import amendment
    from reconciler.repo.read import files_of

    files = files_of(given.source, revision)
    found = amendment(given.source, revision, files, before.files, before.desired.declared)
    desired = amend(before.desired, found.snapshot, found.changed, given.compile) if found else None
    return Commit(desired, {file.path: file.blob for file in files}) if desired else None


def _read_and_compile(given: Given, remembered: Remembered, cache: ReadCache) -> Desired:
    from reconciler.repo.read import read_repo  # a fifth of a second: YAML and the schema of every kind

    return given.compile(read_repo(given.source, remembered.declared, cache), remembered)
