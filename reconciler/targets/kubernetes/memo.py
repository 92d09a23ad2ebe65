"""What was made of something, kept in this process for as long as that something stays the same: a pass over a cluster in which nothing
changed decodes, compares and makes nothing twice. Never needed to be right: what differs in anything is made anew.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, TypeVar

from reconciler.resource import ResourceKey

ITEMS: Final = b'"items":'
S = TypeVar("S")
T = TypeVar("T")


class Memo(Generic[S, T]):
    """By key: what it was made of, and what was made."""

    def __init__(self) -> None:
        self._known: dict[ResourceKey, tuple[S, T]] = {}

    def recall(self, key: ResourceKey, source: S) -> T | None:
        found = self._known.get(key)
        return found[1] if found is not None and found[0] == source else None

    def remember(self, key: ResourceKey, source: S, made: T) -> T:
        self._known[key] = (source, made)
        return made

    def keep(self, keys: Iterable[ResourceKey]) -> None:
        """Forget everything else."""
        for key in self._known.keys() - set(keys):
            del self._known[key]


class Pages:
    """What each LIST said last, page by page, and what was decoded of it. For threads that each ask for another kind."""

    def __init__(self) -> None:
        self._last: dict[str, list[tuple[bytes, tuple[Any, ...]]]] = {}

    def decoded(self, kind: str, pages: Iterable[bytes], decode: Callable[[bytes], Iterable[T]]) -> list[T]:
        """Of a page that says what it said last time, the very same objects as last time."""
        before = self._last.get(kind, [])
        self._last[kind] = after = [_decoded(_content(page), before[n : n + 1], decode) for n, page in enumerate(pages)]
        return [one for _, found in after for one in found]


def _content(page: bytes) -> bytes:
    """The page without its head, in which stands a version that moves with every write of anybody."""
    at = page.find(ITEMS)
    return b"".join((b"{", memoryview(page)[at:])) if at > 0 else page


def _decoded(
    content: bytes, before: Sequence[tuple[bytes, Any]], decode: Callable[[bytes], Iterable[Any]]
) -> tuple[bytes, tuple[Any, ...]]:
    return before[0] if before and before[0][0] == content else (content, tuple(decode(content)))
