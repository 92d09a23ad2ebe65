"""What was compiled, kept from one command to the next: the same commit, memory and program give the same Desired.

A cache in the state folder, never needed to be right: an entry is named by everything that went into it, and a file that cannot be read, or
was written by another version, is no file. The two newest stay.

A commit in which nothing is wrong compiles to the same whatever was applied before, so its name says nothing of that. Manifests stay
packed, in the file and in memory (reconciler/packed.py).
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from reconciler.desired import Desired, Guards, Owner, Remembered, TargetSpec
from reconciler.errors import Problem, Severity
from reconciler.packed import Packed
from reconciler.resource import DriftMode, Json, Resource, ResourceKey, canonical
from reconciler.state.record import Record, as_json

FOLDER: Final = "compiled"
KEPT: Final = 2
SUFFIX: Final = ".msgpack"
PACKAGE: Final = Path(__file__).resolve().parent.parent

Rows = Any  # msgpack's own values, between `_packed` and `_unpacked` only


class _Resource(msgspec.Struct, frozen=True, array_like=True, gc=False):
    key: ResourceKey
    manifest: msgspec.Raw
    owner: str
    source: str
    digest: str
    needs: tuple[ResourceKey, ...]
    protect: bool
    drift: DriftMode


class _File(msgspec.Struct, frozen=True):
    files: dict[str, str]
    resources: tuple[_Resource, ...]
    rest: dict[str, Rows]


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that was compiled. files: path -> blob, of what was read or reported."""

    desired: Desired
    files: Mapping[str, str]


class Compiled:
    """program: what stands for the compiler itself (its code, its schemas, how it is set up)."""

    def __init__(self, folder: Path, program: str) -> None:
        self._folder, self._program = folder / FOLDER, program
        self._last: tuple[str, Commit] | None = None
        self._asked: tuple[tuple[str, str, Remembered], Desired] | None = None

    def find(self, revision: str, root: str, remembered: Remembered) -> Desired | None:
        """What this commit compiled to, or None. A daemon asks at every pass, so what was found or kept last is not read again."""
        asked = (revision, root, remembered)
        if self._asked is not None and self._asked[0] == asked:
            return self._asked[1]
        for name in self._names(revision, root, remembered):
            if self._last is None or self._last[0] != name:
                if (found := self._read(name)) is None:
                    continue
                self._last = (name, found)
            self._asked = (asked, self._last[1].desired)
            return self._asked[1]
        return None

    def latest(self, root: str, remembered: Remembered) -> Commit | None:
        """The newest commit of this repo, if nothing was wrong in it: for who changes little in it."""
        paths = [] if self._last else self._newest_first()[:1]
        read = [(path.stem, found) for path in paths if (found := self._read(path.stem)) is not None]
        if (last := self._last or next(iter(read), None)) is None:
            return None
        name, commit = last
        return commit if name == next(self._names(commit.desired.revision, root, remembered)) else None

    def keep(self, remembered: Remembered, commit: Commit, *, whole: bool) -> Desired:
        """The same Desired, as it is kept. whole: nothing was wrong, so that no memory was needed. Nothing is written where there is no
        state folder yet, or its disk is full: that costs the next command's time."""
        found = _lean(commit.desired)
        clean, any_ = self._names(found.revision, found.repo, remembered)
        name = clean if whole else any_
        self._last = (name, Commit(found, commit.files))
        self._asked = ((found.revision, found.repo, remembered), found)
        path = self._folder / f"{name}{SUFFIX}"
        half = path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            half.write_bytes(msgspec.msgpack.encode({"files": commit.files, "resources": _resources(found), "rest": _packed(found)}))
            half.replace(path)
            self._drop_old()
        return found

    def _names(self, revision: str, root: str, remembered: Remembered) -> Iterator[str]:
        """Of a commit in which nothing was wrong; then of one that was compiled with this memory."""
        commit = [revision, root, self._program]
        yield _hash([*commit, remembered.instance])
        yield _hash([*commit, as_json(Record(remembered=remembered))])

    def _read(self, name: str) -> Commit | None:
        try:
            found = msgspec.msgpack.decode((self._folder / f"{name}{SUFFIX}").read_bytes(), type=_File)
            return Commit(_unpacked(found), found.files)
        except (OSError, msgspec.DecodeError, TypeError, ValueError, KeyError):
            return None

    def _newest_first(self) -> list[Path]:
        found = []
        for path in self._folder.glob(f"*{SUFFIX}"):
            with contextlib.suppress(OSError):  # another process has just dropped it
                found.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(found, reverse=True)]

    def _drop_old(self) -> None:
        for path in self._newest_first()[KEPT:]:
            path.unlink(missing_ok=True)


