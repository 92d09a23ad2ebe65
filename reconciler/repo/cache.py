"""What one pass leaves to the next of a repo. Imports nothing heavy: a process that finds everything compiled reads no YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from reconciler.repo.source import File, Revision

if TYPE_CHECKING:
    from reconciler.repo.documents import FileResult
    from reconciler.repo.snapshot import Snapshot

Known: TypeAlias = Mapping[str, tuple[str, ...]]


@dataclass
class ReadCache:
    """Parsed files by path and content, and the last snapshot. Holds one revision, no more."""

    files: "dict[File, FileResult]" = field(default_factory=dict)
    listed: tuple[Revision, tuple[File, ...]] | None = None
    snapshot: "Snapshot | None" = None
    known: Known = field(default_factory=dict)

    @property
    def blobs(self) -> Mapping[str, str]:
        """path -> blob, of the last revision that was read."""
        return {file.path: file.blob for file in self.files}

    def forget(self) -> None:
        self.files, self.listed, self.snapshot, self.known = {}, None, None, {}
