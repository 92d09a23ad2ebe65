"""Template words of an engine's command: `{{ model.path }}`, `{{ shutdown.graceSeconds - 30 }}`.

A repo is untrusted, so a word is an expression and nothing more: names of a fixed set of variables, numbers, arithmetic, comparison.
No statements, calls, filters with arguments of their own, or powers: nothing that can loop or grow. Plain variables, which nearly all
words are, need no template engine at all, so that most commands start without loading one.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler.errors import CompileError

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

Variables: TypeAlias = Mapping[str, "str | int | float | Variables"]

PLAIN: Final = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")
LONGEST_SOURCE: Final = 1_000
LONGEST_WORD: Final = 10_000
FILTERS: Final = frozenset({"int", "float", "round", "abs", "lower", "upper", "trim", "string"})
EXPRESSIONS: Final = frozenset(
    {"Template", "Output", "TemplateData", "Name", "Getattr", "Const", "Filter"}
    | {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Neg", "Pos", "Concat"}
    | {"Not", "And", "Or", "CondExpr", "Compare", "Operand"}
)


def render(source: str, variables: Variables) -> str:
    """The word with every variable filled in. Raises CompileError (E20) without a place: the caller knows where the word stands."""
    if "{{" not in source and "{%" not in source and "{#" not in source:
        return source
    if len(source) > LONGEST_SOURCE:
        raise CompileError(f"a template word of {len(source)} characters; at most {LONGEST_SOURCE} are allowed", code="E20")
    plain = PLAIN.sub(lambda found: _text(found[1], variables), source)
    word = plain if "{{" not in PLAIN.sub("", source) and "{%" not in source and "{#" not in source else _expression(source, variables)
    if len(word) > LONGEST_WORD:
        raise CompileError(f"a template word becomes {len(word)} characters; at most {LONGEST_WORD} are allowed", code="E20")
    return word


def _text(path: str, variables: Variables) -> str:
    value: str | int | float | Variables = variables
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise CompileError(f"template variable '{path}' is not defined", code="E20", why=f"there are {_known(variables)}")
        value = value[name]
    if isinstance(value, Mapping):
        raise CompileError(f"template variable '{path}' is a group", code="E20", why=f"there are {_known(variables)}")
    return str(value)


def _known(variables: Variables) -> str:
    names = []
    for name, value in sorted(variables.items()):
        names += [f"{name}.{inner}" for inner in sorted(value)] if isinstance(value, Mapping) else [name]
    return ", ".join(names)


def _expression(source: str, variables: Variables) -> str:
    from jinja2 import TemplateError

    try:
        return _compiled(source).render(variables)
    except (TemplateError, ArithmeticError, TypeError, ValueError) as error:
        raise CompileError(f"template word {source!r}: {error}", code="E20", why=f"there are {_known(variables)}") from error


@lru_cache(maxsize=512)
def _compiled(source: str) -> "Template":
    from jinja2 import TemplateSyntaxError, nodes

    environment = _environment()
    for node in environment.parse(source).find_all(nodes.Node):
        allowed = type(node).__name__ in EXPRESSIONS and not (isinstance(node, nodes.Filter) and node.name not in FILTERS)
        if not allowed:
            raise TemplateSyntaxError(
                f"{type(node).__name__.lower()} is not allowed in a word; only variables and arithmetic are", node.lineno
            )
    return environment.from_string(source)


@lru_cache(maxsize=1)
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
