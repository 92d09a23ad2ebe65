"""How a line looks: colours, columns, and what keeps foreign text from doing harm on a terminal.

The meaning is always in the symbol and the word; a colour only repeats it. Text of declarations and of targets is untrusted: a control
character in it is shown, never sent (`clean`). Colour is put on last, so that cleaning never meets our own escape sequences.
"""

import re
from collections.abc import Sequence
from typing import Final

from reconciler.change import ABSENT
from reconciler.resource import Json, canonical

CODES: Final = {
    "red": "31",
    "red bold": "1;31",
    "green": "32",
    "yellow": "33",
    "yellow bold": "1;33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "grey": "90",
    "bold": "1",
}
VALUE_LIMIT: Final = 100  # characters of one value in a field diff
CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
SENSITIVE: Final = re.compile(r"(secret|password|passwd|token|credential|api[-_]?key|private[-_]?key)s?$", re.IGNORECASE)
NOT_SENSITIVE: Final = re.compile(r"^(max|min|num|n)[-_]|tokens$|(?<!api)(?<!private)[-_](key|name|ref)s?$", re.IGNORECASE)


def clean(text: str) -> str:
    """The text with every control character written as `\\x1b`, and tabs as blanks."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text.replace("\t", "  "))


def paint(text: str, colour: str, on: bool) -> str:
    return f"\x1b[{CODES[colour]}m{text}\x1b[0m" if on and text and colour in CODES else text


def plural(number: int, word: str, words: str = "") -> str:
    """`1 endpoint`, `2 endpoints`."""
    return f"{number} {word if number == 1 else words or word + 's'}"


def table(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Columns as wide as their widest cell; the last one is left ragged."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        lines.append(gap.join([*cells, row[-1]]).rstrip())
    return lines


def indent(text: str, by: int) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())


def first_lines(lines: Sequence[str], limit: int, what: str) -> list[str]:
    """At most `limit` lines, and how many more there are."""
    more = len(lines) - limit
    return list(lines) if more <= 0 else [*lines[:limit], f"... and {more} more {what}".rstrip()]


def is_sensitive(pointer: str) -> bool:
    """Does the last part of a JSON pointer name something that may hold a secret? Then its value is never shown.

    No secret stands in a manifest by design; this is for the person who writes one into `env` all the same. `max_tokens`, `resource_key`
    and `secret_name` are no secrets.
    """
    name = pointer.rsplit("/", 1)[-1]
    return bool(SENSITIVE.search(name)) and not NOT_SENSITIVE.search(name)


def value_text(value: Json) -> str:
    """A value as JSON in one line, cut when it is long."""
    if value == ABSENT:
        return "(absent)"
    text = clean(canonical(value))
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]}... ({len(text)} characters)"
