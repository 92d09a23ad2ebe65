"""How a revision relates to what was applied: is it the same repo, does it descend, what was acknowledged on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from reconciler.desired import Desired
from reconciler.errors import StateError
from reconciler.state.record import Record

PREFIX: Final = "sha256:"
UNCOMMITTED: Final = "uncommitted"  # the id of a folder's revision (repo/source.py)


class Commits(Protocol):
    """What is asked of a repo.Source here."""

    def is_ancestor(self, old: str, new: str) -> bool: ...

    def trailers(self, after: str, upto: str) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Past:
    """rewound: the head does not descend from the last one that was acted on. trailers: digests that people acknowledged since."""

    rewound: bool = False
    trailers: tuple[str, ...] = ()


def history(commits: Commits, record: Record, head: str) -> Past:
    """Flux and Argo CD compare hashes only, so a forced old commit is applied like a new one; here it is held (gitops.md 4.7)."""
    if head == UNCOMMITTED:
        return Past()
    rewound = record.head not in ("", head) and not commits.is_ancestor(record.head, head)
    applied = record.remembered.revision
    if applied == head:
        return Past(rewound)
    # of a forced line only what is new counts: an acknowledgement that lies before the rewind was given to another state
    after = record.head if rewound else applied
    return Past(rewound, tuple(sorted(value for value in commits.trailers(after, head) if value.startswith(PREFIX))))


def same_repo(desired: Desired, record: Record) -> Desired:
    """The desired state with the repo it belongs to; an uncommitted folder belongs to the repo that was applied last.

    Raises StateError when the state folder remembers another repo: its record says nothing about this one.
    """
    if not desired.repo:
        return replace(desired, repo=record.repo)
    if record.repo and record.repo != desired.repo:
        raise StateError(
            f"this state folder belongs to the repo with root commit {record.repo[:12]}, not to {desired.repo[:12]}",
            why="what is remembered of one repo would be pruned by the other",
            todo="name another folder with --state, or move the record of the old repo away",
            code="S3",
        )
    return desired
