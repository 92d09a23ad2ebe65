"""`cds.json`: one cluster per route and backend, with the replicas' addresses inline.

Addresses never stand in files of their own: Envoy takes one inotify instance per such file and dies at the 128th. A backend without an
address gives a cluster without endpoints: 503 for its requests, and nothing else suffers.
"""

from collections.abc import Iterator
from typing import Final

from reconciler.resource import Json, ResourceKey
from reconciler.targets.envoy.manifest import RouteManifest
from reconciler.targets.envoy.settings import is_ip
from reconciler.targets.envoy.state import RouteEntry, State
from reconciler.targets.envoy.xds import typed

POLICIES: Final = "extensions.load_balancing_policies."
# least-request looks at every replica, power-of-two at two of them: our endpoints have tens of replicas, not thousands
BALANCING: Final[dict[str, dict[str, Json]]] = {
    "round-robin": {"name": "round_robin", "typed_config": typed(POLICIES + "round_robin.v3.RoundRobin")},
    "random": {"name": "random", "typed_config": typed(POLICIES + "random.v3.Random")},
    "least-request": {
        "name": "least_request",
        "typed_config": typed(POLICIES + "least_request.v3.LeastRequest", selection_method="FULL_SCAN"),
    },
    "power-of-two": {"name": "least_request", "typed_config": typed(POLICIES + "least_request.v3.LeastRequest", choice_count=2)},
}
# Only answers of a gateway or proxy count (502, 503, 504), and connections that fail: an engine's 500 may be the fault of one prompt,
# and nobody shall take a replica away from the others by sending it five times.
OUTLIERS: Final[dict[str, Json]] = {
    "consecutive_gateway_failure": 5,
    "enforcing_consecutive_gateway_failure": 100,
    "enforcing_consecutive_5xx": 0,
    "enforcing_success_rate": 0,
    "interval": "5s",
    "base_ejection_time": "30s",
    "max_ejection_percent": 50,
}
KEEPALIVE: Final[Json] = {"keepalive_time": 5, "keepalive_interval": 3, "keepalive_probes": 3}  # seconds; given up after 14
MANY: Final = 10000
PROTOCOL: Final = "extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster_name(route: str, backend: ResourceKey) -> str:
    """`<workspace>/<endpoint>/<target>`, and whose replicas they are where these are another's."""
    own = f"{backend.namespace}/{backend.name}"
    return f"{route}/{backend.target}" + ("" if own == route else f"/{own}")


def clusters(state: State) -> list[Json]:
    """Every cluster that requests go to now, and those that are still leaving; sorted by name."""
    return [cluster for _, cluster in sorted(_named(state), key=lambda pair: pair[0])]


def _named(state: State) -> Iterator[tuple[str, Json]]:
    for route, entry in state.routes.items():
        for backend in sorted({*entry.needs, *entry.leaving}):
            name = cluster_name(route, backend)
            yield name, _cluster(name, entry, entry.addresses_of(backend))


def _cluster(name: str, entry: RouteEntry, addresses: tuple[str, ...]) -> Json:
    hosts = [split(address) for address in sorted(addresses)]
    static = all(is_ip(host) for host, _ in hosts)
    return typed(
        "config.cluster.v3.Cluster",
        name=name,
        # V4_PREFERRED: the default asks for IPv6 first, and what answers on IPv4 only is then unreachable
        **({"type": "STATIC"} if static else {"type": "STRICT_DNS", "dns_lookup_family": "V4_PREFERRED"}),
        connect_timeout="2s",
        # a node that lost its power resets nothing: without these probes a request to it hangs until its route's time-out
        upstream_connection_options={"tcp_keepalive": KEEPALIVE},
        circuit_breakers=_breakers(),
        outlier_detection=OUTLIERS,
        load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": [_endpoint(*host) for host in hosts]}] if hosts else []},
        load_balancing_policy={"policies": [{"typed_extension_config": _balancing(entry.manifest)}]},
        typed_extension_protocol_options={
            f"envoy.{PROTOCOL}": typed(
                PROTOCOL,
                explicit_http_config={"http_protocol_options": {}},
                # below the 5 s after which uvicorn closes: the side that sends next must be the one that closes
                common_http_protocol_options={"idle_timeout": "4s"},
            )
        },
    )


def _breakers() -> Json:
    limits: dict[str, Json] = {"max_connections": MANY, "max_pending_requests": MANY, "max_requests": MANY, "max_retries": 100}
    return {"thresholds": [limits]}


def _balancing(manifest: RouteManifest) -> Json:
    policy = BALANCING[manifest.strategy]
    return {"name": f"envoy.load_balancing_policies.{policy['name']}", "typed_config": policy["typed_config"]}


def _endpoint(host: str, port: int) -> Json:
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}


def split(address: str) -> tuple[str, int]:
    """`host:port`, or `[v6]:port`. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is not host:port")
    return host, int(port)
