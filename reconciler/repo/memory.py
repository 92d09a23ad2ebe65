"""A commit graph in memory: simulations commit, rewind and break it thousands of times per second."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.errors import RepoError, RepoUnavailable
from reconciler.repo.source import ACK_TRAILER, MAX_COMMITS, File, Mode, Revision


@dataclass(frozen=True, slots=True)
class MemoryCommit:
    id: str
    parent: str
    root: str
    message: str
    files: Mapping[str, bytes]
    listed: tuple[File, ...] = field(repr=False)


@dataclass
class MemorySource:
    """A Source that is also written to. `fail`: how many of the next readings raise RepoUnavailable. `links`: paths that are links."""

    commits: dict[str, MemoryCommit] = field(default_factory=dict)
    head: str = ""
    fail: int = 0
    links: set[str] = field(default_factory=set)
    blobs: dict[str, bytes] = field(default_factory=dict, repr=False)
    _ids: dict[bytes, str] = field(default_factory=dict, repr=False)

    def commit(self, files: Mapping[str, bytes | str], message: str = "") -> str:
        """A commit on top of the head with exactly these files; returns its id, which depends on parent, files and message only."""
        content = {path: data.encode() if isinstance(data, str) else data for path, data in sorted(files.items())}
        listed = tuple(File(path, self._blob(data), len(data), self._mode(path)) for path, data in content.items())
        text = "\0".join((self.head, message, *(part for file in listed for part in (file.path, file.blob))))
        id_ = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        root = self.commits[self.head].root if self.head else id_
        self.commits[id_] = MemoryCommit(id_, self.head, root, message, content, listed)
        self.head = id_
        return id_

    def _blob(self, data: bytes) -> str:
        """As Git counts, counted once."""
        id_ = self._ids.get(data)
        if id_ is None:
            id_ = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            self._ids[data], self.blobs[id_] = id_, data
        return id_

    def rewind(self, to: str) -> None:
        """Move the head to any commit there ever was, as a forced push does."""
        self.head = self.commits[to].id

    def history(self, start: str) -> Iterator[MemoryCommit]:
        """A commit and everything before it."""
        while start in self.commits:
            commit = self.commits[start]
            yield commit
            start = commit.parent

    def revision(self) -> Revision:
        self._perhaps_fail()
        if not self.head:
            raise RepoError("the repo has no commits", todo="commit something", code="R5")
        return Revision(self.head, self.commits[self.head].root, f"memory@{self.head[:10]}")

    def files(self, revision: Revision) -> Sequence[File]:
        self._perhaps_fail()
        return self.commits[revision.id].listed

    def read(self, file: File) -> bytes:
        self._perhaps_fail()
        if file.blob not in self.blobs:
            raise RepoError(f"{file.path} is not in the repo", code="R7")
        return self.blobs[file.blob]

    def is_ancestor(self, old: str, new: str) -> bool:
        return any(commit.id == old for commit in self.history(new))

    def trailers(self, after: str, upto: str) -> tuple[str, ...]:
        before = {commit.id for commit in self.history(after)}
        found: list[str] = []
        for number, commit in enumerate(self.history(upto)):
            if commit.id in before or number >= (MAX_COMMITS if before else 1):
                break
            found += trailers_of(commit.message)
        return tuple(found)

    def _mode(self, path: str) -> Mode:
        return Mode.SYMLINK if path in self.links else Mode.REGULAR

    def _perhaps_fail(self) -> None:
        if self.fail > 0:
            self.fail -= 1
            raise RepoUnavailable("the repo cannot be read", why="injected", todo="try again")


def trailers_of(message: str) -> list[str]:
    """Values of our trailer in the last paragraph of a message, which is where Git looks for trailers."""
    last = message.strip().rpartition("\n\n")[2]
    lines = (line.partition(":") for line in last.splitlines())
    return [value.strip() for name, colon, value in lines if colon and name.strip().lower() == ACK_TRAILER.lower()]