def _hash(what: Json) -> str:
    return hashlib.sha256(canonical(what).encode()).hexdigest()[:32]


def program_id(*more: str) -> str:
    """Stands for the code and data of the package: names, sizes and times of its files. more: what else decides a compile."""
    digest = hashlib.sha256("\0".join(more).encode())
    for path in sorted(PACKAGE.rglob("*")) + sorted(found for link in (PACKAGE / "_data").iterdir() for found in link.resolve().rglob("*")):
        if path.suffix in (".py", ".json", ".yaml", ".lua"):
            about = path.stat()
            digest.update(f"{path.name} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _packed(desired: Desired) -> Rows:
    return {
        "revision": desired.revision,
        "instance": desired.instance,
        "repo": desired.repo,
        "owners": [_fields(one) for one in desired.owners.values()],
        "targets": [_fields(one) for one in desired.targets.values()],
        "guards": (desired.guards.max_deletes, desired.guards.max_restarts, desired.guards.max_key_removals),
        "blocked": {owner: [_fields(one) for one in found] for owner, found in desired.blocked.items()},
        "no_deletes": desired.no_deletes,
        "problems": [_fields(one) for one in desired.problems],
        "declared": {path: list(owners) for path, owners in desired.declared.items()},
        "aliases": dict(desired.aliases),
        "status_branch": desired.status_branch,
        "drift": desired.drift.value,
    }


def _lean(desired: Desired) -> Desired:
    return replace(desired, resources={key: _lean_one(one) for key, one in desired.resources.items()})


def _lean_one(one: Resource) -> Resource:
    return one if isinstance(one.manifest, Packed) else replace(one, manifest=Packed.of(one.manifest))


def _resources(desired: Desired) -> list[_Resource]:
    return [
        _Resource(one.key, Packed.of(one.manifest).text, one.owner, one.source, one.digest, one.needs, one.protect, one.drift)
        for one in desired.resources.values()
    ]


def _fields(one: Owner | TargetSpec | Problem) -> Rows:
    return {field.name: getattr(one, field.name) for field in fields(one)}


def _unpacked(file: _File) -> Desired:
    found = file.rest
    resources = [_resource_of(one) for one in file.resources]
    owners = [_owner_of(row) for row in found["owners"]]
    targets = [TargetSpec(**{**row, "binds": tuple(row["binds"])}) for row in found["targets"]]
    return Desired(
        revision=found["revision"],
        instance=found["instance"],
        repo=found["repo"],
        resources={one.key: one for one in resources},
        owners={one.id: one for one in owners},
        targets={one.name: one for one in targets},
        guards=Guards(*found["guards"]),
        blocked={owner: tuple(_problem_of(row) for row in rows) for owner, rows in found["blocked"].items()},
        no_deletes=found["no_deletes"],
        problems=tuple(_problem_of(row) for row in found["problems"]),
        declared={path: tuple(owners) for path, owners in found["declared"].items()},
        aliases=found["aliases"],
        status_branch=found["status_branch"],
        drift=DriftMode(found["drift"]),
    )


def _resource_of(one: _Resource) -> Resource:
    return Resource(one.key, Packed(one.manifest), one.owner, one.source, one.digest, one.needs, one.protect, one.drift)


def _owner_of(row: Mapping[str, Rows]) -> Owner:
    return Owner(**{**row, "targets": tuple(row["targets"]), "shares": tuple(ResourceKey(*key) for key in row["shares"])})


def _problem_of(row: Mapping[str, Rows]) -> Problem:
    return Problem(**{**row, "severity": Severity(row["severity"])})
