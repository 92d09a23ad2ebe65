"""A Git repository as a Source: fetched into a bare cache, read at a commit straight from the objects, without a work tree.

The cache is what makes an outage harmless: `revision()` answers from it, whatever `fetch()` had to say. It is keyed by the URL without
credentials, and holds the whole history, because the root commit says whose repo this is and ancestry says whether a branch was rewound.
"""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import RepoError, RepoUnavailable
from reconciler.git.command import Answer, Git
from reconciler.git.failures import failure_of
from reconciler.git.remote import Remote, remote_of
from reconciler.repo.source import ACK_TRAILER, MAX_COMMITS, File, Mode, Revision

if TYPE_CHECKING:
    from git.cmd import Git as Objects

FIRST = 5  # times as long as any other may the first fetch take: it brings the whole history
_MODES = {b"100644": Mode.REGULAR, b"100755": Mode.REGULAR, b"120000": Mode.SYMLINK}


def open_source(url_or_path: str, branch: str, cache: Path, *, seconds: float = 120.0) -> "GitSource":
    """A source on a branch ("" = the one that the remote's HEAD names), with its cache below `cache`. Nothing is fetched yet.

    seconds: the longest that a fetch may take. Raises RepoError for a name that cannot be a repository or a branch.
    """
    if branch and (
        branch.startswith("-") or ".." in branch or any(mark in branch for mark in " ~^:?*[\\\n") or branch.endswith((".lock", "/", "."))
    ):
        raise RepoError(f"'{branch}' is not a branch name", todo="name a branch, like main", code="R4")
    return GitSource(remote_of(url_or_path, os.environ), branch, cache, seconds)


