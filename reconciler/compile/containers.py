"""What an endpoint on Kubernetes is beside a command: image, ports, probes, volumes, rollout, autoscaling. Names are checked here too.

Nothing is added that the renderer knows better: no environment, no shared memory without a size, no time of a pre-stop.
"""

from math import ceil
from typing import Final

from reconciler.compile.engines import Version
from reconciler.compile.findings import Findings
from reconciler.compile.images import image_of
from reconciler.compile.source import Declaration
from reconciler.schema.cluster import ClusterAccelerator, ClusterSpec
from reconciler.schema.endpoint import EndpointSpec
from reconciler.schema.image_registry import ImageRegistrySpec
from reconciler.schema.volumes import Volume as VolumeSpec
from reconciler.targets.rendering import Accelerator, Autoscaling, Container, Probe, Volume

HEALTH: Final = "/health"
LIVENESS_TIMEOUT: Final = 5.0  # seconds; Ray's own default is longer
MIG: Final = "nvidia.com/mig-{}"
SHARED: Final = ".shared"  # a key of time slicing: the device plug-in hands out one at a time
LONGEST: Final = 63
SYSTEM: Final = ("kube-", "openshift-")
# Names that every namespace has something under: the API server's Service, and the ServiceAccount of pods that name none.
TAKEN: Final = frozenset({"kubernetes", "default"})


def container_of(
    findings: Findings,
    spec: EndpointSpec,
    version: Version,
    accelerator: ClusterAccelerator | None,
    mirror: ImageRegistrySpec | None,
    model: Volume | None,
) -> Container:
    """The container, worth something only if nothing was found wrong (E8, E39). model: the volume of the weights."""
    paths, ports, rollout = version.spec.paths, version.spec.ports, spec.rollout
    _check_shared_memory(findings, spec)
    moving = rollout.strategy == "RollingUpdate"
    return Container(
        engine=version.engine.name,
        version=version.spec.version,
        image=image_of(findings, version, accelerator, mirror),
        http_port=ports.http,
        startup=_startup(spec, version),
        readiness=_readiness(spec, version),
        liveness=_liveness(spec, version),
        management_port=ports.management,
        metrics_port=ports.metrics,
        metrics_path=paths.metrics,
        scrape=spec.observability.metrics.scrape,
        pull_secret=mirror.credentials_ref.name if mirror and mirror.credentials_ref else "",
        volumes=(*((model,) if model else ()), *(_volume(volume) for volume in spec.volumes)),
        shared_memory=spec.resources.shared_memory or 0,
        ephemeral_storage=spec.resources.ephemeral_storage or 0,
        max_surge=rollout.max_surge if moving else 0,  # both 0 is Recreate: a rolling update with that is refused (E39)
        max_unavailable=rollout.max_unavailable if moving else 0,
        topology_key=spec.placement.topology_key,
        priority_class=spec.placement.priority_class,
        approval=spec.probes.require_approval,
        nodes=spec.parallelism.nodes,
        request_timeout=spec.routing.timeout_seconds,
        autoscaling=_autoscaling(spec),
    )


def container_accelerator(findings: Findings, spec: EndpointSpec, offered: ClusterAccelerator) -> Accelerator | None:
    """By the key that the API server counts; a partition has one of its own (E5, E66)."""
    wanted = spec.resources.accelerator
    if wanted is None:
        return None
    if wanted.partition and (offered.sharing != "mig" or offered.vendor != "nvidia"):
        what = f"partition '{wanted.partition}' of accelerator '{offered.type}' is not offered"
        why = f"the cluster declares it with vendor '{offered.vendor}' and sharing: {offered.sharing}"
        todo = "use whole ones, or declare vendor: nvidia and sharing: mig in the cluster's accelerators"
        findings.error("E5", "/spec/resources/accelerator/partition", what, why, todo)
    key = MIG.format(wanted.partition) if wanted.partition else offered.resource_key
    if key.endswith(SHARED) and wanted.count > 1:
        why = "the plug-in refuses more than one (failRequestsGreaterThanOne)"
        findings.error("E66", "/spec/resources/accelerator/count", f"{wanted.count:g} shared devices", why, "use 1")
    tolerations = tuple(toleration.as_text() for toleration in offered.tolerations)
    return Accelerator(offered.type, key, wanted.count, dict(offered.node_selector), offered.vendor, tolerations)


