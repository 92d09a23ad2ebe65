"""Where declarations come from: a commit, or a folder as it lies there. Bytes with names; nothing here knows YAML.

Implementations: `reconciler.git.source` (a Git repository), `folder` (uncommitted files), `memory` (a commit graph for simulations).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

UNCOMMITTED: Final = "uncommitted"
ACK_TRAILER: Final = "Reconciler-Ack"
MAX_COMMITS: Final = 1000  # how far back trailers are looked for


class Mode(StrEnum):
    REGULAR = "regular"
    SYMLINK = "symlink"
    OTHER = "other"  # a submodule, a device, a pipe


@dataclass(frozen=True, slots=True)
class Revision:
    """id: commit hash, or "uncommitted"; root: hash of the root commit ("" where there is none); label: for people."""

    id: str
    root: str
    label: str


@dataclass(frozen=True, slots=True)
class File:
    """path: relative, with `/`; blob: same id, same bytes; size in bytes. Of a symlink, the bytes are its target."""

    path: str
    blob: str
    size: int
    mode: Mode = Mode.REGULAR


class Source(Protocol):
    """Every method raises RepoError, or RepoUnavailable where a later try may help; none returns less than there is."""

    def revision(self) -> Revision:
        """The head of the branch as last fetched."""

    def files(self, revision: Revision) -> Sequence[File]:
        """Every file of the revision; what lies in hidden folders may be left out."""

    def read(self, file: File) -> bytes: ...

    def is_ancestor(self, old: str, new: str) -> bool:
        """Is commit `old` the same as `new`, or before it? False where either is not known."""

    def trailers(self, after: str, upto: str) -> tuple[str, ...]:
        """Values of `Reconciler-Ack` in the commits after `after` up to and including `upto`, at most MAX_COMMITS of them.

        `after` == "" or not known: of `upto` alone.
        """
