"""What compile reads of a revision: declarations with their places, and what could not be read.

Protocols, because `repo`, which makes these values, is a step of its own, and steps never import each other.
"""

from collections.abc import Mapping
from typing import Protocol, TypeAlias, TypeVar

from reconciler.errors import Problem
from reconciler.resource import Manifest

EngineSchemas: TypeAlias = Mapping[str, Manifest]  # `builtin:engines/<file>.json` -> JSON Schema of an engine's arguments

Spec = TypeVar("Spec", covariant=True)


class Declaration(Protocol[Spec]):
    """One valid document. `spec` is the schema's model of its kind; `place` and `place_of` print as `path:line`."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def workspace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def annotations(self) -> Mapping[str, str]: ...
    @property
    def place(self) -> object: ...
    @property
    def spec(self) -> Spec: ...
    @property
    def subject(self) -> str: ...
    def place_of(self, pointer: str, /) -> object: ...


class Revision(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def root(self) -> str: ...


class Snapshot(Protocol):
    """blocked: owner -> why its document is no declaration; unknown: files whose content is not known at all."""

    @property
    def revision(self) -> Revision: ...
    @property
    def declarations(self) -> Mapping[str, Declaration[object]]: ...
    @property
    def problems(self) -> tuple[Problem, ...]: ...
    @property
    def blocked(self) -> Mapping[str, tuple[Problem, ...]]: ...
    @property
    def unknown(self) -> tuple[Problem, ...]: ...
    @property
    def declared(self) -> Mapping[str, tuple[str, ...]]: ...
