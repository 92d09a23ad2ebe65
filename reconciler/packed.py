"""A manifest as it is kept: MessagePack that is read when somebody looks.

In a pass without changes nobody does: what is wanted and what is there are compared by their digests. A fleet of a thousand endpoints then
takes megabytes instead of tens of them, and is there as soon as its file is read.
"""

from collections.abc import Iterator, Mapping

import msgspec

from reconciler.resource import Json, Manifest


class Packed(Mapping[str, Json]):
    """Equal to what it reads as. text: MessagePack of a map; a view into a larger text keeps that alive."""

    __slots__ = ("text",)

    def __init__(self, text: bytes | msgspec.Raw) -> None:
        self.text = msgspec.Raw(text)

    @classmethod
    def of(cls, manifest: Manifest) -> "Packed":
        return manifest if isinstance(manifest, Packed) else cls(msgspec.msgpack.encode(manifest))

    def read(self) -> dict[str, Json]:
        """Anew each time."""
        found: dict[str, Json] = msgspec.msgpack.decode(self.text)
        return found

    def __getitem__(self, name: str) -> Json:
        return self.read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.read())

    def __len__(self) -> int:
        return len(self.read())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Packed):
            return self.text == other.text or self.read() == other.read()
        return self.read() == other if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of a dict

    def __repr__(self) -> str:
        return repr(self.read())


def plain(manifest: Manifest) -> Manifest:
    """For who looks at more than one field."""
    return manifest.read() if isinstance(manifest, Packed) else manifest
