"""What may stand between `{{` and `}}` of a template: a variable, or an expression of variables that can neither loop nor grow.

A template may come from a repo, and a repo is untrusted: names of a fixed set of variables, constants, arithmetic, comparison, `a or b`,
`a if c else b`, a handful of filters. No calls, no statements, no powers. The result keeps its type (a number stays a number, a list a
list) and is put where the expression stood, so that no value can break out of its place.

A plain path (`endpoint.name`), perhaps with a literal for the case that it is empty (`memory.shared or '8Gi'`), is nearly all that
templates need: it is looked up without a template engine, which is loaded only for the rest.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.resource import Json

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

Values: TypeAlias = Mapping[str, Json]
Evaluate: TypeAlias = Callable[[Values], Json]
Wrong: TypeAlias = Callable[[str], Exception]  # what is wrong, as an error that says where

LONGEST: Final = 1_000  # characters of an expression
PLAIN: Final = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?: or (?:'([^'\\]*)'|(\d{1,9})))?")
CONSTANTS: Final = frozenset({"true", "false", "none", "True", "False", "None", "not"})
FILTERS: Final = frozenset({"int", "float", "round", "abs", "lower", "upper", "trim", "string"})
ALLOWED: Final = frozenset(
    {"Template", "Output", "Name", "Getattr", "Const", "Filter"}
    | {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Neg", "Pos", "Concat"}
    | {"Not", "And", "Or", "CondExpr", "Compare", "Operand"}
)


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
    from jinja2 import TemplateError, Undefined, nodes

    environment = _environment()
    try:
        parsed = environment.parse("{{" + source + "}}")
        for node in parsed.find_all(nodes.Node):
            _refuse(node, wrong)
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


def _refuse(node: object, wrong: Wrong) -> None:
    from jinja2 import nodes

    name = type(node).__name__
    if name not in ALLOWED or (isinstance(node, nodes.Filter) and node.name not in FILTERS):
        raise wrong(f"{name.lower()} is not allowed; only variables and arithmetic are")


@cache
def _environment() -> "SandboxedEnvironment":
    from jinja2 import StrictUndefined
    from jinja2.exceptions import SecurityError
    from jinja2.runtime import Context
    from jinja2.sandbox import SandboxedEnvironment

    class Arithmetic(SandboxedEnvironment):
        """`'a' * 1000000000` is no arithmetic."""

        intercepted_binops = frozenset({"*", "%"})

        def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
            if not (isinstance(left, int | float) and isinstance(right, int | float)):
                raise SecurityError(f"'{operator}' works on numbers only")
            return super().call_binop(context, operator, left, right)

    return Arithmetic(undefined=StrictUndefined, autoescape=False)
