"""State -> every file of the gateway. Pure and deterministic: same state and settings, same bytes."""

import copy
from collections.abc import Mapping
from typing import cast

from reconciler.resource import Json
from reconciler.targets.envoy.clusters import clusters
from reconciler.targets.envoy.gate import gate
from reconciler.targets.envoy.listener import bootstrap, connection_manager, listener
from reconciler.targets.envoy.routes import routes
from reconciler.targets.envoy.settings import GatewaySettings
from reconciler.targets.envoy.state import State
from reconciler.targets.envoy.xds import BOOTSTRAP, CDS, ECDS, LDS, RDS, VALIDATE, Place, compact, document

Files = Mapping[str, bytes]


def generate(state: State, settings: GatewaySettings, place: Place) -> dict[str, bytes]:
    """Every file by its path below the gateway's directory. Raises ValueError for an entry that nothing can be generated from."""
    cds, ecds, rds = clusters(state), gate(state, settings), routes(state)
    return {
        BOOTSTRAP: compact(bootstrap(settings.name, place)),
        CDS: document(cds),
        ECDS: document(ecds),
        RDS: document(rds),
        LDS: document(listener(settings, place)),
        VALIDATE: compact(folded(cds, ecds, rds, place)),
    }


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
