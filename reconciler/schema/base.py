"""What every declared type shares: closed, frozen, camelCase outside and snake_case inside, and two ways to say no.

A rule that a declaration breaks is a `fault`: an exception that pydantic collects, with our stable code and three parts. A field or
a value that `resources.md` knows and this version does not honour stands in the `LATER` table of the type that will own it: it is
refused by name, never ignored, and told apart from a spelling mistake. To support it later, move it from the table into the model.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, Strict
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

GROUP: Final = "reconciler.dev"
API_VERSION: Final = "reconciler.dev/v1alpha1"

Int = Annotated[int, Strict()]
Bool = Annotated[bool, Strict()]
Number = Annotated[float, Strict()]  # an int is a number too, a bool or a text is not


class Later:
    """Known and refused. `what` is the thing as people call it; code, why and todo where there is more to say than "not yet"."""

    def __init__(self, what: str, *, code: str = "E73", why: str = "", todo: str = "") -> None:
        self.what, self.code, self.why, self.todo = what, code, why, todo

    @property
    def said(self) -> tuple[str, str, str, str]:
        """Code, what, why, todo: the one wording of "known, and not yet"."""
        if self.code != "E73":
            return self.code, self.what, self.why, self.todo
        todo = self.todo or "remove it until it is supported"
        return self.code, f"{self.what}: not supported yet", "it would be ignored, so it is refused", todo


class Declared(BaseModel):
    """A part of a declaration. `LATER`: `field` or `field=value` -> what is known and not supported yet.

    The text below a field is its description; `json_schema.py` reads it from the source when schemas are made, because doing
    so on every start (`use_attribute_docstrings`) costs 40 ms.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=False,
        protected_namespaces=(),
    )
    LATER: ClassVar[Mapping[str, Later]] = {}


def fault(code: str, what: str, why: str = "", todo: str = "", at: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """A broken rule, to be raised inside a validator. `at`: where below the validated value it is, in the words of the YAML."""
    # pydantic formats the template with the context, so that a brace in a user's text must not reach it as part of the template
    return PydanticCustomError("fault", "{what}", {"code": code, "what": what, "why": why, "todo": todo, "at": at})


def refused(what: Later, at: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """A field that the model has, and that this declaration cannot use: worded as one that no model has."""
    return fault(*what.said, at=at)


class SecretRef(Declared):
    """Names an entry of a secret store; the value never stands in the repo."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the secret in the store."""
    key: str = ""
    """Entry of the secret; empty where the secret is one value."""
