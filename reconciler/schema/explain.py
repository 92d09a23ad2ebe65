"""Why a document is not a declaration, in our words: what pydantic found becomes code, what, why, what to do.

pydantic knows that a key is too many; whether it is a spelling mistake (E69, with the nearest one) or a field that this version does
not honour yet (E73) stands in the `LATER` table of the type that would own it.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from reconciler.schema.base import Declared, Later
from reconciler.schema.secrets import secret_in

Loc = tuple[str | int, ...]

EXPECTED: Final = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "mapping_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
}
WHY_UNKNOWN: Final = "it would be lost in silence"
_RULES: Final = (
    ("greater_than_equal", "ge", "at least {}"),
    ("greater_than", "gt", "above {}"),
    ("less_than_equal", "le", "at most {}"),
    ("less_than", "lt", "below {}"),
    ("string_pattern_mismatch", "pattern", "of the form {}"),
    ("string_too_long", "max_length", "at most {} characters"),
    ("string_too_short", "min_length", "at least {} characters"),
    ("too_short", "min_length", "a list of at least {}"),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One mistake in a document: where (keys and indexes from its top), code, what, why, what to do."""

    at: Loc
    code: str
    what: str
    why: str = ""
    todo: str = ""

    @property
    def pointer(self) -> str:
        return pointer_of(self.at)

    @property
    def path(self) -> str:
        """`spec.env[0].name`."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.at).lstrip(".")


def pointer_of(at: Iterable[str | int]) -> str:
    """RFC 6901."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in at)


def later(what: Later, at: Loc) -> Refusal:
    """A field or a value that is known, and refused."""
    return Refusal(at, *what.said)


def unknown(word: str, value: str, known: Iterable[str], at: Loc) -> Refusal:
    """E69 with the nearest spelling."""
    close = nearest(value, known)
    return Refusal(
        at, "E69", f"unknown {word} '{value[:100]}'", WHY_UNKNOWN, f"did you mean {close}?" if close else f"known are {some(known)}"
    )


