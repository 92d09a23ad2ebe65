"""State -> every file of the gateway. Pure and deterministic: same state and settings, same bytes."""

import copy
from dataclasses import dataclass, field, replace
from typing import Final, cast

from reconciler.resource import Json, Mark, ResourceKey
from reconciler.targets.envoy.clusters import BALANCING, clusters
from reconciler.targets.envoy.gate import gate
from reconciler.targets.envoy.listener import bootstrap, connection_manager, listener
from reconciler.targets.envoy.manifest import BackendRef, CredentialRow, KeyManifest, RouteManifest
from reconciler.targets.envoy.routes import routes
from reconciler.targets.envoy.settings import GatewaySettings
from reconciler.targets.envoy.state import KeyEntry, RouteEntry, State
from reconciler.targets.envoy.xds import BOOTSTRAP, CDS, ECDS, LDS, RDS, VALIDATE, Place, compact, document, hash_of
from reconciler.targets.protocol import Claim

_BACKEND: Final = ResourceKey("cluster", "ServeApplication", "team", "one")
_MARK: Final = Mark("sample", "", "Endpoint/team/one", "")
_ROUTE: Final = RouteManifest(
    ("team/one", "one"), "one", ("POST /v1/completions",), (BackendRef(_BACKEND, "/team/one"),), "round-robin", 1.0, False, ("ws:team",)
)
_HOSTS: Final = ((_BACKEND, ("127.0.0.1:1", "name:2")),)
SAMPLE: Final = State(  # one of everything that the generator writes
    Claim("sample", ""),
    {
        **{
            f"team/{name}": RouteEntry(_MARK, replace(_ROUTE, strategy=name), ((_BACKEND, ("127.0.0.1:1", "name:2")),))
            for name in BALANCING
        },
        "team/off": RouteEntry(_MARK, replace(_ROUTE, backends=(), paused=True)),
        "team/none": RouteEntry(_MARK, replace(_ROUTE, backends=())),
    },
    {"team/key": KeyEntry(_MARK, KeyManifest("team", (CredentialRow("one", "0" * 64, "2030-01-01T00:00:00Z"),), ("ws:team",)))},
)


def generate(state: State, settings: GatewaySettings, place: Place) -> dict[str, bytes]:
    """Every file by its path below the gateway's directory."""
    return Generator(settings, place).files(state)


@dataclass
class Generator:
    """Not frozen: it remembers what it made last, so that a change of addresses alone costs nothing but the clusters."""

    settings: GatewaySettings
    place: Place
    _last: State | None = None
    _files: dict[str, bytes] = field(default_factory=dict)

    def files(self, state: State) -> dict[str, bytes]:
        """Every file by its path below the gateway's directory. Same state, same bytes, whatever was made before."""
        cds = clusters(state)
        if self._last is None or not _same_but_addresses(self._last, state):
            ecds, rds = gate(state, self.settings), routes(state)
            self._files = {
                BOOTSTRAP: compact(bootstrap(self.settings.name, self.place)),
                ECDS: document(ecds),
                RDS: document(rds),
                LDS: document(listener(self.settings, self.place)),
                VALIDATE: compact(folded(cds, ecds, rds, self.place)),
            }
        self._last = state
        return {**self._files, CDS: document(cds)}


def _same_but_addresses(one: State, other: State) -> bool:
    """By identity: entries are values, and what was not changed is the same object."""
    if one.keys is not other.keys or one.routes.keys() != other.routes.keys():
        return False
    pairs = ((entry, other.routes[name]) for name, entry in one.routes.items())
    return all(a is b or (a.manifest is b.manifest and a.withdrawn == b.withdrawn and a.leaving == b.leaving) for a, b in pairs)


def fingerprint(settings: GatewaySettings, place: Place) -> str:
    """Changes whenever the same state would give other files: by the settings, by a new generator, by a folder that has moved."""
    return hash_of(b"\0".join(content for _, content in sorted(generate(SAMPLE, settings, place).items())))


def folded(cds: list[Json], ecds: list[Json], rds: list[Json], place: Place) -> Json:
    """Everything as one static configuration, for `envoy --mode validate`, which does not read files that are watched.

    No address, port or path of the real one: so it can be checked anywhere, and an address change leaves it as it is.
    """
    manager = connection_manager(place)
    gate_filter = cast(dict[str, Json], ecds[0])
    filters = cast(list[Json], manager["http_filters"])
    manager["http_filters"] = [{"name": gate_filter["name"], "typed_config": gate_filter["typed_config"]}, *filters[1:]]
    manager["route_config"] = {name: value for name, value in cast(dict[str, Json], rds[0]).items() if name != "@type"}
    del manager["rds"], manager["access_log"]
    chain: Json = {"filters": [{"name": "http", "typed_config": manager}]}
    address: Json = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    return {"static_resources": {"listeners": [{"name": "gw", "address": address, "filter_chains": [chain]}], "clusters": _bare(cds)}}


def _bare(cds: list[Json]) -> list[Json]:
    """The clusters without their replicas."""
    found = cast(list[dict[str, Json]], copy.deepcopy(cds))
    for cluster in found:
        del cluster["@type"]
        cluster["load_assignment"] = {"cluster_name": cluster["name"]}
        cluster["type"] = "STATIC"
        cluster.pop("dns_lookup_family", None)
    return list(found)
