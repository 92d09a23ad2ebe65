"""A file's bytes to declarations, and to what is known of documents that are none.

A document whose identity can be read blocks exactly that declaration (`Invalid`). One whose identity cannot be read may be anything that
once stood in this file (`Broken`); so may YAML of somebody else, but that alone does not make the repo's content unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydantic import ValidationError

from reconciler.errors import Problem, Severity
from reconciler.repo.identity import could_be_ours, heading, identity_of, identity_of_marks, subject_of
from reconciler.repo.scalars import Value
from reconciler.repo.snapshot import Declaration, Place
from reconciler.repo.yaml_faults import Mark, YamlFault
from reconciler.repo.yaml_reader import YamlDocument, parse, parse_carefully
from reconciler.schema.explain import Refusal, explain
from reconciler.schema.kinds import KINDS
from reconciler.schema.metadata import ALLOW, Document
from reconciler.schema.secrets import may_hold_secrets, secret_in

WAIVABLE: Final = frozenset({"E70"})
_IDENTITY: Final = frozenset({"/apiVersion", "/kind", "/metadata", "/metadata/name", "/metadata/workspace"})


@dataclass(frozen=True, slots=True)
class Invalid:
    """A document whose identity is known and that does not validate."""

    id: str
    place: Place
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """A document whose identity is not known. text: its bytes, None where they were not read. ours: False for foreign YAML."""

    problems: tuple[Problem, ...]
    text: bytes | None
    ours: bool = True


@dataclass(frozen=True, slots=True)
class FileResult:
    """All that one file says."""

    path: str
    declarations: tuple[Declaration[object], ...] = ()
    invalid: tuple[Invalid, ...] = ()
    broken: tuple[Broken, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def identities(self) -> Iterator[tuple[str, Place]]:
        """Everything that is known to be declared here, valid or not."""
        yield from ((item.id, item.place) for item in self.declarations)
        yield from ((item.id, item.place) for item in self.invalid)


class FilePlaces:
    """Finds fields of a file's documents again. Nothing is kept but the bytes until somebody asks."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self._documents: tuple[YamlDocument, ...] | None = None

    def marks(self, index: int) -> Mapping[str, Mark]:
        if self._documents is None:
            self._documents = parse_carefully(self.data)
        return self._documents[index].marks if index < len(self._documents) else {}


@dataclass(frozen=True, slots=True)
class DocumentPlaces:
    """The places of one document: called with a JSON pointer."""

    file: FilePlaces
    index: int
    line: int

    def __call__(self, pointer: str) -> Place:
        marks = self.file.marks(self.index)
        while pointer:
            if (mark := marks.get(pointer)) is not None:
                return Place(self.file.path, mark.line, mark.column)
            pointer = pointer.rpartition("/")[0]
        return Place(self.file.path, self.line)

    def written(self) -> Mapping[str, str]:
        return {pointer: mark.text for pointer, mark in self.file.marks(self.index).items()}


def read_file(path: str, data: bytes) -> FileResult:
    """Every document of a file. Never raises."""
    places = FilePlaces(path, data)
    suspicious = may_hold_secrets(data)
    found = [
        _Reading(path, document, DocumentPlaces(places, index, document.line), data, suspicious).result()
        for index, document in enumerate(parse(data))
        if document.value is not None or document.faults
    ]
    return FileResult(
        path,
        tuple(item for item, _ in found if isinstance(item, Declaration)),
        tuple(item for item, _ in found if isinstance(item, Invalid)),
        tuple(item for item, _ in found if isinstance(item, Broken)),
        tuple(warning for _, warnings in found for warning in warnings),
    )


def unread_file(path: str, fault: YamlFault) -> FileResult:
    """A file that was not even opened: too large, or a way out of the repo."""
    return FileResult(path, broken=(Broken((_problem(path, fault, "", None),), None),))


