"""Autoscaling: which autoscaler, and what it follows.

KEDA asks Prometheus, by the queries of templates/kubernetes/queries.yaml and the engine's own. A HorizontalPodAutoscaler asks the cluster's
metrics adapter for an external metric by a name of ours, `reconciler_<metric>`, chosen by endpoint and workspace. Neither goes below what
is declared; KEDA alone can go to zero. The field `spec.replicas` of the workload is then the autoscaler's.
"""

from typing import Final

from reconciler.errors import CompileError
from reconciler.resource import Json, ResourceKey
from reconciler.targets.kubernetes.kinds import KINDS
from reconciler.targets.kubernetes.manifests.templating import template
from reconciler.targets.kubernetes.quantity import of_cores
from reconciler.targets.kubernetes.settings import KEDA, METRICS_ADAPTER, KubernetesSettings
from reconciler.targets.rendering import Autoscaling, Container, Workload

ACROSS: Final = frozenset({"latency-p95", "accelerator-utilization"})  # metrics that are no sum: more replicas do not divide them


def scaled_by(settings: KubernetesSettings) -> str:
    """The kind of the autoscaler's object."""
    return "ScaledObject" if settings.can(KEDA) else "HorizontalPodAutoscaler"


def check_autoscaling(container: Container, settings: KubernetesSettings) -> None:
    """Raises CompileError (E40, E38) for what nothing in the cluster can do."""
    scaling = container.autoscaling
    if scaling is None:
        return
    if not (settings.can(KEDA) or settings.can(METRICS_ADAPTER)):
        why, todo = "the built-in autoscaler knows CPU and memory only", "install KEDA and declare capability keda"
        raise CompileError(f"metric '{scaling.metric}' on {settings.name}", code="E40", why=why, todo=todo)
    if settings.can(KEDA) and not settings.prometheus_url:
        why, todo = "KEDA asks Prometheus for the metric", "set kubernetes.prometheusUrl of the cluster"
        raise CompileError(f"metric '{scaling.metric}' on {settings.name}, and no Prometheus", code="E40", why=why, todo=todo)
    if (scaling.minimum == 0 or scaling.idle is not None) and not settings.can(KEDA):
        why, todo = "a HorizontalPodAutoscaler keeps one replica at least", "set minReplicas: 1, or install KEDA"
        raise CompileError(f"scale to zero on {settings.name}", code="E38", why=why, todo=todo)


def scaling_values(
    workload: Workload, container: Container, settings: KubernetesSettings, workload_key: ResourceKey, endpoint: Json
) -> dict[str, Json]:
    """The templates' variables `workload` and `scaling`; the latter all None where nothing scales."""
    found: dict[str, Json] = {
        "workload": {"name": workload_key.name, "kind": workload_key.kind, "apiVersion": KINDS[workload_key.kind].api_version},
        "initialReplicas": None,
    }
    scaling = container.autoscaling
    if scaling is None or workload.paused:
        return found
    initial = scaling.initial or scaling.minimum
    return found | {"initialReplicas": str(initial), "scaling": _scaling(endpoint, container, settings, scaling)}


def _scaling(endpoint: Json, container: Container, settings: KubernetesSettings, scaling: Autoscaling) -> dict[str, Json]:
    across = scaling.metric in ACROSS
    return {
        "minimum": scaling.minimum,
        "maximum": scaling.maximum,
        "idle": scaling.idle,
        "idleReplicas": 0 if scaling.idle is not None and scaling.minimum > 0 else None,
        "upDelay": scaling.scale_up_delay or None,
        "downDelay": scaling.scale_down_delay,
        "prometheus": settings.prometheus_url or None,
        "query": _query(endpoint, container, scaling) if settings.can(KEDA) else None,
        "threshold": f"{scaling.target:.10g}",
        "metricType": "Value" if across else "AverageValue",
        "metricName": f"reconciler_{scaling.metric.replace('-', '_')}",
        "value": of_cores(scaling.target) if across else None,
        "averageValue": None if across else of_cores(scaling.target),
    }


def _query(endpoint: Json, container: Container, scaling: Autoscaling) -> Json:
    known = template("queries", container.engine)({"endpoint": endpoint})
    if scaling.metric not in known:
        why = f"there is no query for it; there are {', '.join(sorted(known))}"
        raise CompileError(f"metric '{scaling.metric}' with {container.engine}", code="E40", why=why, todo="use another metric")
    return known[scaling.metric]
