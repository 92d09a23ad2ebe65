"""Routes and keys in our own words, as typed values and as the JSON of a plan and of `state.json`.

Envoy's format stands in no plan and no digest: a new generator rewrites files and moves no plan. Reading is closed: a field that is
missing, unknown or of another type is a ValueError that names it, because what is generated from a guess would carry real traffic.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from reconciler.resource import Json, ResourceKey

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BackendRef:
    """Where requests go: the resource that offers addresses, the path prefix that it keeps ("" for none), its share."""

    key: ResourceKey
    prefix: str = ""
    weight: int = 100

    def as_json(self) -> dict[str, Json]:
        return {**key_json(self.key), "prefix": self.prefix, "weight": self.weight}


@dataclass(frozen=True, slots=True)
class RouteManifest:
    """One endpoint at the gateway. timeout in seconds; grants: a key needs one of them."""

    models: tuple[str, ...]
    served_name: str
    paths: tuple[str, ...]
    backends: tuple[BackendRef, ...]
    strategy: str
    timeout: float
    paused: bool
    grants: tuple[str, ...]

    def as_json(self) -> dict[str, Json]:
        return {
            "models": list(self.models),
            "servedName": self.served_name,
            "paths": list(self.paths),
            "backends": [backend.as_json() for backend in self.backends],
            "strategy": self.strategy,
            "timeoutSeconds": self.timeout,
            "paused": self.paused,
            "grants": list(self.grants),
        }

    @property
    def needs(self) -> tuple[ResourceKey, ...]:
        return tuple(backend.key for backend in self.backends)


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """sha256: 64 hex digits of the whole key; expires_at: RFC 3339, or "" for never."""

    id: str
    sha256: str
    expires_at: str = ""

    def as_json(self) -> dict[str, Json]:
        return {"id": self.id, "sha256": self.sha256, "expiresAt": self.expires_at}


@dataclass(frozen=True, slots=True)
class KeyManifest:
    workspace: str
    credentials: tuple[CredentialRow, ...]
    grants: tuple[str, ...]

    def as_json(self) -> dict[str, Json]:
        return {
            "workspace": self.workspace,
            "credentials": [row.as_json() for row in self.credentials],
            "grants": list(self.grants),
        }


def key_json(key: ResourceKey) -> dict[str, Json]:
    return {"target": key.target, "kind": key.kind, "namespace": key.namespace, "name": key.name}


class Fields:
    """A closed reading of one JSON object: take each field once, then `end` refuses what is left."""

    def __init__(self, value: Json, where: str) -> None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is not an object")
        self._left = dict(value)
        self._where = where

    def _take(self, name: str) -> Json:
        if name not in self._left:
            raise ValueError(f"{self._where}/{name} is missing")
        return self._left.pop(name)

    def text(self, name: str) -> str:
        value = self._take(name)
        if not isinstance(value, str):
            raise ValueError(f"{self._where}/{name} is not a text")
        return value

    def number(self, name: str) -> float:
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{self._where}/{name} is not a number")
        return value

    def maybe_number(self, name: str) -> float | None:
        if name in self._left and self._left[name] is None:
            del self._left[name]
            return None
        return self.number(name)

    def integer(self, name: str) -> int:
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{self._where}/{name} is not a whole number")
        return value

    def flag(self, name: str) -> bool:
        value = self._take(name)
        if not isinstance(value, bool):
            raise ValueError(f"{self._where}/{name} is not true or false")
        return value

    def each(self, name: str, read: Callable[[Json, str], T]) -> tuple[T, ...]:
        value = self._take(name)
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ValueError(f"{self._where}/{name} is not a list")
        return tuple(read(item, f"{self._where}/{name}/{number}") for number, item in enumerate(value))

    def texts(self, name: str) -> tuple[str, ...]:
        return self.each(name, _text)

    def table(self, name: str, read: Callable[[Json, str], T]) -> dict[str, T]:
        value = self._take(name)
        if not isinstance(value, Mapping):
            raise ValueError(f"{self._where}/{name} is not an object")
        return {key: read(item, f"{self._where}/{name}/{key}") for key, item in value.items()}

    def raw(self, name: str) -> Json:
        return self._take(name)

    def key(self) -> ResourceKey:
        return ResourceKey(self.text("target"), self.text("kind"), self.text("namespace"), self.text("name"))

    def end(self) -> None:
        if self._left:
            raise ValueError(f"{self._where}/{min(self._left)} is not a field of this format")


def _text(value: Json, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where} is not a text")
    return value


def read_route(value: Json, where: str) -> RouteManifest:
    """The typed form of a route's manifest. Raises ValueError with the path of the first field that does not fit."""
    fields = Fields(value, where)
    found = RouteManifest(
        models=fields.texts("models"),
        served_name=fields.text("servedName"),
        paths=fields.texts("paths"),
        backends=fields.each("backends", _backend),
        strategy=fields.text("strategy"),
        timeout=fields.number("timeoutSeconds"),
        paused=fields.flag("paused"),
        grants=fields.texts("grants"),
    )
    fields.end()
    return found


def _backend(value: Json, where: str) -> BackendRef:
    fields = Fields(value, where)
    found = BackendRef(fields.key(), fields.text("prefix"), fields.integer("weight"))
    fields.end()
    return found


def read_key(value: Json, where: str) -> KeyManifest:
    """The typed form of a key's manifest. Raises ValueError."""
    fields = Fields(value, where)
    found = KeyManifest(fields.text("workspace"), fields.each("credentials", _credential), fields.texts("grants"))
    fields.end()
    return found


def _credential(value: Json, where: str) -> CredentialRow:
    fields = Fields(value, where)
    found = CredentialRow(fields.text("id"), fields.text("sha256"), fields.text("expiresAt"))
    fields.end()
    return found
