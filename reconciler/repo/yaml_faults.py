"""What can be wrong with the text of a file, and the bounds within which one is read."""

from dataclasses import dataclass
from typing import Final

import yaml

MAX_BYTES: Final = 1024 * 1024
MAX_DOCUMENTS: Final = 1000
MAX_DEPTH: Final = 64
MAX_NODES: Final = 200_000
MAX_ALIASED: Final = 10_000  # nodes that aliases may add to one document


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


def too_much(depth: int) -> tuple[str, str, str]:
    if depth > MAX_DEPTH:
        return "nested too deeply", f"at most {MAX_DEPTH} levels", "make it flatter"
    return "too many values in one document", f"at most {MAX_NODES}", "split it"


def syntax_fault(error: yaml.YAMLError, chunk: bytes, first_line: int) -> YamlFault:
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


def unreadable(data: bytes) -> YamlFault | None:
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
