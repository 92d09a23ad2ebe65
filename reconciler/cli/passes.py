"""What a pass is made of, for the verbs: a source, the state folder, the compiler with the schemas that come with the package."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, cast

from reconciler.cli.options import Where
from reconciler.compile import compile_declarations
from reconciler.desired import Desired, Remembered
from reconciler.errors import UsageError
from reconciler.git.source import GitSource, open_source
from reconciler.places import places
from reconciler.publish.push import GitPush
from reconciler.reconcile import Given
from reconciler.repo.folder import FolderSource
from reconciler.repo.snapshot import Snapshot
from reconciler.repo.source import UNCOMMITTED, Source
from reconciler.resource import Manifest
from reconciler.resources import listing, text
from reconciler.state.folder import Held, StateFolder

ENGINES: Final = "schemas/engines"
BUILTIN: Final = "builtin:engines/"


class BuiltinSchemas(Mapping[str, Manifest]):
    """Argument schemas of engines, by the name that an Engine gives them; each is parsed when it is first asked for."""

    def __init__(self) -> None:
        self._parsed: dict[str, Manifest] = {}

    def __getitem__(self, name: str) -> Manifest:
        if name not in self:
            raise KeyError(name)
        if name not in self._parsed:
            self._parsed[name] = cast(Manifest, json.loads(text(f"{ENGINES}/{name.removeprefix(BUILTIN)}")))
        return self._parsed[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.startswith(BUILTIN) and name.removeprefix(BUILTIN) in listing(ENGINES)

    def __iter__(self) -> Iterator[str]:
        return (BUILTIN + name for name in listing(ENGINES))

    def __len__(self) -> int:
        return len(listing(ENGINES))


class Compiler:
    """The compiler, which remembers its last answer: a pass over the same commit and the same memory compiles nothing."""

    def __init__(self, kinds: Mapping[str, str] | None = None) -> None:
        self._compile = partial(compile_declarations, schemas=BuiltinSchemas(), kinds=kinds or {})
        self._last: tuple[str, Remembered, Desired] | None = None

    def __call__(self, snapshot: Snapshot, remembered: Remembered) -> Desired:
        revision = snapshot.revision.id
        if self._last is not None and self._last[0] == revision != UNCOMMITTED and self._last[1] == remembered:
            return self._last[2]
        desired = self._compile(snapshot, remembered)
        self._last = (revision, remembered, desired)
        return desired


def git_source(where: Where) -> GitSource:
    """The repository, not fetched yet; its cache lies in the state folder."""
    return open_source(where.named_repo(), where.branch, where.state / "git")


def pusher(where: Where, source: GitSource) -> GitPush:
    """Pushes status branches, with a cache of its own, so that a slow push delays no fetch."""
    import random

    return GitPush(lambda: open_source(where.named_repo(), source.branch, where.state / "git-status"), random.random)


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
        yield FolderSource(Path(path))


class StateWhile:
    """The state folder of a daemon: when it is to end, its locks say that they are not held, and no write batch begins."""

    def __init__(self, inner: StateFolder, still: Callable[[], bool]) -> None:
        self.path = inner.path
        self.load, self.save = inner.load, inner.save
        self._inner, self._still = inner, still

    def lock(self, target: str, who: str) -> Held:
        return _HeldWhile(self._inner.lock(target, who), self._still)


@dataclass(frozen=True, slots=True)
class _HeldWhile:
    inner: Held
    still: Callable[[], bool]

    def held(self) -> bool:
        return self.still() and self.inner.held()

    def release(self) -> None:
        self.inner.release()


@contextmanager
def given(where: Where, source: Source, *, who: str, write: bool, still: Callable[[], bool] = lambda: True) -> Iterator[Given]:
    """Everything for passes of one command; at its end locks are released and connections closed."""
    state = StateWhile(StateFolder(where.state), still)
    with places(state, who, write=write, now=time.time) as opened:
        yield Given(source, state, opened, Compiler())
