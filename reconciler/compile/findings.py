"""What is wrong with one declaration: collected, never raised, so that one run shows every mistake.

Codes and texts follow the table of validation errors (docs/errors.md): what, why, what to do.
"""

from collections.abc import Iterable
from typing import Final

from reconciler.compile.source import Declaration
from reconciler.errors import Problem, Severity

ALLOW: Final = "reconciler.dev/allow"  # annotation: codes that the owner accepts, "E21,E45"
WAIVABLE: Final = frozenset({"E21", "E38", "E45"})
LISTED: Final = 10


class Findings:
    """Collects the problems of one declaration. A code that may be waived and is, becomes a warning."""

    def __init__(self, declaration: Declaration[object]) -> None:
        self.declaration = declaration
        self.problems: list[Problem] = []
        self._allowed = {code.strip() for code in declaration.annotations.get(ALLOW, "").split(",")} & WAIVABLE

    def error(self, code: str, pointer: str, what: str, why: str = "", todo: str = "", *, on: Declaration[object] | None = None) -> None:
        """`pointer` is an RFC 6901 pointer into the document of `on`, which is the declaration itself unless said otherwise."""
        severity = Severity.WARNING if code in self._allowed else Severity.ERROR
        self._add(Problem(code, what, why, todo, severity=severity), on or self.declaration, pointer)

    def warn(self, code: str, pointer: str, what: str, why: str = "", todo: str = "") -> None:
        self._add(Problem(code, what, why, todo, severity=Severity.WARNING), self.declaration, pointer)

    def blame(self, kind: str, name: str, causes: tuple[Problem, ...], pointer: str) -> None:
        """What this declaration refers to is broken: it cannot compile either, and says whose fault that is."""
        cause = causes[0] if causes else Problem("E67", "it does not validate")
        why = f"{cause.where}: {cause.what}" if cause.where else cause.what
        todo = f"correct {cause.where or spoken(kind) + ' ' + name}; until then this one stays as it is"
        what = f"{spoken(kind)} '{name}' is broken"
        self._add(Problem(cause.code, what, why, todo), self.declaration, pointer)

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def broken(self) -> bool:
        return bool(self.errors)

    def _add(self, found: Problem, on: Declaration[object], pointer: str) -> None:
        mine = on is self.declaration
        where = str(on.place_of(pointer)) if pointer else str(on.place)
        self.problems.append(
            Problem(
                found.code,
                found.what,
                found.why,
                found.todo,
                where=where,
                subject=on.subject,
                path=pointer.strip("/").replace("/", "."),
                owner=self.declaration.id if mine or found.severity is Severity.ERROR else on.id,
                severity=found.severity,
            )
        )


def spoken(kind: str) -> str:
    """`ModelRegistry` -> `model registry`."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in kind).strip()


def step(key: str) -> str:
    """A key as one step of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def listed(names: Iterable[str]) -> str:
    """Names in order, cut after ten; "none" when there are none."""
    every = sorted(names)
    shown = ", ".join(every[:LISTED])
    return (f"{shown} and {len(every) - LISTED} more" if len(every) > LISTED else shown) or "none"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or ""."""
    from difflib import get_close_matches

    by_folded = {candidate.lower(): candidate for candidate in sorted(known)}
    found = get_close_matches(name.lower(), by_folded, n=1, cutoff=0.5)
    return by_folded[found[0]] if found else ""


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    guess = nearest(name, known)
    return f"did you mean '{guess}'? If not, {otherwise}" if guess else otherwise
