"""What a revision declares, as a value: valid declarations, and for everything else whom it blocks.

The difference between "blocked" and "unknown" decides about deletes: a blocked declaration keeps what it has; while something is
unknown (a file that does not parse and was not seen before), nothing at all may be deleted, because anything may stand in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from reconciler.errors import Problem
from reconciler.repo.source import Revision

Spec = TypeVar("Spec", covariant=True)
Wanted = TypeVar("Wanted")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Lines and columns count from 1."""

    path: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Declaration(Generic[Spec]):
    """One valid YAML document. id: `Endpoint/<workspace>/<name>`, `Cluster/<name>`; workspace: "" where it is global.

    spec: the typed spec of its kind. places: finds a field again in its file, when somebody asks.
    """

    id: str
    kind: str
    workspace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    place: Place
    spec: Spec
    places: Callable[[str], Place] = field(repr=False, compare=False)

    def place_of(self, pointer: str) -> Place:
        """Where a JSON pointer into the document (`/spec/engine/args/ctx_size`) is written; of what is not there, where its parent is."""
        return self.places(pointer)

    @property
    def subject(self) -> str:
        """`endpoint team-a/chat`: how messages name it."""
        return f"{self.kind[0].lower()}{self.kind[1:]} {self.id.split('/', 1)[1]}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """declarations: what is valid, by id, sorted. problems: every mistake and warning, in the order of the files.

    blocked: declarations that keep what they have -> why. unknown: what may hold anything; unless empty, nothing may be deleted.
    declared: path -> ids of what stands there, carried over from the last applied revision for a file that does not parse.
    """

    revision: Revision
    declarations: Mapping[str, Declaration[object]]
    problems: tuple[Problem, ...] = ()
    blocked: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    unknown: tuple[Problem, ...] = ()
    declared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, spec: type[Wanted]) -> tuple[Declaration[Wanted], ...]:
        """The valid declarations of a kind, sorted by id, typed: `snapshot.of(EndpointSpec)`."""
        return tuple(cast("Declaration[Wanted]", item) for item in self.declarations.values() if isinstance(item.spec, spec))

    def get(self, spec: type[Wanted], id_: str) -> Declaration[Wanted] | None:
        """One declaration, typed, or None where it is not declared or not valid."""
        found = self.declarations.get(id_)
        return cast("Declaration[Wanted]", found) if found is not None and isinstance(found.spec, spec) else None