def nearest(value: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or ""."""
    plain = {re.sub("[-_]", "", word).lower(): word for word in known}
    found = difflib.get_close_matches(re.sub("[-_]", "", value[:100]).lower(), plain, 1, 0.6)
    return plain[found[0]] if found else ""


def some(words: Iterable[str], most: int = 10) -> str:
    """A list for a message, cut after ten."""
    listed = list(words)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def explain(model: type[Declared], value: Mapping[str, object], error: ValidationError, written: Mapping[str, str]) -> list[Refusal]:
    """Every mistake that pydantic found, one per place. written: pointer -> the scalar as it stands in the file."""
    found: dict[Loc, Refusal] = {}
    for item in error.errors(include_url=False):
        refusal = _explain_one(model, value, item, written)
        earlier = found.get(refusal.at)
        found[refusal.at] = refusal if earlier is None else _either(earlier, refusal)
    return list(_without_consequences(found.values()))


def _either(first: Refusal, second: Refusal) -> Refusal:
    """A union refuses once per member: one message that names both."""
    left, right = first.what.partition(" is not "), second.what.partition(" is not ")
    if first.code != second.code or not (left[1] and right[1]) or left[2] == right[2]:
        return first
    return Refusal(first.at, first.code, f"{first.what} or {right[2]}", first.why, "")


def _without_consequences(refusals: Iterable[Refusal]) -> Iterator[Refusal]:
    """Of a cluster whose type is not supported yet, what its other type would need is no mistake."""
    listed = list(refusals)
    types = {refusal.at[:-1] for refusal in listed if refusal.code == "E73" and refusal.at[-1:] == ("type",)}
    return (refusal for refusal in listed if refusal.code == "E73" or refusal.at[:-1] not in types)


def _explain_one(model: type[Declared], value: object, item: Any, written: Mapping[str, str]) -> Refusal:
    at, kind, context = _written_at(item["loc"], value, item["type"]), item["type"], item.get("ctx", {})
    owner = owner_of(model, at[:-1])
    if kind == "fault":
        return Refusal((*at, *context["at"]), context["code"], context["what"], context["why"], context["todo"])
    if kind == "extra_forbidden":
        return _extra(owner, at)
    if kind == "missing":
        return Refusal(at, "E76", f"'{at[-1]}' is missing", "there is no default for it", "add it")
    if kind == "literal_error":
        return _not_one_of(owner, at, item["input"], _words(owner, at, context))
    if kind in EXPECTED:
        return _wrong_type(at, EXPECTED[kind], item["input"], written.get(pointer_of(at), ""))
    return _broken_rule(at, kind, item, context)


def _written_at(loc: Loc, value: object, kind: str) -> Loc:
    """pydantic's location without the steps that are no part of the document (members of unions, `[key]`)."""
    at: list[str | int] = []
    for part in loc:
        there, below = _step(value, part)
        if not there and not (kind == "missing" and isinstance(value, Mapping)):
            break
        value = below
        at.append(part)
    return tuple(at)


def _step(value: object, part: str | int) -> tuple[bool, object]:
    if isinstance(value, Mapping):
        return part in value, value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return True, value[part]
    return False, None


def owner_of(model: type[Declared], at: Loc) -> type[Declared] | None:
    """The type that owns the mapping at a place, or None where it is a free mapping."""
    current: object = model
    for part in at:
        current = _below(current, part)
    return current if isinstance(current, type) and issubclass(current, Declared) else None


def _below(current: object, part: str | int) -> object:
    if isinstance(current, type) and issubclass(current, Declared):
        field = next((field for name, field in current.model_fields.items() if part in (field.alias, name)), None)
        return _plain(field.annotation) if field else None
    arguments = get_args(current)
    if not arguments:
        return None
    return _plain(arguments[0] if get_origin(current) is tuple else arguments[-1])


def _plain(annotation: object) -> object:
    """Without Annotated and without None."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _plain(next(member for member in get_args(annotation) if member is not NoneType))
    return annotation


def _words(owner: type[Declared] | None, at: Loc, context: Mapping[str, str]) -> list[str]:
    """What a literal allows."""
    allowed = _below(owner, at[-1]) if owner and at else None
    if get_origin(allowed) is Literal:
        return [str(word) for word in get_args(allowed)]
    return re.findall(r"'([^']*)'", context.get("expected", ""))


def _extra(owner: type[Declared] | None, at: Loc) -> Refusal:
    key, known = str(at[-1]), owner.LATER if owner else {}
    if key in known:
        return later(known[key], at)
    fields = [field.alias or name for name, field in owner.model_fields.items()] if owner else []
    return unknown("key", key, [*fields, *(name for name in known if "=" not in name)], at)


def _not_one_of(owner: type[Declared] | None, at: Loc, value: object, words: list[str]) -> Refusal:
    known = owner.LATER if owner else {}
    if f"{at[-1]}={value}" in known:
        return later(known[f"{at[-1]}={value}"], at)
    close = nearest(value, words) if isinstance(value, str) else ""
    todo = f"did you mean {close}?" if close else ""
    return Refusal(at, "E75", f"{shown(value)} is not {' or '.join(words)}", f"known are {some(words)}" if len(words) > 1 else "", todo)


def _wrong_type(at: Loc, expected: str, value: object, written: str) -> Refusal:
    what = f"{shown(value)} is not {expected}"
    if expected == "a text" and isinstance(value, int | float):
        return Refusal(at, "E75", what, f"YAML reads {written or value} as {shown(value)}", f'put it in quotes: "{written or value}"')
    if expected == "true or false" and isinstance(value, str):
        meant = "true" if value.lower() in ("yes", "on", "y", "true") else "false"
        return Refusal(at, "E75", what, "yes, no, on, off and words in quotes are texts", f"write {meant}")
    if isinstance(value, str) and expected in ("a whole number", "a number") and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return Refusal(at, "E75", what, "it is a text", f"write it without quotes and leading zeros: {value.lstrip('0') or 0}")
    if expected == "a list" and isinstance(value, str):
        return Refusal(at, "E75", what, "one entry is a list too", f"write [{value}]" if not secret_in(value) else "write it in [ ]")
    return Refusal(at, "E75", what, "nothing stands below the key" if value is None else "", f"give {expected}, or leave the key out")


def _broken_rule(at: Loc, kind: str, item: Any, context: Mapping[str, object]) -> Refusal:
    for name, key, words in _RULES:
        if kind == name:
            rule = words.format(context[key])
            return Refusal(at, "E39" if "than" in name else "E75", f"{shown(item['input'])} is not allowed", f"it must be {rule}", "")
    return Refusal(at, "E75", f"{shown(item['input'])} is not allowed", str(item["msg"]), "")


def shown(value: object) -> str:
    """A value in a message: short, and never a secret."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "nothing (null)", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a text that looks like a secret" if secret_in(str(value)) else f"'{str(value)[:60]}'"
