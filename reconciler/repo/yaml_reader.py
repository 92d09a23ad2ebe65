"""YAML to plain values and places: bounded, strict, and as fast as libyaml's events.

Scalars follow YAML 1.2's core schema, not 1.1: only `true` and `false` are booleans (a workspace may be called `no`), dates, `1:30`,
`0123`, `1_000` and numbers beyond 64 bits are texts. Refused, because each has lost somebody's data in silence: duplicate keys, merge keys,
tags, keys that are no texts. Aliases work, and what they expand to is bounded.

Two ways through the same code: the fast one builds values only and gives up at the first irregularity; the careful one then reads each
document for itself (`---` at the start of a line always separates documents, also in broken ones), keeps the place of everything and
goes on after a mistake, so that a broken document does not take its neighbours along. libyaml's composer is not used: it recurses in C
and a file of brackets would end the process.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, NoReturn, TypeAlias

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs hide libyaml's parser

MAX_BYTES: Final = 1024 * 1024
MAX_DOCUMENTS: Final = 1000
MAX_DEPTH: Final = 64
MAX_NODES: Final = 200_000
MAX_ALIASED: Final = 10_000  # nodes that aliases may add to one document

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_FIRST: Final = frozenset("0123456789+-.tTfFnN~")
_TEXT_TAGS: Final = (None, "!", "tag:yaml.org,2002:str")
_MARKER: Final = re.compile(rb"^(?:---|\.\.\.)(?=\s|\Z)", re.MULTILINE)
_ONLY_DIRECTIVES: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*(?:#[^\n]*)?\r?\n|%YAML [^\n]*\n)*")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something is written: line and column count from 1. text: the scalar as it stands there."""

    line: int
    column: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class YamlFault:
    """A mistake in the text. pointer: the value that it spoils, or None where it ends the document."""

    mark: Mark
    code: str
    what: str
    why: str = ""
    todo: str = ""
    pointer: str | None = None


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """line: of its first value, from 1. value: None where the document is empty or broken. text: its bytes, where it has faults."""

    line: int
    value: Value
    faults: tuple[YamlFault, ...] = ()
    marks: dict[str, Mark] = field(default_factory=dict, repr=False, compare=False)
    text: bytes = field(default=b"", repr=False, compare=False)

    @property
    def broken(self) -> bool:
        return any(fault.pointer is None for fault in self.faults)


class _Irregular(Exception):
    """The fast way gives up."""


class _Stop(Exception):
    """The careful way cannot go on in this document."""

    def __init__(self, fault: YamlFault) -> None:
        self.fault = fault


def resolve(text: str) -> Value:
    """The value of a plain scalar."""
    if not text:
        return None
    if text[0] not in _FIRST:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text) and not text.lstrip("+-").isdigit():
        number = float(text)
        return number if isfinite(number) else text
    return text


