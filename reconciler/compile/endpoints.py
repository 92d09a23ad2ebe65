"""An endpoint with every reference resolved and every default filled in: a Workload for its cluster, a Route for its gateway.

Nothing is raised: what is wrong is collected in the endpoint's findings, and an endpoint with an error compiles to nothing at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.compile.capabilities import KUBERNETES, check_limits
from reconciler.compile.commands import Start, command_of
from reconciler.compile.containers import check_names, container_accelerator, container_of
from reconciler.compile.engines import Engines, Version
from reconciler.compile.environment import check_env
from reconciler.compile.findings import Findings, listed
from reconciler.compile.models import Weights, weights_of
from reconciler.compile.names import check_served_name, model_names
from reconciler.compile.references import Declared
from reconciler.compile.source import Declaration
from reconciler.compile.targets import Targets
from reconciler.desired import Owner
from reconciler.resource import DriftMode
from reconciler.schema.cluster import ClusterAccelerator, ClusterSpec
from reconciler.schema.endpoint import EndpointSpec
from reconciler.schema.gateway import GatewaySpec
from reconciler.schema.image_registry import ImageRegistrySpec
from reconciler.schema.metadata import DRIFT
from reconciler.schema.model_registry import ModelRegistrySpec
from reconciler.targets.rendering import Accelerator, Container, Meta, Route, SecretEnv, Workload

# What a gateway exposes of an engine, by API family and task: the service plane, never what manages the engine.
PATHS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "openai": {
        "text-generation": ("GET /v1/models", "POST /v1/chat/completions", "POST /v1/completions"),
        "text-embedding": ("GET /v1/models", "POST /v1/embeddings"),
        "text-rerank": ("GET /v1/models", "POST /v1/rerank"),
    }
}
OF_THE_GATEWAY: Final = frozenset({"concurrency", "qpm", "rps", "latency-p95"})  # metrics that are counted where requests come in
LEAST_GRACE: Final = 330.0  # seconds: only a time-out above 300 changes it, and with that restarts anything
GRACE_BEYOND_REQUEST: Final = 30.0
HEALTH_TIMEOUT: Final = 30.0  # seconds: of a health check on Ray


@dataclass(frozen=True, slots=True)
class Bound:
    """What an endpoint refers to, found and whole."""

    cluster: Declaration[ClusterSpec]
    version: Version
    registry: Declaration[ModelRegistrySpec]
    gateway: str  # "": no gateway lists the cluster
    mirror: Declaration[ImageRegistrySpec] | None


@dataclass(frozen=True, slots=True)
class Compiled:
    """route: without its backends, which are known once the workload is rendered. cluster, gateway: targets; gateway may be ""."""

    endpoint: Declaration[EndpointSpec]
    cluster: str
    gateway: str
    workload: Workload
    route: Route
    owner: Owner


def compile_endpoint(
    findings: Findings, endpoint: Declaration[EndpointSpec], declared: Declared, engines: Engines, targets: Targets, drift: DriftMode
) -> Compiled | None:
    """None where something is wrong with it, or with what it refers to."""
    bound = _bind(findings, endpoint, declared, engines, targets)
    if bound is None:
        return None
    _check_task(findings, endpoint.spec, bound.version)
    _check_metric(findings, endpoint.spec, bound.cluster)
    meta = Meta(endpoint.id, str(endpoint.place), endpoint.spec.protect, endpoint.annotations.get(DRIFT, drift.value))
    served_name = model_names(endpoint)[-1]
    workload = _workload(findings, endpoint, bound, meta, served_name)
    if findings.broken:
        return None
    return Compiled(
        endpoint, bound.cluster.name, bound.gateway, workload, _route(endpoint, meta, served_name), _owner(endpoint, bound, targets)
    )


def _bind(findings: Findings, endpoint: Declaration[EndpointSpec], declared: Declared, engines: Engines, targets: Targets) -> Bound | None:
    """Everything is looked up, so that one run names every reference that is wrong."""
    spec = endpoint.spec
    declared.workspace(findings)
    check_served_name(findings, spec)
    cluster = declared.refer(findings, ClusterSpec, "Cluster", spec.cluster, "/spec/cluster")
    version = engines.resolve(findings, spec)
    registry = _registry(findings, endpoint, declared)
    gateway = _gateway(findings, spec, declared, targets)
    mirror = _mirror(findings, endpoint, cluster, declared) if cluster else None
    if findings.broken or cluster is None or version is None or registry is None:
        return None
    return Bound(cluster, version, registry, gateway, mirror)


def _registry(findings: Findings, endpoint: Declaration[EndpointSpec], declared: Declared) -> Declaration[ModelRegistrySpec] | None:
    """The workspace's own registry of that name comes before the global one."""
    name = endpoint.spec.model.registry
    known = declared.names("ModelRegistry")
    full = f"{endpoint.workspace}/{name}"
    if full in known or name in known:
        return declared.refer(findings, ModelRegistrySpec, "ModelRegistry", full if full in known else name, "/spec/model/registry")
    seen = {other for other in known if "/" not in other} | {
        other.split("/")[1] for other in known if other.startswith(f"{endpoint.workspace}/")
    }
    todo = "declare the ModelRegistry, or name one of these"
    findings.error("E3", "/spec/model/registry", f"model registry '{name}' does not exist", f"known registries: {listed(seen)}", todo)
    return None


