"""Template words of an engine's command: `{{ model.path }}`, `{{ shutdown.graceSeconds - 30 }}`.

A word is an expression of a fixed set of variables and nothing more (`arithmetic.py`). Plain variables, which nearly all words are, need
no template engine at all, so that most commands start without loading one.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

from reconciler import arithmetic
from reconciler.errors import CompileError

if TYPE_CHECKING:
    from jinja2 import Template

Variables: TypeAlias = Mapping[str, "str | int | float | Variables"]

PLAIN: Final = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")
LONGEST_SOURCE: Final = 1_000
LONGEST_WORD: Final = 10_000


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
    from jinja2 import TemplateSyntaxError

    environment = arithmetic.environment()
    if wrong := arithmetic.forbidden(environment.parse(source)):
        raise TemplateSyntaxError(f"{wrong} is not allowed in a word; only variables and arithmetic are", 1)
    return environment.from_string(source)