class _Builder:
    """Values out of libyaml's events. careful: keep places, collect faults; else raise _Irregular at the first of them."""

    def __init__(self, data: bytes, careful: bool, first_line: int = 1) -> None:
        self.parser: Any = CParser(data)
        self.careful = careful
        self.first_line = first_line
        self.reset()

    def reset(self) -> None:
        self.marks: dict[str, Mark] = {}
        self.faults: list[YamlFault] = []
        self.anchors: dict[str, tuple[Value, int, int]] = {}
        self.nodes = self.aliased = 0

    def documents(self) -> Iterator[YamlDocument]:
        """Raises _Irregular, _Stop or yaml.YAMLError."""
        next_event = self.parser.get_event
        while (event := next_event()) is not None:
            if isinstance(event, yaml.DocumentStartEvent):
                self.reset()
                first = next_event()
                line = first.start_mark.line + self.first_line
                yield YamlDocument(line, self.node(first, "", 1), tuple(self.faults), self.marks)

    def node(self, event: Any, pointer: str, depth: int) -> Value:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            self.stop(event, *_too_much(depth))
        before, kind = self.nodes, type(event)
        if kind is yaml.ScalarEvent:
            value = self.scalar(event)
        elif kind is yaml.AliasEvent:
            return self.alias(event, depth)
        else:
            value = self.container(event, pointer, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, self.nodes - before + 1, _height(value, {}))
        return value

    def container(self, event: Any, pointer: str, depth: int) -> Value:
        if event.tag not in (None, "!"):
            self.stop(event, f"tag {event.tag[:60]}", "values here have no tags", "remove it")
        return self.mapping(pointer, depth) if type(event) is yaml.MappingStartEvent else self.sequence(pointer, depth)

    def scalar(self, event: Any) -> Value:
        text: str = event.value
        if event.implicit[0]:
            return resolve(text)
        if event.tag not in _TEXT_TAGS:
            self.stop(event, f"tag {event.tag[:60]}", "values here have no tags", "remove it")
        if "\0" in text:
            self.stop(event, "a NUL character in a text", "no target can hold it", "remove it")
        return text

    def alias(self, event: Any, depth: int) -> Value:
        found = self.anchors.get(event.anchor)
        if found is None:
            self.stop(
                event,
                f"alias *{event.anchor[:60]}",
                "nothing before it in this document has that anchor, or it holds itself",
                "write the value",
            )
        value, size, height = found
        self.aliased += size
        self.nodes += size
        if self.aliased > MAX_ALIASED or depth + height > MAX_DEPTH:
            self.stop(
                event,
                "aliases that expand too far",
                f"at most {MAX_ALIASED} values by aliases, {MAX_DEPTH} levels deep",
                "write the values",
            )
        return value

    def sequence(self, pointer: str, depth: int) -> Value:
        result: list[Value] = []
        next_event, end = self.parser.get_event, yaml.SequenceEndEvent
        while type(event := next_event()) is not end:
            below = ""
            if self.careful:
                below = f"{pointer}/{len(result)}"
                self.mark(below, event, event)
            result.append(self.node(event, below, depth + 1))
        return result

    def mapping(self, pointer: str, depth: int) -> Value:
        result: dict[str, Value] = {}
        next_event, end, scalar = self.parser.get_event, yaml.MappingEndEvent, yaml.ScalarEvent
        while type(event := next_event()) is not end:
            if type(event) is not scalar:
                self.stop(event, "a key that is no text", "keys are names of fields", "write a name")
            key: str = event.value
            known = key in result or key == "<<" or not key or "\0" in key
            if known and not self.careful:
                raise _Irregular
            if self.careful:
                self.careful_entry(event, key, pointer, depth, result)
            else:
                result[key] = self.node(next_event(), "", depth + 1)
        return result

    def careful_entry(self, event: Any, key: str, pointer: str, depth: int, result: dict[str, Value]) -> None:
        below = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
        twice, first = key in result, self.marks.get(below)
        value_event = self.parser.get_event()
        if not twice:
            self.mark(below, event, value_event)
        value = self.node(value_event, f"{below}~twice" if twice else below, depth + 1)
        if twice and first is not None:
            todo = "remove one, or separate two documents by ---" if key == "apiVersion" else "remove one"
            what = f"key '{key[:100]}' twice, first at {{path}}:{first.line}"
            self.fault(event, below, what, "one of them would be lost in silence", todo, "E69")
        elif key == "<<" and event.implicit[0]:
            self.fault(
                event,
                pointer,
                "merge key <<",
                "YAML 1.2 has none, and what it overrides is not seen",
                "write the keys, or alias the whole value",
            )
        elif not key or "\0" in key:
            self.fault(event, pointer, "a key without a name", "keys are names of fields", "write a name")
        else:
            result[key] = value

    def mark(self, pointer: str, event: Any, value: Any) -> None:
        start = event.start_mark
        text = value.value if type(value) is yaml.ScalarEvent else ""
        self.marks[pointer] = Mark(start.line + self.first_line, start.column + 1, text)

    def fault(self, event: Any, pointer: str, what: str, why: str, todo: str, code: str = "E74") -> None:
        start = event.start_mark
        self.faults.append(YamlFault(Mark(start.line + self.first_line, start.column + 1), code, what, why, todo, pointer))

    def stop(self, event: Any, what: str, why: str, todo: str) -> NoReturn:
        if not self.careful:
            raise _Irregular
        start = event.start_mark
        raise _Stop(YamlFault(Mark(start.line + self.first_line, start.column + 1), "E74", what, why, todo))


def _too_much(depth: int) -> tuple[str, str, str]:
    if depth > MAX_DEPTH:
        return "nested too deeply", f"at most {MAX_DEPTH} levels", "make it flatter"
    return "too many values in one document", f"at most {MAX_NODES}", "split it"


def _height(value: Value, known: dict[int, int]) -> int:
    """Levels of a value; each shared part is measured once."""
    if not isinstance(value, dict | list):
        return 0
    if id(value) not in known:
        children = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + max((_height(child, known) for child in children), default=0)
    return known[id(value)]


