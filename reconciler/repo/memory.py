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
    message: str
    files: Mapping[str, bytes]


@dataclass
class MemorySource:
    """A Source that is also written to. `fail`: how many of the next readings raise RepoUnavailable."""

    commits: dict[str, MemoryCommit] = field(default_factory=dict)
    head: str = ""
    fail: int = 0
    links: set[str] = field(default_factory=set)

    def commit(self, files: Mapping[str, bytes | str], message: str = "") -> str:
        """A commit on top of the head with exactly these files; returns its id, which depends on parent, files and message only."""
        content = {path: data.encode() if isinstance(data, str) else data for path, data in sorted(files.items())}
        text = hashlib.sha1(f"{self.head}\0{message}".encode(), usedforsecurity=False)
        for path, data in content.items():
            text.update(f"\0{path}\0".encode() + blob_id(data).encode())
        made = MemoryCommit(text.hexdigest(), self.head, message, content)
        self.commits[made.id] = made
        self.head = made.id
        return made.id

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
        root = [commit.id for commit in self.history(self.head)][-1]
        return Revision(self.head, root, f"memory@{self.head[:10]}")

    def files(self, revision: Revision) -> Sequence[File]:
        self._perhaps_fail()
        content = self.commits[revision.id].files
        return [File(path, blob_id(data), len(data), self._mode(path)) for path, data in content.items()]

    def read(self, file: File) -> bytes:
        self._perhaps_fail()
        for commit in (self.commits[self.head], *self.commits.values()):
            data = commit.files.get(file.path)
            if data is not None and blob_id(data) == file.blob:
                return data
        raise RepoError(f"{file.path} is not in the repo", code="R7")

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


def blob_id(data: bytes) -> str:
    """As Git counts."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def trailers_of(message: str) -> list[str]:
    """Values of our trailer in the last paragraph of a message, which is where Git looks for trailers."""
    last = message.strip().rpartition("\n\n")[2]
    lines = (line.partition(":") for line in last.splitlines())
    return [value.strip() for name, colon, value in lines if colon and name.strip().lower() == ACK_TRAILER.lower()]
