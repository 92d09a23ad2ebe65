"""One status branch made to hold given files: read, merge, commit, push by compare-and-swap; a few times, when others were faster."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.publish.status_files import Files, is_ours

if TYPE_CHECKING:
    from reconciler.git.source import GitSource

TRIES: Final = 6
PAUSE: Final = 0.2  # seconds before the second try, doubled from then on


@dataclass(slots=True)
class GitPush:
    """open_repo: a source of its own for this thread, opened at the first push. random: from 0 to 1, for the jitter."""

    open_repo: Callable[[], "GitSource"]
    random: Callable[[], float]
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time
    _repo: "GitSource | None" = None

    def __call__(self, branch: str, files: Files, message: str) -> str | None:
        """The commit, or None where the branch has these files already. Raises RepoError, BranchMoved after the last try."""
        from reconciler.git.push import AUTHOR, BranchMoved, commit_tree, read_branch

        if self._repo is None:
            self._repo = self.open_repo()
        for attempt in range(TRIES):
            try:
                there = read_branch(self._repo, branch)
                whole = merged(there.files, files)
                return commit_tree(self._repo, whole, branch, message, AUTHOR, self.now(), base=there.commit)
            except BranchMoved:
                if attempt == TRIES - 1:
                    raise
            self.sleep(PAUSE * 2.0**attempt * (0.5 + self.random()))
        return None

    def close(self) -> None:
        if self._repo is not None:
            self._repo.close()


def merged(there: Mapping[str, bytes], files: Files) -> Files:
    """Ours as they are now, and beside them what somebody else put on the branch."""
    return {**{path: data for path, data in there.items() if not is_ours(path)}, **files}
