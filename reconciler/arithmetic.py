"""What an expression of a repo may be: variables, constants, arithmetic, comparison, a handful of filters; nothing that can loop or grow.

A repo is untrusted. No calls, no statements, no filters of other names, no powers, and no `'a' * 1000000000`. Jinja2, which does the
parsing and is loaded with the first expression only, refuses whatever is not on these lists.
"""

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jinja2.nodes import Node
    from jinja2.sandbox import SandboxedEnvironment

FILTERS: Final = frozenset({"int", "float", "round", "abs", "lower", "upper", "trim", "string"})
ALLOWED: Final = frozenset(
    {"Template", "Output", "TemplateData", "Name", "Getattr", "Const", "Filter"}
    | {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Neg", "Pos", "Concat"}
    | {"Not", "And", "Or", "CondExpr", "Compare", "Operand"}
)


def forbidden(parsed: "Node") -> str:
    """What of a parsed expression, or of a text with expressions, is not arithmetic (`for`, `call`); "" when all of it is."""
    from jinja2 import nodes

    for node in parsed.find_all(nodes.Node):
        if type(node).__name__ not in ALLOWED or (isinstance(node, nodes.Filter) and node.name not in FILTERS):
            return type(node).__name__.lower()
    return ""


@cache
def environment() -> "SandboxedEnvironment":
    """Where they are evaluated: an undefined variable is an error, and `*` and `%` work on numbers only."""
    from jinja2 import StrictUndefined
    from jinja2.exceptions import SecurityError
    from jinja2.runtime import Context
    from jinja2.sandbox import SandboxedEnvironment

    class Arithmetic(SandboxedEnvironment):
        intercepted_binops = frozenset({"*", "%"})

        def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
            if not (isinstance(left, int | float) and isinstance(right, int | float)):
                raise SecurityError(f"'{operator}' works on numbers only")
            return super().call_binop(context, operator, left, right)

    return Arithmetic(undefined=StrictUndefined, autoescape=False)
