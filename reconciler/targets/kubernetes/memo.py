"""What was made of something, kept in this process for as long as that something stays the same: a pass over a cluster in which nothing
changed decodes, compares and makes nothing twice. Never needed to be right: what differs in anything is made anew.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
        if found is None:
            return None
        if found[0] == source:
            return found[1]
        del self._known[key]  # it keeps alive what it was made of: a whole page of a LIST of long ago
        return None

    def remember(self, key: ResourceKey, source: S, made: T) -> T:
        self._known[key] = (source, made)
        return made

    def keep(self, keys: Iterable[ResourceKey]) -> None:
        """Forget everything else."""
        for key in self._known.keys() - set(keys):
            del self._known[key]


class Pages:
    """What each LIST said last, page by page, and what was decoded of it. For threads that each ask for another kind.

    state: stands for all of it; another object as soon as any page says something else.
    """

    def __init__(self) -> None:
        self._last: dict[str, list[_Page]] = {}
        self.state = object()

    def decoded(self, kind: str, pages: Iterable[bytes], decode: Callable[[bytes], Iterable[T]]) -> list[T]:
        """Of a page that says what it said last time, the very same objects as last time."""
        before = self._last.get(kind, [])
        after: list[_Page] = []
        for number, page in enumerate(pages):
            known = before[number] if number < len(before) else None
            after.append(known if known is not None and known.says(page) else _Page(page, tuple(decode(page))))
        if len(before) != len(after) or any(old is not new for old, new in zip(before, after, strict=True)):
            self.state = object()
        self._last[kind] = after
        return [one for page in after for one in page.found]


@dataclass(frozen=True, slots=True)
class _Page:
    text: bytes
    found: tuple[Any, ...]

    def says(self, page: bytes) -> bool:
        """The same, but for its head: there stands a version that moves with every write of anybody."""
        at, there = self.text.find(ITEMS), page.find(ITEMS)
        return min(at, there) >= 0 and len(self.text) - at == len(page) - there and page.endswith(memoryview(self.text)[at:])
