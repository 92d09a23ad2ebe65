"""`bootstrap.json` and `xds/lds.json`: what changes only with the gateway's own settings, since a rewritten listener cuts long streams.

The chain is two filters, the gate and the router: each further one costs every request. What a client may not say is dropped before
any of them: our own headers, and those by which Serve and Envoy take orders.
"""

from typing import Final

from reconciler.resource import Json
from reconciler.targets.envoy.settings import GatewaySettings
from reconciler.targets.envoy.xds import (
    CDS,
    ECDS,
    GATE,
    KEY_HEADER,
    LDS,
    LISTENER,
    OURS,
    RDS,
    ROUTE_HEADER,
    ROUTES,
    TYPES,
    Place,
    openai_error,
    typed,
)

ACCESS_LOG: Final = "access.log"
# A cluster has more than a hundred statistics, and each question for one looks at all of them: at 1,000 endpoints an acknowledgement
# would cost more than the update. What the writer asks for is kept, and what tells how an endpoint does.
KEPT_PREFIXES: Final = ("cluster_manager.", "listener_manager.", "extension_config_discovery.", f"http.{LISTENER}.", "server.")
KEPT_SUFFIXES: Final = (
    ".membership_healthy",
    ".membership_total",
    ".outlier_detection.ejections_active",
    ".upstream_cx_connect_fail",
    ".upstream_rq_5xx",
    ".upstream_rq_active",
    ".upstream_rq_retry",
    ".upstream_rq_timeout",
    ".upstream_rq_total",
)
CONNECTIONS: Final = 50000
STRIPPED: Final = (OURS, "x-request-timeout-seconds", "x-request-disconnect-disabled", "x-envoy-")
LOG_FIELDS: Final[dict[str, Json]] = {  # bodies and keys never appear: `key` is the public id
    "ts": "%START_TIME%",
    "req_id": "%REQ(X-REQUEST-ID)%",
    "key": f"%REQ({KEY_HEADER})%",
    "endpoint": f"%REQ({ROUTE_HEADER})%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "replica": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "ms": "%DURATION%",
    "ttfb_ms": "%RESPONSE_DURATION%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
}
TOO_LARGE: Final = openai_error("The request body is larger than this gateway accepts.", "invalid_request_error", "request_too_large")
NO_REPLICA: Final = openai_error("No replica can take this request now (%RESPONSE_FLAGS%).", "server_error", "no_healthy_replica")
TIMEOUT: Final = openai_error("The request took longer than this endpoint allows.", "server_error", "timeout")
NOT_FOUND: Final = openai_error("No endpoint is served at this path.", "invalid_request_error", "endpoint_not_found")
MALFORMED: Final = openai_error("The request is not valid HTTP (%RESPONSE_CODE_DETAILS%).", "invalid_request_error", "invalid_request")
BROKEN: Final = openai_error("The gateway itself failed on this request (%RESPONSE_CODE_DETAILS%).", "server_error", "gateway_error")
# Status and response flags by which an answer of Envoy itself is known from one of the gate or of the routes: those have no flag.
LOCAL_REPLIES: Final[tuple[tuple[int, tuple[str, ...], Json], ...]] = (
    (404, ("NR",), NOT_FOUND),
    (413, (), TOO_LARGE),
    (500, ("NR", "UPE", "UF", "UC"), BROKEN),
    (502, ("UPE", "UF", "UC", "UR", "LR"), NO_REPLICA),
    (503, ("UH", "UF", "UC", "UO", "NC", "NR", "URX", "UR", "LR", "UMSDR", "OM", "LH"), NO_REPLICA),
    (504, ("UT", "SI", "UMSDR"), TIMEOUT),
)


def bootstrap(name: str, place: Place) -> Json:
    """What Envoy is started with: who it is, its admin socket (for this user only), where the rest stands."""
    return {
        "node": {"id": f"reconciler-{name}", "cluster": "reconciler"},
        "admin": {"address": {"pipe": {"path": place.admin, "mode": 0o600}}},
        "dynamic_resources": {"lds_config": watched(place.path(LDS)), "cds_config": watched(place.path(CDS))},
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": _kept()}}},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": typed(
                        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        max_active_downstream_connections=str(CONNECTIONS),
                    ),
                }
            ]
        },
    }


def _kept() -> Json:
    return [*({"prefix": prefix} for prefix in KEPT_PREFIXES), *({"suffix": suffix} for suffix in KEPT_SUFFIXES)]


def watched(path: str) -> Json:
    """Plain `path`: with a watched directory each move would read every file again."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def listener(settings: GatewaySettings, place: Place) -> list[Json]:
    return [
        typed(
            "config.listener.v3.Listener",
            name=LISTENER,
            address={"socket_address": {"address": settings.address, "port_value": settings.port}},
            per_connection_buffer_limit_bytes=settings.max_request_bytes,
            filter_chains=[{"filters": [{"name": "http", "typed_config": connection_manager(place)}]}],
        )
    ]


def connection_manager(place: Place) -> dict[str, Json]:
    return typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=LISTENER,
        codec_type="AUTO",
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        stream_idle_timeout="600s",
        request_timeout="0s",
        request_headers_timeout="10s",
        common_http_protocol_options={"idle_timeout": "3600s", "headers_with_underscores_action": "REJECT_REQUEST"},
        server_header_transformation="PASS_THROUGH",
        early_header_mutation_extensions=[_ingress()],
        access_log=[_access_log(place)],
        local_reply_config={"mappers": [_before_the_gate(), *(_mapper(*reply) for reply in LOCAL_REPLIES)]},
        rds={"route_config_name": ROUTES, "config_source": watched(place.path(RDS))},
        http_filters=[
            {
                "name": GATE,
                "config_discovery": {
                    "config_source": watched(place.path(ECDS)),
                    "type_urls": [TYPES + "extensions.filters.http.lua.v3.Lua"],
                },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": typed("extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
            },
        ],
    )


def _ingress() -> Json:
    """The route is preset: without the header Envoy would not fall back to the virtual host for everything else."""
    removed: list[Json] = [{"remove_on_match": {"key_matcher": {"prefix": prefix, "ignore_case": True}}} for prefix in STRIPPED]
    preset: Json = {"append": {"header": {"key": ROUTE_HEADER, "value": "-"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
    return {
        "name": "reconciler.ingress",
        "typed_config": typed("extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", mutations=[*removed, preset]),
    }


def _access_log(place: Place) -> Json:
    return {
        "name": "json",
        "typed_config": typed(
            "extensions.access_loggers.file.v3.FileAccessLog",
            path=place.path(ACCESS_LOG),
            log_format={"json_format": LOG_FIELDS},
        ),
    }


def _before_the_gate() -> Json:
    """400 by Envoy itself: a request that has not been through the gate, which would have named its key."""
    unnamed: Json = {"header_filter": {"header": {"name": KEY_HEADER, "present_match": True, "invert_match": True}}}
    both: Json = {"and_filter": {"filters": [_by_status(400), unnamed]}}
    return {"filter": both, "body_format_override": {"json_format": MALFORMED}}


def _by_status(status: int) -> Json:
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": {"default_value": status, "runtime_key": "reconciler.none"}}}}


def _mapper(status: int, flags: tuple[str, ...], body: Json) -> Json:
    both: Json = {"and_filter": {"filters": [_by_status(status), {"response_flag_filter": {"flags": list(flags)}}]}}
    return {"filter": both if flags else _by_status(status), "body_format_override": {"json_format": body}}
