"""Commits without a work tree, pushed by compare-and-swap: how status gets back into the repo.

A commit is made from plumbing (one `fast-import`) on top of the branch's remote head, with exactly the files that are given. A branch
that does not exist begins without a parent. Where somebody else was faster the push is refused, and the caller merges and tries again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.errors import RepoError, RepoUnavailable
from reconciler.git.failures import failure_of
from reconciler.git.source import GitSource
from reconciler.repo.source import Mode, Revision

AUTHOR: Final = "reconciler <reconciler@localhost>"
_LOST: Final = (
    "stale info",
    "fetch first",
    "non-fast-forward",
    "cannot lock ref",
    "incorrect old value",
    "reference already exists",
    "[rejected]",
)


class BranchMoved(RepoUnavailable):
    """Somebody else pushed in between: read the branch again, merge, and try again."""

    default_code = "R10"


@dataclass(frozen=True, slots=True)
class BranchState:
    """A branch as the remote has it. commit: "" where it does not exist."""

    commit: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)


def read_branch(repo: GitSource, branch: str) -> BranchState:
    """Fetch a branch and read its files: what a commit is merged with. Raises RepoError, RepoUnavailable."""
    repo.prepare()
    with repo.git.locked():
        commit = _fetch(repo, branch)
    if not commit:
        return BranchState()
    files = repo.files(Revision(commit, "", branch))
    return BranchState(commit, {file.path: repo.read(file) for file in files if file.mode is Mode.REGULAR})


def commit_tree(
    repo: GitSource, files: Mapping[str, bytes], branch: str, message: str, author: str, when: float, *, base: str | None = None
) -> str | None:
    """Commit exactly these files on a branch and push it; returns the commit, or None where the branch has them already.

    when: seconds since the epoch. base: the commit that the files were merged with ("" = the branch did not exist); None: whatever is
    there now. Raises BranchMoved where the branch is not, or no longer, at its base; RepoError for the source branch, which is never
    written to.
    """
    if branch in (repo.branch, "", "HEAD"):
        raise RepoError(
            f"status cannot go to '{branch}'",
            why="it is the branch that declarations are read from",
            todo="name another branch in Settings",
        )
    repo.prepare()
    with repo.git.locked():
        there = _fetch(repo, branch)
        if base is not None and base != there:
            raise _moved(branch, f"it is at {there[:10] or 'nothing'}, not at {base[:10] or 'nothing'}")
        made = _import(repo, files, there, message, author, when)
        if there and _tree(repo, made) == _tree(repo, there):
            return None
        _push(repo, branch, there, made)
        return made


def _kept(branch: str) -> str:
    return f"refs/reconciler/{branch}"


def _fetch(repo: GitSource, branch: str) -> str:
    """The remote head of a branch, fetched; "" where it does not exist."""
    ref = f"+refs/heads/{branch}:{_kept(branch)}"
    answer = repo.git.run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", repo.remote.url, ref, seconds=repo.seconds)
    if "couldn't find remote ref" in answer.err:
        return ""
    if answer.code:
        raise failure_of(answer, repo.remote.url)
    return repo.git.run("rev-parse", "--verify", _kept(branch)).out.decode().strip()


def _import(repo: GitSource, files: Mapping[str, bytes], parent: str, message: str, author: str, when: float) -> str:
    made = "refs/reconciler-made"
    stream = b"".join(_stream(files, made, parent, message, author, when))
    answer = repo.git.run("fast-import", "--quiet", "--force", "--date-format=raw", stdin=stream, seconds=repo.seconds)
    if answer.code:
        raise failure_of(answer, f"the Git cache {repo.folder}")
    return repo.git.run("rev-parse", "--verify", made).out.decode().strip()


def _stream(files: Mapping[str, bytes], ref: str, parent: str, message: str, author: str, when: float) -> list[bytes]:
    text = message.encode()
    lines = [f"reset {ref}\n\ncommit {ref}\ncommitter {author} {int(when)} +0000\ndata {len(text)}\n".encode(), text, b"\n"]
    lines += [f"from {parent}\n".encode()] if parent else []
    lines.append(b"deleteall\n")
    for path, data in sorted(files.items()):
        _check(path)
        lines += [f'M 100644 inline "{path}"\ndata {len(data)}\n'.encode(), data, b"\n"]
    return lines


def _check(path: str) -> None:
    parts = path.split("/")
    odd = any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or any(
        letter in '"\\' or ord(letter) < 32 for letter in path
    )
    if odd:
        raise RepoError(f"'{path}' cannot be a file in a commit", todo="use plain relative paths")


def _tree(repo: GitSource, commit: str) -> bytes:
    return repo.git.run("rev-parse", "--verify", f"{commit}^{{tree}}").out


def _push(repo: GitSource, branch: str, expected: str, commit: str) -> None:
    ref = f"refs/heads/{branch}"
    lease = f"--force-with-lease={ref}:{expected}"
    answer = repo.git.run("push", "--quiet", "--no-verify", lease, repo.remote.url, f"{commit}:{ref}", seconds=repo.seconds)
    if answer.code == 0:
        repo.git.run("update-ref", _kept(branch), commit)
    elif any(word in answer.err for word in _LOST):
        raise _moved(branch, "somebody else pushed to it in between")
    else:
        raise failure_of(answer, repo.remote.url)


def _moved(branch: str, why: str) -> BranchMoved:
    return BranchMoved(f"the branch {branch} moved", why=why, todo="it is merged and tried again")
