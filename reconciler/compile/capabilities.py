"""What a kind of cluster cannot do, as tables: field -> code, what, why, what to do. serving-checklist, sections 4.1 and 5.2.

A row speaks of a field that an endpoint *writes*: a default is never refused. So an endpoint moves between kinds of clusters by its
`cluster:` alone, as far as what it says can be kept on both sides, and what cannot be kept is told before any cluster is asked.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

from reconciler.compile.findings import Findings
from reconciler.schema.autoscaling import Autoscaling
from reconciler.schema.base import Declared, Later
from reconciler.schema.cluster import ClusterSpec
from reconciler.schema.endpoint import MAX_TIMEOUT_ON_RAY, EndpointSpec
from reconciler.schema.volumes import Volume

RAY: Final = "ray"
KUBERNETES: Final = "kubernetes"
ADDRESSES: Final = "addresses"  # capabilities that follow from other fields: a gateway holds the replica addresses,
PROMETHEUS: Final = "prometheus"  # and the cluster says where its Prometheus is

Refuses: TypeAlias = Callable[[object, frozenset[str]], bool]


def _always(_value: object, _has: frozenset[str]) -> bool:
    return True


def _other_than(harmless: object) -> Refuses:
    """The backend does this much anyway."""
    return lambda value, _has: value != harmless


def _fraction(value: object, _has: frozenset[str]) -> bool:
    return isinstance(value, float) and not value.is_integer()


def _beyond_ray(value: object, _has: frozenset[str]) -> bool:
    return isinstance(value, float) and value > MAX_TIMEOUT_ON_RAY


def _not_of_claims(value: object, _has: frozenset[str]) -> bool:
    return isinstance(value, tuple) and any(isinstance(volume, Volume) and not volume.pvc for volume in value)


def _without_lws(value: object, has: frozenset[str]) -> bool:
    return value != 1 and "lws" not in has


def _without_addresses(value: object, has: frozenset[str]) -> bool:
    return value != "random" and ADDRESSES not in has


def _without_scaler(_value: object, has: frozenset[str]) -> bool:
    return not has & {"keda", "metricsAdapter"}


def _without_prometheus(_value: object, has: frozenset[str]) -> bool:
    return "keda" in has and PROMETHEUS not in has


def _without_exporter(value: object, has: frozenset[str]) -> bool:
    return value == "accelerator-utilization" and "acceleratorExporter" not in has


def _sleeps(value: object) -> bool:
    return isinstance(value, Autoscaling) and value.idle is not None


def _without_keda(value: object, has: frozenset[str]) -> bool:
    return _sleeps(value) and "keda" not in has and not _without_scaler(value, has)


def _without_waker(value: object, has: frozenset[str]) -> bool:
    return _sleeps(value) and "activator" not in has


@dataclass(frozen=True, slots=True)
class Limit:
    """One row. pointer: below `spec`, `*` for each entry of a list. In the texts `{value}` and `{cluster}` are filled in."""

    pointer: str
    code: str
    what: str
    why: str
    todo: str
    refuses: Refuses = _always


def _later(pointer: str, what: str, todo: str = "", refuses: Refuses = _always) -> Limit:
    """Known, and not yet."""
    return Limit(pointer, *Later(what, todo=todo).said, refuses)


def _probe(field: str, todo: str = "remove it") -> Limit:
    why = "Serve has health_check_period_s, health_check_timeout_s and 3 failures in a row"
    return Limit(f"probes/{field.replace('.', '/')}", "E47", f"probes.{field} on Ray", why, todo)


def _whole(field: str) -> Limit:
    what, why, todo = f"{field}: {{value}}", "Kubernetes counts whole seconds", "write a whole number"
    return Limit(f"probes/liveness/{field}", "E39", what, why, todo, _fraction)


def _success(probe: str) -> Limit:
    what, why, todo = "successThreshold {value}", "the API server refuses it", "remove it"
    return Limit(f"probes/{probe}/successThreshold", "E48", what, why, todo, _other_than(1))


ON_RAY: Final = (
    _later("resources/accelerator/partition", "a partition of an accelerator", refuses=_other_than("")),
    Limit("resources/sharedMemory", "E46", "sharedMemory on Ray", "/dev/shm belongs to the host", "size it on the nodes"),
    _later("resources/ephemeralStorage", "ephemeral storage"),
    _later("parallelism/nodes", "replicas over several nodes", refuses=_other_than(1)),
    _later("autoscaling", "autoscaling", "set replicas"),
    Limit(
        "autoscaling/metric/type",
        "E41",
        "metric '{value}' on Ray",
        "Serve scales on requests in flight per replica",
        "use metric.type: concurrency",
        _other_than("concurrency"),
    ),
    Limit("routing/timeoutSeconds", "E39", "timeoutSeconds: {value}", "above 0, and at most 3600 on Ray", "3600", _beyond_ray),
    _probe("startup.initialDelaySeconds"),
    _probe("startup.periodSeconds"),
    _probe("startup.timeoutSeconds"),
    _probe("startup.failureThreshold", "set rollout.timeoutSeconds"),
    _probe("startup.successThreshold"),
    _probe("readiness"),
    _probe("liveness.path"),
    _probe("liveness.initialDelaySeconds"),
    _probe("liveness.failureThreshold"),
    _probe("liveness.successThreshold"),
    Limit(
        "probes/requireApproval",
        "E49",
        "approval on Ray",
        "Serve has no gate before ready",
        "use Kubernetes",
        _other_than(False),
    ),
    Limit(
        "volumes/*/pvc",
        "E43",
        "PVC '{value}' on Ray",
        "Ray has no volumes",
        "mount the path on every node and use a file-system registry",
        _other_than(""),
    ),
    _later("volumes", "volumes", refuses=_not_of_claims),
    _later("placement/topologyKey", "a topology key", refuses=_other_than("kubernetes.io/hostname")),
    _later("placement/priorityClass", "a priority class", refuses=_other_than("")),
    _later("observability", "observability settings"),
)
ON_KUBERNETES: Final = (
    Limit(
        "resources/accelerator/count",
        "E6",
        "{value} accelerators on Kubernetes",
        "extended resources are whole numbers",
        "use accelerator.partition (MIG), a whole number, or a Ray cluster",
        _fraction,
    ),
    Limit(
        "parallelism/nodes",
        "E63",
        "{value} nodes per replica on {cluster}",
        "a Deployment cannot start pods as a group",
        "install LeaderWorkerSet and declare capability lws, or use one node",
        _without_lws,
    ),
    Limit(
        "routing/strategy",
        "E13",
        "strategy '{value}' on a plain Service",
        "a ClusterIP Service balances connections, not requests",
        "declare an Envoy gateway for {cluster}, or use strategy random",
        _without_addresses,
    ),
    Limit(
        "autoscaling/metric/type",
        "E40",
        "metric '{value}' on {cluster}",
        "the built-in autoscaler knows CPU and memory only",
        "install KEDA and declare capability keda",
        _without_scaler,
    ),
    Limit(
        "autoscaling/metric/type",
        "E40",
        "metric '{value}' on {cluster}",
        "KEDA asks Prometheus for it, and nothing says where that is",
        "set kubernetes.prometheusUrl of the cluster",
        _without_prometheus,
    ),
    Limit(
        "autoscaling/metric/type",
        "E42",
        "metric accelerator-utilization on {cluster}",
        "no DCGM, NPU or Furiosa exporter is declared",
        "install one and declare capability acceleratorExporter, or use another metric",
        _without_exporter,
    ),
    Limit(
        "autoscaling",
        "E40",
        "scale to zero on {cluster}",
        "a HorizontalPodAutoscaler keeps one replica",
        "install KEDA and declare capability keda, or set minReplicas: 1 without scaleToZero",
        _without_keda,
    ),
    Limit(
        "autoscaling",
        "E38",
        "scale to zero on {cluster}",
        "no pod is left to receive the request that should wake it",
        "declare capability activator, set minReplicas: 1, or allow E38 and wake it by commit",
        _without_waker,
    ),
    _whole("periodSeconds"),
    _whole("timeoutSeconds"),
    _success("startup"),
    _success("liveness"),
    _later("probes/readiness/successThreshold", "a success threshold of readiness", refuses=_other_than(1)),
)
LIMITS: Final[Mapping[str, tuple[Limit, ...]]] = {RAY: ON_RAY, KUBERNETES: ON_KUBERNETES}


def check_limits(findings: Findings, spec: EndpointSpec, cluster: ClusterSpec, name: str, gateway: str) -> None:
    """What this endpoint writes and its cluster cannot do. name: of the cluster; gateway: the one that routes to it, or ""."""
    url = cluster.kubernetes.prometheus_url if cluster.kubernetes else ""
    has = frozenset(cluster.capabilities) | ({ADDRESSES} if gateway else set()) | ({PROMETHEUS} if url else set())
    for limit in LIMITS[cluster.type]:
        for pointer, value in _written(spec, _steps(limit.pointer), "/spec"):
            if value is not None and limit.refuses(value, has):
                words = {"value": f"{value:g}" if isinstance(value, float) else value, "cluster": name}
                findings.error(limit.code, pointer, limit.what.format(**words), limit.why, limit.todo.format(**words))


@cache
def _steps(pointer: str) -> tuple[tuple[str, str], ...]:
    """Each step in the words of YAML and in ours: `sharedMemory`, `shared_memory`."""
    return tuple((part, "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in part)) for part in pointer.split("/"))


def _written(value: object, steps: tuple[tuple[str, str], ...], at: str) -> Iterator[tuple[str, object]]:
    """Where a field is written below `value`, and what stands there."""
    if not steps:
        yield at, value
        return
    (word, name), rest = steps[0], steps[1:]
    if word == "*" and isinstance(value, tuple):
        for index, entry in enumerate(value):
            yield from _written(entry, rest, f"{at}/{index}")
    elif isinstance(value, Declared) and name in value.model_fields_set:
        yield from _written(getattr(value, name), rest, f"{at}/{word}")