class _Reading:
    """One document on its way from a value to a declaration."""

    def __init__(self, path: str, document: YamlDocument, places: DocumentPlaces, data: bytes, suspicious: bool) -> None:
        self.path, self.document, self.places, self.data, self.suspicious = path, document, places, data, suspicious
        self.id = self._identity()
        self.subject = subject_of(self.id)

    def result(self) -> tuple[Declaration[object] | Invalid | Broken, tuple[Problem, ...]]:
        """What the document is, and warnings about it."""
        valid, refusals = self._validate()
        problems = [_problem(self.path, fault, self.subject, self.id) for fault in self.document.faults]
        problems += [self._place(refusal) for refusal in refusals]
        errors = tuple(problem for problem in problems if problem.severity is Severity.ERROR)
        warnings = tuple(problem for problem in problems if problem.severity is Severity.WARNING)
        if valid is not None and self.id is not None and not errors:
            return self._declaration(self.id, valid), warnings
        if self.id is not None:
            return Invalid(self.id, self.places(""), errors), warnings
        return Broken(errors, self.document.text or self.data, self.document.broken or could_be_ours(self.document.value)), warnings

    def _declaration(self, id_: str, valid: Document) -> Declaration[object]:
        meta = valid.metadata
        place = Place(self.path, self.document.line)
        return Declaration(id_, valid.kind, valid.workspace, meta.name, meta.labels, meta.annotations, place, valid.spec, self.places)

    def _identity(self) -> str | None:
        if any(fault.pointer in _IDENTITY for fault in self.document.faults):
            return None
        return identity_of_marks(self.document.marks) if self.document.broken else identity_of(self.document.value)

    def _validate(self) -> tuple[Document | None, list[Refusal]]:
        value = self.document.value
        if self.document.broken:
            return None, []
        if not isinstance(value, dict):
            return None, [
                Refusal((), "E77", "this document is no declaration", "a declaration is a mapping with apiVersion, kind, metadata and spec")
            ]
        refusals = heading(value)
        model = KINDS.get(str(value.get("kind")))
        if model is None or any(refusal.code == "E77" and refusal.at == ("apiVersion",) for refusal in refusals):
            return None, refusals
        if self.suspicious:
            refusals += _secrets(value, ())
        try:
            return model.model_validate(value), refusals
        except ValidationError as error:
            return None, refusals + explain(model, value, error, self.places.written())

    def _place(self, refusal: Refusal) -> Problem:
        problem = Problem(
            refusal.code,
            printable(refusal.what),
            printable(refusal.why),
            printable(refusal.todo),
            printable(str(self.places(refusal.pointer))),
            self.subject,
            printable(refusal.path),
            self.id,
        )
        return replace(problem, severity=Severity.WARNING) if refusal.code in _waived(self.document.value) else problem


def _secrets(value: Value, at: tuple[str | int, ...]) -> list[Refusal]:
    """E70, without the value."""
    if isinstance(value, str):
        kind = secret_in(value)
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".")
        todo = "use a secretRef, and change the secret if it was real; annotation reconciler.dev/allow: E70 if it is none"
        return [Refusal(at, "E70", f"{path} looks like {kind}", "what was committed stays in the history", todo)] if kind else []
    children: Iterator[tuple[str | int, Value]] = (
        iter(value.items()) if isinstance(value, dict) else iter(enumerate(value)) if isinstance(value, list) else iter(())
    )
    return [refusal for key, child in children for refusal in _secrets(child, (*at, key))]


def _waived(value: Value) -> frozenset[str]:
    metadata = value.get("metadata") if isinstance(value, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    text = annotations.get(ALLOW) if isinstance(annotations, dict) else None
    return WAIVABLE & {code.strip() for code in text.split(",")} if isinstance(text, str) else frozenset()


def _problem(path: str, fault: YamlFault, subject: str, owner: str | None) -> Problem:
    at = "" if fault.pointer is None else fault.pointer.lstrip("/").replace("/", ".")
    what = printable(fault.what.replace("{path}", path))
    return Problem(
        fault.code, what, printable(fault.why), printable(fault.todo), f"{path}:{fault.mark.line}", subject, printable(at), owner
    )


def printable(text: str) -> str:
    """What a message repeats from a file cannot move the reader's cursor."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def problems_of(result: FileResult) -> Sequence[Problem]:
    """Everything that is wrong with a file."""
    invalid = [problem for item in result.invalid for problem in item.problems]
    return [*invalid, *(problem for item in result.broken for problem in item.problems), *result.warnings]
