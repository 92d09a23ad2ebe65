"""What is known to go wrong on this box before anything is written: a model file that is not there, an engine that is not installed.

Only for a local Ray: on other clusters the files are other machines', and the replica's own message tells.
"""

import difflib
import glob
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from reconciler.errors import Problem
from reconciler.resource import Json, Resource

PLACEHOLDER: Final = "{models}"
MODEL_FLAGS: Final = ("-m", "--model")
SHOWN: Final = 5


def local_problems(wanted: Iterable[Resource], models: Path, path: str) -> tuple[Problem, ...]:
    """models: the model root; path: where a replica looks for programs."""
    return tuple(problem for resource in wanted for problem in _of(resource, models, path))


def _of(resource: Resource, models: Path, path: str) -> Iterator[Problem]:
    args = resource.manifest.get("args")
    command = args.get("command") if isinstance(args, Mapping) else None
    parts = [str(part) for part in command] if isinstance(command, list | tuple) else []
    if not parts:
        return
    if not parts[0].startswith("{") and shutil.which(parts[0], path=path) is None:
        todo = f"install {parts[0]} on this box, into the environment that runs the reconciler or onto its PATH"
        yield _problem(resource, "RAY10", f"the engine program {parts[0]} is not installed", f"looked in {path}", todo)
    for part in _model_paths(parts):
        yield from _missing(resource, part.replace(PLACEHOLDER, str(models)), models)
    yield from _secrets(resource, args)


def _secrets(resource: Resource, args: Json) -> Iterator[Problem]:
    files = args.get("secret_files") if isinstance(args, Mapping) else None
    for name, file in sorted(files.items()) if isinstance(files, Mapping) else ():
        if not os.access(str(file), os.R_OK):
            yield _problem(
                resource, "E32", f"the secret for env {name} is not there", f"{file} cannot be read", "write the value into that file"
            )


def _model_paths(parts: list[str]) -> Iterator[str]:
    for before, part in zip(["", *parts], parts, strict=False):
        if PLACEHOLDER in part or (before in MODEL_FLAGS and part.startswith("/")):
            yield part


def _missing(resource: Resource, path: str, models: Path) -> Iterator[Problem]:
    if glob.has_magic(path):
        found = glob.glob(path, recursive=True)
        if len(found) != 1:
            names = ", ".join(os.path.relpath(name, models) for name in sorted(found)[:SHOWN])
            todo = f"give the exact file; candidates: {names or _candidates(path, models)}"
            yield _problem(resource, "E7", f"{path} matches {len(found)} files", "the engine starts from exactly one file", todo)
    elif not Path(path).exists():
        todo = f"put the file there, or correct model.name or model.file; candidates: {_candidates(path, models)}"
        yield _problem(resource, "E34", f"the model file {path} does not exist", f"the model root is {models}", todo)


def _candidates(path: str, models: Path) -> str:
    """The nearest names below the model root."""
    names = [str(file.relative_to(models)) for file in sorted(models.rglob("*"))[:2000] if file.is_file()] if models.is_dir() else []
    near = difflib.get_close_matches(os.path.relpath(path, models), names, n=SHOWN, cutoff=0.3)
    return ", ".join(near or names[:SHOWN]) or f"none, {models} is empty"


def _problem(resource: Resource, code: str, what: str, why: str, todo: str) -> Problem:
    return Problem(code, what, why, todo, where=resource.source, subject=resource.owner, owner=resource.owner)
