"""An answer >= 400, read: the Status object of Kubernetes without what may be secret in it.

A message of the server may hold a whole pod template, environment values included: fields are named, values are not, and all is cut. The
raw body goes nowhere.
"""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

SHOWN: Final = 300  # characters of one text of the server's
NO_JSON: Final = (msgspec.MsgspecError, ValueError, RecursionError)  # what msgspec raises; ValueError for text that is no UTF-8
READ: Final = 4000  # characters of it that are looked at
LONGEST_VALUE: Final = 60  # characters of a plain value that is shown

# How the server words a cause: a kind, in most the value, why. The value is a JSON or Go text of anything.
_WITH_VALUE: Final = re.compile(r"^(?:Invalid|Unsupported|Duplicate) value: |^Not found: ")
_PLAIN: Final = re.compile(r'^(?P<kind>[\w ]+): (?P<value>"(?:[^"\\]|\\.)*"|-?[\d.]+|true|false|null)(?P<rest>$|: .*$)')
_END_OF_OBJECT: Final = re.compile(r"[}\]]: ")
_SECRET_FIELDS: Final = re.compile(r"\b(?:env|data|binaryData|stringData|annotations|args|command)\b")
_BRACES: Final = re.compile(r"\{.*\}")
_MANAGER: Final = re.compile(r'conflict with "(?P<manager>[^"]*)"')


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of a refusal. text: without values of the object."""

    reason: str
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer >= 400. message, causes: redacted and cut. spoken: it was a Status of Kubernetes. retry_after: seconds, 0 when not said."""

    status: int
    reason: str = ""
    message: str = ""
    group: str = ""
    kind: str = ""
    name: str = ""
    causes: tuple[Cause, ...] = ()
    retry_after: float = 0.0
    spoken: bool = True

    @property
    def managers(self) -> dict[str, tuple[str, ...]]:
        """Who owns which of the fields that an apply without force would change."""
        found: dict[str, tuple[str, ...]] = {}
        for cause in self.causes:
            if cause.reason == "FieldManagerConflict" and (match := _MANAGER.search(cause.text)):
                found[match["manager"]] = (*found.get(match["manager"], ()), cause.field)
        return found


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(msgspec.Struct):
    name: str = ""
    group: str = ""
    kind: str = ""
    causes: list[_Cause] = []
    retryAfterSeconds: float = 0.0  # noqa: N815 - the server's spelling


class _Status(msgspec.Struct):
    kind: str = ""
    message: str = ""
    reason: str = ""
    details: _Details | None = None
    code: int = 0


_STATUS: Final = msgspec.json.Decoder(_Status)


def refusal(status: int, body: bytes, retry_after: str | None = None) -> Refusal:
    """Read an answer >= 400. Never fails: what is no Status is a refusal that Kubernetes did not speak."""
    wait = float(retry_after) if retry_after and retry_after.isdecimal() else 0.0
    try:
        said = _STATUS.decode(body)
    except NO_JSON:
        said = _Status()
    if said.kind != "Status":
        text = "404 page not found" if body.strip() == b"404 page not found" else ""
        return Refusal(status, message=text, retry_after=wait, spoken=bool(text))
    details = said.details or _Details()
    causes = tuple(Cause(cause.reason, cause.field, without_value(cause.field, cause.message)) for cause in details.causes)
    message = said.message.partition(" is invalid: ")[0] + " is invalid" if causes and " is invalid: " in said.message else said.message
    return Refusal(
        said.code or status,
        said.reason,
        cut(message, READ),
        details.group,
        details.kind,
        details.name,
        causes,
        wait or details.retryAfterSeconds,
    )


def cut(text: str, limit: int = SHOWN) -> str:
    """One line without what stands between the first and the last brace (objects, with all their values), `limit` characters at most."""
    line = _BRACES.sub("(...)", " ".join(text[:READ].split())).partition("{")[0]
    return line if len(line) <= limit else line[: limit - 3] + "..."


def without_value(field: str, message: str) -> str:
    """`Invalid value: <value>: why` without the value, unless that is a plain one of a field that is no secret's place."""
    first = message.partition("\n")[0]  # a text diff follows
    if not _WITH_VALUE.match(first):
        return cut(first)
    if (plain := _PLAIN.match(first)) is None:
        kind, why = first.partition(": ")[0], _END_OF_OBJECT.split(first)[-1] if _END_OF_OBJECT.search(first) else ""
        return cut(f"{kind}: (...)" + (f": {why}" if why else ""))
    hidden = _SECRET_FIELDS.search(field) or len(plain["value"]) > LONGEST_VALUE
    return cut(f"{plain['kind']}: (...){plain['rest']}" if hidden else first)
