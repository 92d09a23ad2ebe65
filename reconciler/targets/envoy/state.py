"""`state.json`: what is live. Nobody but this target reads it, and everything that Envoy reads is generated from it and nothing else.

A route that is taken away, and a backend that traffic leaves, stand in it until they have drained. `since` of a drain is null from the
moment the change is intended until Envoy has acknowledged routes without that backend: only then does the clock start, so that a kill
in between can make a drain longer and never shorter. Until then the backend's addresses, and so its cluster, stay.

Reading is closed: a format, field or type that is not known is an error, never an empty gateway.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.resource import Json, Mark, ResourceKey
from reconciler.targets.envoy.manifest import Fields, KeyManifest, RouteManifest, key_json, read_key, read_route
from reconciler.targets.envoy.xds import ascii_json
from reconciler.targets.protocol import Claim

FORMAT: Final = 1
Addresses = tuple[tuple[ResourceKey, tuple[str, ...]], ...]
Drains = tuple[tuple[ResourceKey, float | None], ...]


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """A route as it is live. addresses: by backend, also of backends that are leaving and whose clusters still stand."""

    mark: Mark
    manifest: RouteManifest
    addresses: Addresses = ()
    drains: Drains = ()
    attempt: int = 0
    withdrawn: bool = False

    @property
    def needs(self) -> tuple[ResourceKey, ...]:
        return () if self.withdrawn else self.manifest.needs

    @property
    def leaving(self) -> tuple[ResourceKey, ...]:
        """Backends that Envoy may still be sending to: no acknowledged file is without them yet."""
        return tuple(key for key, since in self.drains if since is None)

    def addresses_of(self, key: ResourceKey) -> tuple[str, ...]:
        return dict(self.addresses).get(key, ())

    def settled(self, now: float) -> "RouteEntry":
        """Acknowledged: clocks of leaving backends start, and what is not used any more loses its addresses."""
        drains = tuple((key, now if since is None else since) for key, since in self.drains)
        return replace(self, drains=drains, addresses=tuple(pair for pair in self.addresses if pair[0] in self.needs))

    def as_json(self) -> dict[str, Json]:
        return {
            "mark": self.mark.as_json(),
            "manifest": self.manifest.as_json(),
            "addresses": [{**key_json(key), "hosts": list(hosts)} for key, hosts in self.addresses],
            "drains": [{**key_json(key), "since": since} for key, since in self.drains],
            "attempt": self.attempt,
            "withdrawn": self.withdrawn,
        }


@dataclass(frozen=True, slots=True)
class KeyEntry:
    mark: Mark
    manifest: KeyManifest

    def as_json(self) -> dict[str, Json]:
        return {"mark": self.mark.as_json(), "manifest": self.manifest.as_json()}


@dataclass(frozen=True, slots=True)
class State:
    """routes and keys by `<workspace>/<name>`; files: what was generated last, `sha256:...` by path below the directory."""

    claim: Claim
    routes: Mapping[str, RouteEntry] = field(default_factory=dict)
    keys: Mapping[str, KeyEntry] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    made: str = ""

    def settled(self, now: float) -> "State":
        return replace(self, routes={name: entry.settled(now) for name, entry in self.routes.items()})

    def text(self) -> bytes:
        """For people too: sorted, one line for each route and key, one final line end."""
        claim: Json = {"instance": self.claim.instance, "rootCommit": self.claim.repo}
        parts = (
            f'"claim":{ascii_json(claim)}',
            f'"files":{ascii_json(dict(self.files))}',
            f'"format":{FORMAT}',
            f'"keys":{{{_lines(self.keys)}}}',
            f'"made":{ascii_json(self.made)}',
            f'"routes":{{{_lines(self.routes)}}}',
        )
        return ("{" + ",\n".join(parts) + "}\n").encode()


def _lines(entries: Mapping[str, RouteEntry | KeyEntry]) -> str:
    return ",".join(f"\n{ascii_json(name)}:{ascii_json(entries[name].as_json())}" for name in sorted(entries))


def parse(raw: bytes) -> State:
    """The state in a file. Raises ValueError that says what does not fit, and where."""
    try:
        value = json.loads(raw)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    fields = Fields(value, "state.json")
    if fields.integer("format") != FORMAT:
        raise ValueError(f"state.json/format is not {FORMAT}: it was written by another version")
    claim = Fields(fields.raw("claim"), "state.json/claim")
    found = State(
        Claim(claim.text("instance"), claim.text("rootCommit")),
        fields.table("routes", _route),
        fields.table("keys", _key),
        fields.table("files", _hash),
        fields.text("made"),
    )
    claim.end()
    fields.end()
    return found


def _route(value: Json, where: str) -> RouteEntry:
    fields = Fields(value, where)
    found = RouteEntry(
        _mark(fields.raw("mark"), where),
        read_route(fields.raw("manifest"), f"{where}/manifest"),
        fields.each("addresses", _addresses),
        fields.each("drains", _drain),
        fields.integer("attempt"),
        fields.flag("withdrawn"),
    )
    fields.end()
    return found


def _key(value: Json, where: str) -> KeyEntry:
    fields = Fields(value, where)
    found = KeyEntry(_mark(fields.raw("mark"), where), read_key(fields.raw("manifest"), f"{where}/manifest"))
    fields.end()
    return found


def _mark(value: Json, where: str) -> Mark:
    mark = Mark.from_json(value)
    if mark is None:
        raise ValueError(f"{where}/mark is not a mark of ours")
    return mark


def _addresses(value: Json, where: str) -> tuple[ResourceKey, tuple[str, ...]]:
    fields = Fields(value, where)
    found = fields.key(), fields.texts("hosts")
    fields.end()
    return found


def _drain(value: Json, where: str) -> tuple[ResourceKey, float | None]:
    fields = Fields(value, where)
    found = fields.key(), fields.maybe_number("since")
    fields.end()
    return found


def _hash(value: Json, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where} is not a hash")
    return value
