"""Where a verb reads declarations: a folder as it lies there, or a Git repository. Git is imported only for a repository."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.options import Where
from reconciler.errors import UsageError
from reconciler.repo.source import Source

if TYPE_CHECKING:
    from reconciler.git.source import GitSource


def git_source(where: Where) -> "GitSource":
    """The repository, not fetched yet; its cache lies in the state folder."""
    from reconciler.git.source import open_source

    return open_source(where.named_repo(), where.branch, where.state / "git")


@contextmanager
def source_of(path: str | None, where: Where) -> Iterator[Source]:
    """The folder that was named, else the repository, freshly fetched. Raises UsageError where the folder is none."""
    if path is None:
        with closing(git_source(where)) as source:
            source.fetch()
            yield source
    elif not Path(path).is_dir():
        raise UsageError(f"{path} is not a folder", why="validate and plan take a folder, or --repo URL", todo="check the path", code="U2")
    else:
        from reconciler.repo.folder import FolderSource

        yield FolderSource(Path(path))
