"""What a pass is given: where declarations come from, what is remembered, opened targets, the compiler."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from reconciler.desired import Desired, Remembered
from reconciler.places import Places
from reconciler.repo.cache import ReadCache
from reconciler.repo.source import Source
from reconciler.state.folder import State

if TYPE_CHECKING:
    from reconciler.repo.snapshot import Snapshot


class Kept(Protocol):
    """A memory of compiled commits (`state/compiled.py`)."""

    def find(self, revision: str, root: str, remembered: Remembered) -> Desired | None: ...

    def keep(self, revision: str, root: str, remembered: Remembered, desired: Desired) -> None: ...


@dataclass(frozen=True, slots=True)
class Given:
    """What a pass is given. compile: the compiler with its engine schemas and caches. parallel: read targets side by side.

    kept: what earlier commands compiled, for a process that has compiled nothing itself yet.
    """

    source: Source
    state: State
    places: Places
    compile: "Callable[[Snapshot, Remembered], Desired]"
    cache: ReadCache = field(default_factory=ReadCache)
    parallel: bool = True
    kept: Kept | None = None


def desired_of(given: Given, remembered: Remembered) -> Desired:
    """What should be. A commit that was compiled before, with the same memory, is neither read nor compiled."""
    if given.kept is None or given.cache.snapshot is not None:
        return _compiled(given, remembered)
    revision = given.source.revision()
    known = given.kept.find(revision.id, revision.root, remembered)
    if known is None:
        known = _compiled(given, remembered)
        given.kept.keep(known.revision, known.repo, remembered, known)
    return known


def _compiled(given: Given, remembered: Remembered) -> Desired:
    from reconciler.repo.read import read_repo  # a fifth of a second: YAML and the schema of every kind

    return given.compile(read_repo(given.source, remembered.declared, given.cache), remembered)
