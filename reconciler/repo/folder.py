"""A folder as it lies there: what `validate` and `plan` read before anything is committed. Its revision is "uncommitted"."""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from reconciler.errors import RepoError
from reconciler.repo.source import UNCOMMITTED, File, Mode, Revision
from reconciler.repo.yaml_faults import MAX_BYTES

MAX_ENTRIES = 200_000  # of all kinds: somebody pointed at /


class FolderSource:
    """Reads below one folder, follows no link, looks into no hidden folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, bytes] = {}

    def revision(self) -> Revision:
        if not self.folder.is_dir():
            what = "is not a folder" if self.folder.exists() else "does not exist"
            raise RepoError(f"{self.folder} {what}", todo="name the folder of the declarations", code="R6")
        return Revision(UNCOMMITTED, "", f"uncommitted: {self.folder}")

    def files(self, revision: Revision) -> Sequence[File]:
        self._read = {}
        files = []
        try:
            for entry in _walk(self.folder):
                files.append(self._file(entry))
                if len(files) > MAX_ENTRIES:
                    raise RepoError(
                        f"{self.folder} holds more than {MAX_ENTRIES} files", todo="name the folder of the declarations", code="R11"
                    )
        except OSError as error:
            raise RepoError(
                f"{error.filename or self.folder} cannot be read", why=error.strerror or "", todo="give read access to it"
            ) from error
        return files

    def _file(self, entry: "os.DirEntry[str]") -> File:
        path = os.fsencode(Path(entry.path).relative_to(self.folder).as_posix()).decode(errors="replace")
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(entry.path)
            self._read[path] = target.encode(errors="surrogateescape")
            return File(path, f"link:{target}", len(target), Mode.SYMLINK)
        if not stat.S_ISREG(status.st_mode):
            return File(path, "other", 0, Mode.OTHER)
        if not path.endswith((".yaml", ".yml")) or status.st_size > MAX_BYTES:
            return File(path, f"stat:{status.st_size}:{status.st_mtime_ns}", status.st_size)
        data = _bytes(entry.path)
        self._read[path] = data
        return File(path, hashlib.sha1(data, usedforsecurity=False).hexdigest(), len(data))

    def read(self, file: File) -> bytes:
        data = self._read.get(file.path)
        if data is None:
            try:
                return _bytes(str(self.folder / file.path))
            except OSError as error:
                raise RepoError(f"{file.path} cannot be read", why=error.strerror or "", todo="give read access to it") from error
        return data

    def is_ancestor(self, old: str, new: str) -> bool:
        return False

    def trailers(self, after: str, upto: str) -> tuple[str, ...]:
        return ()


def _walk(folder: Path) -> Iterator["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))
            else:
                yield entry


def _bytes(path: str) -> bytes:
    """No more than a file may have, should it grow meanwhile."""
    with open(path, "rb") as file:
        return file.read(MAX_BYTES + 1)
