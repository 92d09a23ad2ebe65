"""Templates: YAML whose structure is read once, and whose `{{ }}` are filled in per endpoint with values that keep their type.

No YAML is parsed per endpoint, so rendering is fast; and no text is ever read again after a value was put into it, so nothing that a repo
says can add a key, close a quote or change a type. What the author of a template needs to know:

- `"{{ path }}"` alone gives the value itself: a text, number, list or mapping. Inside of more text it is written as text. A key may be one.
- A field or item whose expression gives nothing (null, "", an empty list or mapping) is left out, and so is what becomes empty by
  that. What is written literally (`emptyDir: {}`, `automountServiceAccountToken: false`) stays; 0 and false stay too, also evaluated.
- An item of a list that gives a list is put in item by item.
- `$if: "{{ path }}"` beside other keys: all of them, or nothing.
"""

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Final, NamedTuple, TypeAlias

from reconciler.resource import Json
from reconciler.targets.kubernetes.manifests.expressions import Evaluate, Values, compiled
from reconciler.targets.kubernetes.manifests.overlays import Branch, Leaf, Row, Tree, part, wrong

EXPRESSION: Final = re.compile(r"\{\{(.*?)\}\}")
CONDITION: Final = "$if"
LONGEST_TEXT: Final = 10_000
NUMBERS: Final = (bool, int, float)  # never "nothing", also when they are zero

Template: TypeAlias = Callable[[Values], dict[str, Json]]


class Constant:
    """A part without expressions: one value for all endpoints, shared, never changed. None: not there."""

    __slots__ = ("value",)

    def __init__(self, value: Json) -> None:
        self.value = value


Made: TypeAlias = Constant | Evaluate


class Step(NamedTuple):
    """One field of a mapping: its key, or what makes it; its value, or what makes it."""

    key: str
    make_key: Evaluate | None
    value: Json
    make: Evaluate | None

    @property
    def fixed(self) -> bool:
        return self.make is None and self.make_key is None


@cache
def template(name: str, engine: str = "") -> Template:
    """The compiled part of an engine: variables -> manifest. Raises CompileError (E20), and so does the function."""
    return filled(part(name, engine))


def filled(tree: Tree) -> Template:
    made = _made(tree)

    def render(values: Values) -> dict[str, Json]:
        found = made.value if isinstance(made, Constant) else made(values)
        if not isinstance(found, dict):
            raise wrong(tree.where, "is no mapping")
        return found

    return render


def _made(tree: Tree) -> Made:
    if isinstance(tree, Branch):
        return _mapping(tree)
    return _list(tree) if isinstance(tree, Row) else _scalar(tree.value, tree.where)


def _is_nothing(made: Made) -> bool:
    return isinstance(made, Constant) and made.value is None


def _mapping(branch: Branch) -> Made:
    made = {key: _made(value) for key, value in branch.entries.items()}
    condition = made.pop(CONDITION, Constant(True))
    steps = [_step(_scalar(key, branch.where), value) for key, value in made.items() if not _is_nothing(value)]
    fields = _fields(steps, branch.where)
    if isinstance(condition, Constant):
        return fields if condition.value else Constant(None)
    return _conditional(condition, fields)


def _conditional(holds: Evaluate, fields: Made) -> Evaluate:
    if isinstance(fields, Constant):
        constant = fields.value
        return lambda values: constant if holds(values) else None
    build = fields
    return lambda values: build(values) if holds(values) else None


def _step(key: Made, value: Made) -> Step:
    name, make_key = (str(key.value), None) if isinstance(key, Constant) else ("", key)
    return Step(name, make_key, value.value, None) if isinstance(value, Constant) else Step(name, make_key, None, value)


def _fields(steps: list[Step], where: str) -> Made:
    if all(step.fixed for step in steps):
        return Constant({step.key: step.value for step in steps})

    def build(values: Values) -> Json:
        found: dict[str, Json] = {}
        for key, make_key, constant, make in steps:
            value = constant if make is None else make(values)
            if value or make is None or value.__class__ in NUMBERS:
                found[key if make_key is None else _key(make_key(values), where)] = value
        return found

    return build


def _key(value: Json, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise wrong(where, f"a key must be text, not {value!r}")
    return value


def _list(row: Row) -> Made:
    """Items from expressions that are lists are put in item by item."""
    made = [(_made(item), isinstance(item, Leaf)) for item in row.items]
    items = [(item, flat) for item, flat in made if not _is_nothing(item)]
    if all(isinstance(item, Constant) for item, _ in items):
        return Constant([item.value for item, _ in items if isinstance(item, Constant)])

    def build(values: Values) -> Json:
        found: list[Json] = []
        for item, flat in items:
            value = item.value if isinstance(item, Constant) else item(values)
            if flat and isinstance(value, list):
                found.extend(value)
            elif value or isinstance(item, Constant) or value.__class__ in NUMBERS:
                found.append(value)
        return found

    return build


def _scalar(value: Json, where: str) -> Made:
    if not isinstance(value, str) or "{{" not in value:
        return Constant(value)
    pieces = EXPRESSION.split(value)  # text, expression, text, expression, ..., text
    texts = [*pieces[::2]]
    if any("{{" in text or "}}" in text for text in texts):
        raise wrong(where, "an expression that does not end on its line")
    made = [compiled(piece, partial(wrong, where)) for piece in pieces[1::2]]
    return made[0] if texts == ["", ""] else _text(texts, made, where)


def _text(texts: list[str], made: list[Evaluate], where: str) -> Evaluate:
    def join(values: Values) -> Json:
        words = [texts[0]]
        for make, text in zip(made, texts[1:], strict=True):
            words += [_word(make(values), where), text]
        found = "".join(words)
        if len(found) > LONGEST_TEXT:
            raise wrong(where, f"a text of {len(found)} characters; at most {LONGEST_TEXT} are allowed")
        return found

    return join


def _word(value: Json, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong(where, f"{value!r} inside of a text; only texts and numbers can be")
    return str(value)