def _mirror(
    findings: Findings, endpoint: Declaration[EndpointSpec], cluster: Declaration[ClusterSpec], declared: Declared
) -> Declaration[ImageRegistrySpec] | None:
    """As with models: the workspace's own comes before the global one."""
    name = cluster.spec.image_registry
    if name is None:
        return None
    own = f"{endpoint.workspace}/{name}"
    wanted = own if own in declared.names("ImageRegistry") else name
    return declared.refer(findings, ImageRegistrySpec, "ImageRegistry", wanted, "/spec/cluster")


def _gateway(findings: Findings, spec: EndpointSpec, declared: Declared, targets: Targets) -> str:
    if spec.gateway:
        gateway = declared.refer(findings, GatewaySpec, "Gateway", spec.gateway, "/spec/gateway")
        if gateway is not None and spec.cluster not in gateway.spec.clusters:
            what = f"gateway '{spec.gateway}' does not route to cluster '{spec.cluster}'"
            why = f"it routes to {listed(gateway.spec.clusters)}: only of these it knows the replica addresses"
            findings.error("E67", "/spec/gateway", what, why, f"add {spec.cluster} to spec.clusters of gateway {spec.gateway}")
        return spec.gateway
    unknown = {name for name in declared.names("Gateway") if name not in targets.gateways}
    known = {name for name, target in targets.gateways.items() if spec.cluster in target.binds}
    candidates = sorted(known or unknown)  # a new gateway that is broken disturbs nobody who has one
    if len(candidates) > 1:
        what = f"no gateway is named, and {listed(candidates)} may route to cluster '{spec.cluster}'"
        findings.error("E67", "/spec", what, "an endpoint is routed to by one gateway", "set spec.gateway")
    elif candidates:
        declared.refer(findings, GatewaySpec, "Gateway", candidates[0], "/spec")
    return candidates[0] if candidates else ""


def _check_task(findings: Findings, spec: EndpointSpec, version: Version) -> None:
    task, tasks = spec.model.task, version.spec.tasks
    if task not in tasks:
        what = f"task '{task}' is not served by {version.title}"
        findings.error("E9", "/spec/model/task", what, f"it serves {listed(tasks)}", "change model.task or the engine")
    if "openai" not in version.spec.apis:
        what = f"API 'openai' on {findings.declaration.workspace}/{findings.declaration.name}"
        findings.error("E28", "/spec/engine/name", what, f"{version.title} offers {listed(version.spec.apis)}", "change the engine")
    if not version.spec.paths.metrics:
        findings.warn("W3", "/spec/engine", "no engine metrics for this endpoint: autoscaling and the monitor use the gateway's only")


def _check_metric(findings: Findings, spec: EndpointSpec, cluster: Declaration[ClusterSpec]) -> None:
    metric = spec.autoscaling.metric.type if spec.autoscaling else ""
    if cluster.spec.type == "kubernetes" and metric in OF_THE_GATEWAY:
        what, why = f"our Envoy does not export '{metric}' yet", "KEDA takes a missing value for 0 and goes to minReplicas, under load too"
        todo = "use queue-depth, or have another exporter write the gateway_requests metrics of templates/kubernetes/queries.yaml"
        findings.warn("W15", "/spec/autoscaling/metric/type", what, why, todo)


