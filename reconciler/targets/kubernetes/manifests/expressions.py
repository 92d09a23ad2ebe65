"""What may stand between `{{` and `}}` of a template: a variable, or an expression of variables that can neither loop nor grow.

A template may come from a repo, and a repo is untrusted (`arithmetic.py`). The result keeps its type (a number stays a number, a list a
list) and is put where the expression stood, so that no value can break out of its place.

A plain path (`endpoint.name`), perhaps with a literal for the case that it is empty (`memory.shared or '8Gi'`), is nearly all that
templates need: it is looked up without a template engine, which is loaded only for the rest.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from reconciler import arithmetic
from reconciler.resource import Json

Values: TypeAlias = Mapping[str, Json]
Evaluate: TypeAlias = Callable[[Values], Json]
Wrong: TypeAlias = Callable[[str], Exception]  # what is wrong, as an error that says where

LONGEST: Final = 1_000  # characters of an expression
PLAIN: Final = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?: or (?:'([^'\\]*)'|(\d{1,9})))?")
CONSTANTS: Final = frozenset({"true", "false", "none", "True", "False", "None", "not"})


def compiled(source: str, wrong: Wrong) -> Evaluate:
    """The expression as a function of the variables. What is wrong with it raises `wrong(what)`, here or in the function."""
    source = source.strip()
    if len(source) > LONGEST:
        raise wrong(f"an expression of {len(source)} characters; at most {LONGEST} are allowed")
    plain = PLAIN.fullmatch(source)
    if plain and plain[1] not in CONSTANTS:
        return _plain(plain[1], plain[2] if plain[3] is None else int(plain[3]), wrong)
    return _expression(source, wrong)


def _plain(path: str, otherwise: Json, wrong: Wrong) -> Evaluate:
    """Looked up name by name; written out for the two lengths that nearly all have, since this runs for each field of each endpoint."""
    names = tuple(path.split("."))
    first, second = names[0], names[1] if len(names) == 2 else ""

    def walk(values: Values) -> Json:
        found: Json = values
        for name in names:
            if not isinstance(found, Mapping) or name not in found:
                raise wrong(f"variable '{path}' is not defined; there are {known(values)}")
            found = found[name]
        return found

    def one(values: Values) -> Json:
        return values[first] if first in values else walk(values)

    def two(values: Values) -> Json:
        try:
            return values[first][second]  # type: ignore[index,call-overload]  # what is no mapping is told by walk
        except (KeyError, TypeError, IndexError):
            return walk(values)

    found = two if second else one if len(names) == 1 else walk
    return found if otherwise is None else lambda values: found(values) or otherwise


def known(values: Values) -> str:
    """The variables there are, as a message lists them."""
    names: list[str] = []
    for name, value in sorted(values.items()):
        names += [f"{name}.{inner}" for inner in sorted(value)] if isinstance(value, Mapping) else [name]
    return ", ".join(names)


def _expression(source: str, wrong: Wrong) -> Evaluate:
    from jinja2 import TemplateError, Undefined

    environment = arithmetic.environment()
    try:
        refused = arithmetic.forbidden(environment.parse("{{" + source + "}}"))
        if refused:
            raise wrong(f"{refused} is not allowed; only variables and arithmetic are")
        run = environment.compile_expression(source, undefined_to_none=False)
    except TemplateError as error:
        raise wrong(str(error)) from error

    def evaluate(values: Values) -> Json:
        try:
            found = run(values)
        except (TemplateError, ArithmeticError, TypeError, ValueError) as error:
            raise wrong(f"{error}; there are {known(values)}") from error
        if isinstance(found, Undefined):
            raise wrong(f"'{source}' is not defined; there are {known(values)}")
        if found is not None and not isinstance(found, str | int | float | list | dict):
            raise wrong(f"'{source}' gives a {type(found).__name__}, which no object can hold")
        result: Json = found
        return result

    return evaluate