class GitSource:
    """See `open_source`. Not for several threads; close it when done (it keeps one git process that hands out objects)."""

    def __init__(self, remote: Remote, branch: str, cache: Path, seconds: float) -> None:
        self.remote = remote
        self.seconds = seconds
        self.folder = cache / remote.slug
        self.git = Git(self.folder, remote.config, remote.hidden)
        self._branch = branch
        self._roots: dict[str, str] = {}
        self._objects: Objects | None = None

    @property
    def branch(self) -> str:
        """The branch that is read; of an unnamed one what the remote's HEAD named last, or ""."""
        if not self._branch and self.folder.is_dir():
            self._branch = self.git.run("symbolic-ref", "--short", "HEAD").out.decode().strip()
        return self._branch

    def prepare(self) -> None:
        """Make the cache where there is none. Raises RepoError where it cannot be written."""
        if (self.folder / "HEAD").exists():
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise RepoError(
                f"the Git cache {self.folder} cannot be made",
                why=error.strerror or "",
                todo="make room, correct the rights, or name another state folder with --state",
                code="R12",
            ) from error
        answer = self.git.run("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(self.folder))
        if answer.code:
            raise failure_of(answer, f"the Git cache {self.folder}")

    def fetch(self) -> None:
        """Bring the cache up to the remote. Raises RepoUnavailable, RepoError; the cache then stays as it was."""
        self.prepare()
        with self.git.locked():
            branch = self._branch or self._remote_head()
            ref = f"refs/heads/{branch}"
            seconds = self.seconds if self._has(ref) else FIRST * self.seconds
            words = ("--quiet", "--no-tags", "--no-write-fetch-head", self.remote.url, f"+{ref}:{ref}")
            answer = self.git.run("fetch", *words, seconds=seconds)
            if "couldn't find remote ref" in answer.err:
                raise self._no_branch(branch)
            if answer.code or "shallow roots" in answer.err:  # git only warns that it rejected these, and says 0
                raise self._fetch_failed(answer)

    def _fetch_failed(self, answer: Answer) -> RepoError:
        """Damage may be there or in our own cache: git names the file."""
        ours = f"{self.folder}/objects" in answer.err
        return failure_of(answer, f"the Git cache {self.folder}" if ours else self.remote.url, str(self.folder))

    def _has(self, ref: str) -> bool:
        return self.git.run("rev-parse", "--verify", "--quiet", ref).code == 0

    def _remotely(self, *words: str) -> Answer:
        return self.git.run(*words, seconds=self.seconds)

    def _remote_head(self) -> str:
        answer = self._remotely("ls-remote", "--symref", self.remote.url, "HEAD")
        if answer.code:
            raise failure_of(answer, self.remote.url)
        name = answer.out.decode(errors="replace").partition("\t")[0].removeprefix("ref: refs/heads/").strip()
        if not answer.out:
            raise self._no_commits()
        self.git.run("symbolic-ref", "HEAD", f"refs/heads/{name}")
        return name

    def heads(self) -> dict[str, str]:
        """The remote's branches and their commits. Raises like `fetch`."""
        answer = self._remotely("ls-remote", "--heads", self.remote.url)
        if answer.code:
            raise failure_of(answer, self.remote.url)
        lines = (line.split("\t") for line in answer.out.decode(errors="replace").splitlines())
        return {ref.removeprefix("refs/heads/"): commit for commit, ref in lines}

    def _no_branch(self, branch: str) -> RepoError:
        heads = sorted(self.heads())
        if not heads:
            return self._no_commits()
        close = difflib.get_close_matches(branch, heads, 1, 0.5)
        listed = ", ".join(heads[:10]) + (f" and {len(heads) - 10} more" if len(heads) > 10 else "")
        todo = f"did you mean {close[0]}?" if close else "name one of these"
        return RepoError(f"{self.remote.url} has no branch '{branch}'", why=f"it has {listed}", todo=todo, code="R4")

    def _no_commits(self) -> RepoError:
        return RepoError(
            f"{self.remote.url} has no commits", why="an empty repo says nothing, so nothing is changed", todo="commit something", code="R5"
        )

    def revision(self) -> Revision:
        branch = self.branch
        answer = self.git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}") if self.folder.is_dir() else None
        if answer is None or answer.code:
            raise RepoUnavailable(
                f"{self.remote.url} was never fetched", why="there is no commit in the cache", todo="fetch it once", code="R2"
            )
        head = answer.out.decode().strip()
        return Revision(head, self._root(head), f"{branch}@{head[:10]}")

    def _root(self, head: str) -> str:
        if head not in self._roots:
            answer = self.git.run("rev-list", "--first-parent", "--max-parents=0", head)
            if answer.code or not answer.out:
                raise failure_of(answer, f"the Git cache {self.folder}")
            self._roots = {head: answer.out.split()[0].decode()}
        return self._roots[head]

    def files(self, revision: Revision) -> Sequence[File]:
        answer = self.git.run("ls-tree", "-r", "-l", "-z", "--full-tree", revision.id)
        if answer.code:
            raise failure_of(answer, f"the Git cache {self.folder}")
        return [_file(entry) for entry in answer.out.split(b"\0") if entry]

    def read(self, file: File) -> bytes:
        try:
            data: bytes = self._reader().get_object_data(file.blob)[3]
        except (ValueError, OSError) as error:
            self.close()
            why = "a Git object is missing or damaged"
            raise RepoError(
                f"{file.path} cannot be read", why=why, todo=f"remove the Git cache {self.folder}; it is fetched again", code="R7"
            ) from error
        if len(data) != file.size:
            raise RepoError(
                f"{file.path} cannot be read", why="a Git object is cut off", todo=f"remove the Git cache {self.folder}", code="R7"
            )
        return data

    def _reader(self) -> "Objects":
        if self._objects is None:
            from git.cmd import Git as Objects

            self._objects = Objects(str(self.folder))
            self._objects.update_environment(**self.git.environment, GIT_DIR=str(self.folder))
        return self._objects

    def close(self) -> None:
        if self._objects is not None:
            self._objects.clear_cache()
            self._objects = None

    def is_ancestor(self, old: str, new: str) -> bool:
        return bool(old and new) and self.git.run("merge-base", "--is-ancestor", old, new).code == 0

    def trailers(self, after: str, upto: str) -> tuple[str, ...]:
        known = bool(after) and self.git.run("cat-file", "-e", f"{after}^{{commit}}").code == 0
        commits = [f"--max-count={MAX_COMMITS}", f"{after}..{upto}"] if known else ["--max-count=1", upto]
        form = f"--format=%(trailers:key={ACK_TRAILER},valueonly,unfold,separator=%x00)"
        answer = self.git.run("log", form, *commits, "--")
        if answer.code:
            raise failure_of(answer, f"the Git cache {self.folder}")
        return tuple(
            value.strip() for line in answer.out.decode(errors="replace").splitlines() for value in line.split("\0") if value.strip()
        )


def _file(entry: bytes) -> File:
    """`<mode> <type> <id> <size>\\t<path>`; a submodule has `-` for its size."""
    head, _, path = entry.partition(b"\t")
    mode, _, blob, size = head.split()
    return File(path.decode(errors="replace"), blob.decode(), int(size) if size.isdigit() else 0, _MODES.get(mode, Mode.OTHER))