def _workload(findings: Findings, endpoint: Declaration[EndpointSpec], bound: Bound, meta: Meta, served_name: str) -> Workload:
    spec, cluster = endpoint.spec, bound.cluster
    grace = max(LEAST_GRACE, spec.routing.timeout_seconds + GRACE_BEYOND_REQUEST)
    check_limits(findings, spec, cluster.spec, cluster.name, bound.gateway)
    check_env(findings, spec, bound.version, cluster)
    weights = weights_of(findings, spec, bound.registry, cluster, bound.version)
    offered = _offered(findings, spec, bound)
    start = Start(cluster.spec.type, weights.path, served_name, grace)
    return Workload(
        meta=meta,
        workspace=endpoint.workspace,
        name=endpoint.name,
        command=command_of(findings, spec, bound.version, start),
        env={variable.name: variable.value for variable in spec.env if variable.value is not None},
        secrets=tuple(SecretEnv(v.name, v.secret_ref.name, v.secret_ref.key) for v in spec.env if v.secret_ref is not None),
        replicas=spec.replicas if spec.autoscaling is None else max(1, spec.autoscaling.min_replicas),
        cpu=spec.resources.cpu,
        memory=spec.resources.memory,
        accelerator=_accelerator(findings, spec, bound, offered),
        health_path=spec.probes.startup.path or bound.version.spec.paths.startup or "/health",
        startup_timeout=spec.rollout.timeout_seconds,
        health_period=spec.probes.liveness.period_seconds,
        health_timeout=spec.probes.liveness.timeout_seconds or HEALTH_TIMEOUT,
        grace=grace,
        surge=spec.rollout.strategy == "RollingUpdate" and spec.rollout.max_surge > 0,
        spread_required=spec.placement.spread == "Required",
        restarted_at=spec.restarted_at,
        paused=spec.paused,
        container=_container(findings, spec, bound, offered, weights),
    )


def _offered(findings: Findings, spec: EndpointSpec, bound: Bound) -> ClusterAccelerator | None:
    """What the cluster declares of the wanted type of accelerator."""
    wanted = spec.resources.accelerator
    if wanted is None:
        return None
    offered = {found.type: found for found in bound.cluster.spec.accelerators}
    if wanted.type not in offered:
        what = f"accelerator '{wanted.type}' is not offered by cluster {bound.cluster.name}"
        todo = "choose one of these, or add it to the cluster's accelerators"
        findings.error("E5", "/spec/resources/accelerator/type", what, f"it offers {listed(offered)}", todo)
    elif not {"cpu", "memory"} & spec.resources.model_fields_set:
        findings.warn("W8", "/spec/resources", f"0.5 CPU and 1Gi will not start {bound.version.engine.name}; typical: 4 CPU, 32Gi")
    return offered.get(wanted.type)


def _accelerator(findings: Findings, spec: EndpointSpec, bound: Bound, offered: ClusterAccelerator | None) -> Accelerator | None:
    wanted = spec.resources.accelerator
    if wanted is None or offered is None:
        return None
    if bound.cluster.spec.type == KUBERNETES:
        return container_accelerator(findings, spec, offered)
    return Accelerator(offered.type, offered.resource_key, wanted.count, dict(offered.node_selector), offered.vendor)


def _container(
    findings: Findings, spec: EndpointSpec, bound: Bound, offered: ClusterAccelerator | None, weights: Weights
) -> Container | None:
    """None on Ray, whose replicas are processes, and where an accelerator is wanted that is not there."""
    if bound.cluster.spec.type != KUBERNETES or (spec.resources.accelerator is not None and offered is None):
        return None
    check_names(findings, bound.cluster)
    return container_of(findings, spec, bound.version, offered, bound.mirror.spec if bound.mirror else None, weights.volume)


def _route(endpoint: Declaration[EndpointSpec], meta: Meta, served_name: str) -> Route:
    spec = endpoint.spec
    return Route(
        meta=meta,
        workspace=endpoint.workspace,
        name=endpoint.name,
        models=model_names(endpoint),
        served_name=served_name,
        paths=PATHS["openai"][spec.model.task],
        backends=(),
        strategy=spec.routing.strategy,
        timeout=spec.routing.timeout_seconds,
        paused=spec.paused,
    )


def _owner(endpoint: Declaration[EndpointSpec], bound: Bound, targets: Targets) -> Owner:
    spec = endpoint.spec
    target = targets.gateways.get(bound.gateway)
    base = str(target.settings.get("baseUrl", "")).rstrip("/") if target else ""
    versions = {"engine": bound.version.title}
    if spec.model.version:
        versions["model"] = spec.model.version
    return Owner(
        id=endpoint.id,
        source=str(endpoint.place),
        asleep=spec.paused,
        url=f"{base}/{endpoint.workspace}/{endpoint.name}/v1" if base else "",
        targets=tuple(name for name in (bound.cluster.name, bound.gateway) if name),
        rollout_timeout=spec.rollout.timeout_seconds,
        versions=versions,
    )