def check_names(findings: Findings, cluster: Declaration[ClusterSpec]) -> None:
    """Endpoint and namespace must be free, and have room (E2)."""
    endpoint, settings = findings.declaration, cluster.spec.kubernetes
    assert settings is not None  # of a cluster of this type
    namespace = f"{settings.namespace_prefix}{endpoint.workspace}"
    if endpoint.name in TAKEN:
        why = "every namespace has something of that name already"
        findings.error("E2", "/metadata/name", f"'{endpoint.name}' is taken on Kubernetes", why, f"try '{endpoint.name}-model'")
    if len(namespace) > LONGEST:
        why = f"a namespace has at most {LONGEST} characters, and this one has {len(namespace)}"
        todo = "shorten the workspace's name, or kubernetes.namespacePrefix of the cluster"
        findings.error("E2", "/metadata/workspace", f"'{namespace}' is too long for a namespace", why, todo)
    if namespace == settings.namespace or namespace.startswith(SYSTEM):
        whose = "the reconciler's own" if namespace == settings.namespace else "the cluster's own"
        todo = "use another workspace, or set kubernetes.namespacePrefix of the cluster"
        findings.error("E2", "/metadata/workspace", f"namespace '{namespace}' on {cluster.name}", f"it is {whose}", todo)


def _check_shared_memory(findings: Findings, spec: EndpointSpec) -> None:
    size, memory = spec.resources.shared_memory, spec.resources.memory
    if size is not None and size >= memory:
        what = f"sharedMemory: {size} bytes of a memory of {memory}"
        why = "/dev/shm counts against the memory of the container; nothing would be left for the engine"
        findings.error("E39", "/spec/resources/sharedMemory", what, why, "make it smaller, or memory larger")


def _startup(spec: EndpointSpec, version: Version) -> Probe:
    probe = spec.probes.startup
    path = probe.path or version.spec.paths.startup or HEALTH
    failures = probe.failure_threshold or max(1, ceil(spec.rollout.timeout_seconds / probe.period_seconds))
    return Probe(path, probe.initial_delay_seconds, probe.period_seconds, probe.timeout_seconds, failures)


def _readiness(spec: EndpointSpec, version: Version) -> Probe:
    probe = spec.probes.readiness
    path = probe.path or version.spec.paths.readiness or HEALTH
    return Probe(path, probe.initial_delay_seconds, probe.period_seconds, probe.timeout_seconds, probe.failure_threshold)


def _liveness(spec: EndpointSpec, version: Version) -> Probe:
    probe = spec.probes.liveness
    path = probe.path or version.spec.paths.liveness or HEALTH
    timeout = LIVENESS_TIMEOUT if probe.timeout_seconds is None else probe.timeout_seconds
    return Probe(path, probe.initial_delay_seconds, int(probe.period_seconds), int(timeout), probe.failure_threshold)


def _volume(volume: VolumeSpec) -> Volume:
    kind, source = "hostPath", {"path": volume.host_path}
    if volume.pvc:
        kind, source = "pvc", {"claim": volume.pvc}
    elif volume.nfs is not None:
        kind, source = "nfs", {"server": volume.nfs.server, "path": volume.nfs.path}
    return Volume(volume.name, kind, source, volume.mount_path, volume.sub_path, volume.read_only)


def _autoscaling(spec: EndpointSpec) -> Autoscaling | None:
    wanted = spec.autoscaling
    if wanted is None:
        return None
    return Autoscaling(
        minimum=wanted.min_replicas,
        maximum=wanted.max_replicas,
        initial=max(1, wanted.min_replicas) if wanted.initial_replicas is None else wanted.initial_replicas,
        metric=wanted.metric.type,
        target=wanted.metric.value,
        scale_up_delay=wanted.scale_up_delay_seconds,
        scale_down_delay=wanted.scale_down_delay_seconds,
        idle=wanted.idle,
    )