def parse(data: bytes) -> tuple[YamlDocument, ...]:
    """Every document of a file, in order; never raises. Values only where all is well, places and faults where not."""
    fault = _unreadable(data)
    if fault is not None:
        return (YamlDocument(fault.mark.line, None, (fault,), text=data[:MAX_BYTES]),)
    try:
        documents = []
        for document in _Builder(data, careful=False).documents():
            documents.append(document)
            if len(documents) > MAX_DOCUMENTS:
                return (_too_many(data),)
        return tuple(documents)
    except (_Irregular, yaml.YAMLError):
        return parse_carefully(data)


def parse_carefully(data: bytes) -> tuple[YamlDocument, ...]:
    """The same documents with their places; a mistake ends its own document only."""
    fault = _unreadable(data)
    if fault is not None:
        return (YamlDocument(fault.mark.line, None, (fault,), text=data[:MAX_BYTES]),)
    chunks = list(_chunks(data))
    if len(chunks) > MAX_DOCUMENTS + 1:
        return (_too_many(data),)
    return tuple(document for line, chunk in chunks for document in _document(chunk, line))


def _chunks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """First line (from 1) and bytes of each stretch between two document markers."""
    starts = [0, *(match.start() for match in _MARKER.finditer(data))]
    line = 1
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        chunk = data[start:end]
        if not _ONLY_DIRECTIVES.fullmatch(chunk):
            yield line, b"   " + chunk[3:] if chunk.startswith(b"...") else chunk
        line += chunk.count(b"\n")


def _document(chunk: bytes, line: int) -> Iterator[YamlDocument]:
    builder = _Builder(chunk, careful=True, first_line=line)
    try:
        for document in builder.documents():
            yield YamlDocument(document.line, document.value, document.faults, document.marks, chunk)
    except _Stop as stop:
        yield _broken(chunk, line, builder, stop.fault)
    except yaml.YAMLError as error:
        yield _broken(chunk, line, builder, _syntax(error, chunk, line))


def _broken(chunk: bytes, line: int, builder: _Builder, fault: YamlFault) -> YamlDocument:
    return YamlDocument(line, None, (*builder.faults, fault), builder.marks, chunk)


def _syntax(error: yaml.YAMLError, chunk: bytes, first_line: int) -> YamlFault:
    """libyaml's words, with the usual causes said first."""
    spot = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    mark = Mark(spot.line + first_line, spot.column + 1) if spot is not None else Mark(first_line, 1)
    context = str(getattr(error, "context", None) or "")
    if "cannot start any token" in problem and spot is not None and _line(chunk, spot.line).lstrip(b" ").startswith(b"\t"):
        return YamlFault(mark, "E74", "a tab", "YAML indents with spaces only", "replace the tab by spaces")
    if "mapping values are not allowed" in problem:
        return YamlFault(
            mark,
            "E74",
            "not YAML: a second ': ' on the line, or a wrong indent",
            problem,
            "indent it as its neighbours, or quote the value",
        )
    if "did not find expected key" in problem or "<block end>" in problem:
        return YamlFault(mark, "E74", "not YAML: a wrong indent, or a missing ':'", problem, "indent it as its neighbours")
    return YamlFault(mark, "E74", f"not YAML: {problem}", context, "correct the line or the one before it")


def _line(data: bytes, number: int) -> bytes:
    return data.split(b"\n", number + 1)[number] if data.count(b"\n") >= number else b""


def _too_many(data: bytes) -> YamlDocument:
    fault = YamlFault(Mark(1, 1), "E74", "too many documents in one file", f"at most {MAX_DOCUMENTS}", "split the file")
    return YamlDocument(1, None, (fault,), text=data)


def _unreadable(data: bytes) -> YamlFault | None:
    if len(data) > MAX_BYTES:
        return too_large(len(data))
    if (place := data.find(b"\0")) >= 0:
        return YamlFault(_mark_at(data, place), "E74", "a NUL byte", "this is no text file", "save it as UTF-8 text")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return YamlFault(
            _mark_at(data, error.start), "E74", "not UTF-8", f"byte 0x{data[error.start]:02x} begins no character", "save it as UTF-8"
        )
    return None


def too_large(size: int) -> YamlFault:
    """Said before such a file is read at all."""
    return YamlFault(
        Mark(1, 1),
        "E74",
        f"the file has {size / 1024 / 1024:.1f} MiB",
        "at most 1 MiB per file is read",
        "split it, or move it out of the repo",
    )


def _mark_at(data: bytes, place: int) -> Mark:
    before = data[:place]
    return Mark(before.count(b"\n") + 1, place - (before.rfind(b"\n") + 1) + 1)
