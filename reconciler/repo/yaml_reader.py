"""YAML to plain values and places: bounded, strict, and as fast as libyaml's events.

Refused, because each has lost somebody's data in silence: duplicate keys, merge keys, tags, keys that are no texts. Aliases work, and
what they expand to is bounded.

Two ways through the same code: the fast one builds values only and gives up at the first irregularity; the careful one then reads each
document for itself (`---` at the start of a line always separates documents, also in broken ones), keeps the place of everything and
goes on after a mistake, so that a broken document does not take its neighbours along. libyaml's composer is not used: it recurses in C
and a file of brackets would end the process.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs hide libyaml's parser

from reconciler.repo.scalars import Value, resolve
from reconciler.repo.yaml_faults import (
    MAX_ALIASED,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_DOCUMENTS,
    MAX_NODES,
    Mark,
    YamlFault,
    syntax_fault,
    too_much,
    unreadable,
)

_TEXT_TAGS: Final = (None, "!", "tag:yaml.org,2002:str")
_MARKER: Final = re.compile(rb"^(?:---|\.\.\.)(?=\s|\Z)", re.MULTILINE)
_ONLY_DIRECTIVES: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?:[ \t]*(?:#[^\n]*)?\r?\n|%YAML [^\n]*\n)*")


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
            self.stop(event, *too_much(depth))
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
    fault = unreadable(data)
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
    fault = unreadable(data)
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
        yield _broken(chunk, line, builder, syntax_fault(error, chunk, line))


def _broken(chunk: bytes, line: int, builder: _Builder, fault: YamlFault) -> YamlDocument:
    return YamlDocument(line, None, (*builder.faults, fault), builder.marks, chunk)


def _too_many(data: bytes) -> YamlDocument:
    fault = YamlFault(Mark(1, 1), "E74", "too many documents in one file", f"at most {MAX_DOCUMENTS}", "split the file")
    return YamlDocument(1, None, (fault,), text=data)
