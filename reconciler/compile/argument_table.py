"""What one engine version accepts: its JSON Schema as a table of arguments.

A closed schema of the small dialect that option lists need (type, enum, minimum, maximum, pattern, items), with keys of ours:
x-platform-owned and x-use (E58), x-aliases (other names: short flags, older spellings), x-false (the flag that says no), x-list (where a
list is not written in the version's style), x-reserved-env and x-model at the top. `-` and `_` are one spelling.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.resource import Json, Manifest

TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": (list, tuple),
    "object": Mapping,
}
WORDS: Final = {
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a mapping",
}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument. owned: the platform sets it, by the field `use`. no: the flag for false, "" where there is none."""

    name: str
    types: tuple[str, ...]
    choices: tuple[Json, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: re.Pattern[str] | None = None
    items: "Argument | None" = None
    owned: bool = False
    use: str = ""
    no: str = ""
    list_style: str = ""

    def broken_rule(self, value: Json) -> str:
        """What `value` is not ("a whole number", "at least 1"), or "" if it is fine."""
        if not any(_is(value, kind) for kind in self.types):
            return " or ".join(WORDS[kind] for kind in self.types)
        if self.choices and value not in self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._out_of_range(value)
        if isinstance(value, str):
            return f"like {self.pattern.pattern}" if self.pattern and not self.pattern.search(value) else ""
        return self._broken_item(value)

    def _out_of_range(self, value: float) -> str:
        if not math.isfinite(value):
            return "a finite number"
        if self.minimum is not None and value < self.minimum:
            return f"at least {self.minimum:g}"
        return f"at most {self.maximum:g}" if self.maximum is not None and value > self.maximum else ""

    def _broken_item(self, value: Json) -> str:
        if not isinstance(value, Sequence) or isinstance(value, str) or self.items is None:
            return ""
        return next((f"a list in which every entry is {rule}" for item in value if (rule := self.items.broken_rule(item))), "")


@dataclass(frozen=True, slots=True)
class ArgumentTable:
    """names: every accepted spelling, folded -> argument; from_file: the program starts from exactly one model file (E7)."""

    arguments: Mapping[str, Argument]
    names: Mapping[str, Argument]
    flags: Mapping[str, Argument]
    from_file: bool
    reserved_env: frozenset[str]

    def find(self, key: str) -> Argument | None:
        return self.names.get(fold(key))

    def of_flag(self, word: str) -> Argument | None:
        """The platform-owned argument that a raw word sets, or None: `--host=0.0.0.0`, `-m`, `-mfile`, `--hos` for short."""
        flag = word.partition("=")[0]
        known = self.names.get(fold(flag[2:])) if flag.startswith("--") else self.flags.get(flag)
        found = known or (self._abbreviated(fold(flag[2:])) if flag.startswith("--") else self.flags.get(flag[:2]))
        return found if found and found.owned else None

    def _abbreviated(self, beginning: str) -> Argument | None:
        """Many programs take a beginning of an option for the option."""
        return next(
            (found for name, found in self.names.items() if found.owned and len(beginning) > 2 and name.startswith(beginning)), None
        )


def fold(key: str) -> str:
    return key.replace("-", "_")


def table_of(schema: Manifest) -> ArgumentTable:
    """Read a schema. Raises ValueError naming what is not of this dialect."""
    properties = schema.get("properties")
    if schema.get("additionalProperties") is not False or not isinstance(properties, Mapping):
        raise ValueError("it must be closed: 'additionalProperties: false' with 'properties'")
    arguments = {fold(name): _argument(fold(name), rule) for name, rule in properties.items()}
    names, flags = dict(arguments), {}
    for name, rule in properties.items():
        for alias in _texts(rule, "x-aliases"):
            names.setdefault(fold(alias), arguments[fold(name)])
            flags[f"-{alias}"] = arguments[fold(name)]
    return ArgumentTable(arguments, names, flags, schema.get("x-model") == "file", frozenset(_texts(schema, "x-reserved-env")))


def _argument(name: str, rule: Json) -> Argument:
    if not isinstance(rule, Mapping):
        raise ValueError(f"property {name} is not a mapping")
    given = rule.get("type")
    types = (given,) if isinstance(given, str) else _texts(rule, "type")
    if not types or set(types) - set(TYPES):
        raise ValueError(f"property {name}: unknown type {given!r}")
    choices, pattern, items = rule.get("enum"), rule.get("pattern"), rule.get("items")
    return Argument(
        name,
        types,
        tuple(choices) if isinstance(choices, Sequence) else (),
        _number(rule, "minimum"),
        _number(rule, "maximum"),
        re.compile(pattern) if isinstance(pattern, str) else None,
        _argument(name, items) if isinstance(items, Mapping) else None,
        rule.get("x-platform-owned") is True,
        _text(rule, "x-use"),
        _text(rule, "x-false"),
        _text(rule, "x-list"),
    )


def _is(value: Json, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _number(rule: Mapping[str, Json], name: str) -> float | None:
    value = rule.get(name)
    return value if isinstance(value, int | float) else None


def _text(rule: Mapping[str, Json], name: str) -> str:
    value = rule.get(name)
    return value if isinstance(value, str) else ""


def _texts(rule: Json, name: str) -> tuple[str, ...]:
    value = rule.get(name) if isinstance(rule, Mapping) else None
    return tuple(str(entry) for entry in value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
