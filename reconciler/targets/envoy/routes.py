"""`rds.json`: one virtual host per endpoint, chosen by the header that only the gate sets; and one for everything else.

Both ways in, by path and by model name, end at the same virtual host, so what an endpoint's requests get is said once. What must change
together with the backend stands here and not in the gate: path prefix, the engine's own model name, the pause.
"""

from typing import Final

from reconciler.resource import Json
from reconciler.targets.envoy.clusters import cluster_name
from reconciler.targets.envoy.manifest import RouteManifest
from reconciler.targets.envoy.state import RouteEntry, State
from reconciler.targets.envoy.xds import GATE, ROUTE_HEADER, ROUTES, ascii_json, openai_error, typed

# Only what cannot have begun: no connection, a refused stream, a reset before the request was sent, and 503, by which an engine that
# still loads and Serve without a free replica say that they did not take it. A 502 may come after minutes of generation.
RETRIES: Final[dict[str, Json]] = {
    "retry_on": "connect-failure,refused-stream,reset-before-request,retriable-status-codes",
    "retriable_status_codes": [503],
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
        }
    ],
    "host_selection_retry_max_attempts": "3",
}
PAUSED: Final = openai_error("This endpoint is paused. Its owner can resume it.", "server_error", "endpoint_paused")
NO_REPLICA: Final = openai_error("No replica can take this request now.", "server_error", "no_healthy_replica")
NO_GATE: Final = openai_error("The gateway itself failed on this request.", "server_error", "gateway_error")


def routes(state: State) -> list[Json]:
    """The one RouteConfiguration."""
    hosts = [_host(name, entry) for name, entry in sorted(state.routes.items()) if not entry.withdrawn]
    return [
        typed(
            "config.route.v3.RouteConfiguration",
            name=ROUTES,
            vhost_header=ROUTE_HEADER,
            validate_clusters=False,
            virtual_hosts=[_everything_else(), *hosts],
        )
    ]


def _everything_else() -> Json:
    """What has not been through the gate: the health check. Anything else comes here only when the gate itself has failed."""
    open_to_all = {GATE: typed("config.route.v3.FilterConfig", disabled=True)}
    health: Json = {
        "name": "healthz",
        "match": {"path": "/healthz"},
        "direct_response": {"status": 200, "body": {"inline_string": "ok"}},
        "typed_per_filter_config": open_to_all,
    }
    return {"name": "default", "domains": ["*"], "routes": [health, _answer("no-gate", 500, NO_GATE)]}


def _answer(name: str, status: int, body: Json) -> Json:
    header: Json = {"header": {"key": "content-type", "value": "application/json"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "name": name,
        "match": {"prefix": "/"},
        "direct_response": {"status": status, "body": {"inline_string": ascii_json(body)}},
        "response_headers_to_add": [header],
    }


def _host(name: str, entry: RouteEntry) -> Json:
    manifest = entry.manifest
    if manifest.paused:
        found = [_answer(name, 503, PAUSED)]
    elif not manifest.backends:
        found = [_answer(name, 503, NO_REPLICA)]
    else:
        found = [_route(name, manifest, "/v1/"), _route(name, manifest, f"/{name}/v1/")]
    return {"name": name, "domains": [name], "routes": found}


def _route(name: str, manifest: RouteManifest, arrives: str) -> Json:
    """One way in: what arrives below `arrives` goes to the backend below its own prefix."""
    leaves = f"{manifest.backends[0].prefix}/v1/"
    rewrite: dict[str, Json] = {} if leaves == arrives else {"prefix_rewrite": leaves}
    action: dict[str, Json] = {
        **_clusters(name, manifest),
        **rewrite,
        "timeout": seconds(manifest.timeout),
        "idle_timeout": seconds(manifest.timeout),
        "retry_policy": RETRIES,
    }
    return {"name": name, "match": {"prefix": arrives}, "route": action, **_served(manifest)}


def _served(manifest: RouteManifest) -> dict[str, Json]:
    """The engine's own name for its model, as the JSON text that the gate puts into the body."""
    if not manifest.served_name:
        return {}
    return {"metadata": {"filter_metadata": {GATE: {"served_name": ascii_json(manifest.served_name)}}}}


def _clusters(name: str, manifest: RouteManifest) -> dict[str, Json]:
    if len(manifest.backends) == 1:
        return {"cluster": cluster_name(name, manifest.backends[0].key)}
    parts: list[Json] = [{"name": cluster_name(name, part.key), "weight": part.weight} for part in manifest.backends]
    return {"weighted_clusters": {"clusters": parts}}


def seconds(value: float) -> str:
    """A protobuf duration: at most nine decimals, no exponent."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"
