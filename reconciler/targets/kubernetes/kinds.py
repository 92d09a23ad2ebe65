"""The kinds of Kubernetes objects that we write or read, as one literal table; and the names under which we write.

A kind is its API version, its name in URLs, and whether it lives in a namespace. Only these are ever asked for: there is no discovery, so
a cluster's own kinds cost nothing and an answer of discovery cannot go stale.
"""

from dataclasses import dataclass
from typing import Final

MANAGER: Final = "reconciler"  # load-bearing: field manager of everything we apply; another name orphans every field that we own
APPLYSET_MANAGER: Final = "reconciler-applyset"  # of the ApplySet's parent
HANDOVER_MANAGER: Final = "reconciler-handover"  # holds spec.replicas until an autoscaler writes it (facts: a field of nobody is reset)


@dataclass(frozen=True, slots=True)
class Kind:
    """plural: its name in URLs. custom: of a CRD, which a cluster may lack. written: False for what is only read."""

    api_version: str
    plural: str
    namespaced: bool = True
    custom: bool = False
    written: bool = True

    @property
    def group(self) -> str:
        """`apps`; "" for the core group."""
        group, slash, _ = self.api_version.partition("/")
        return group if slash else ""

    @property
    def prefix(self) -> str:
        """`/apis/apps/v1`, `/api/v1`."""
        return f"/{'apis' if self.group else 'api'}/{self.api_version}"


KINDS: Final[dict[str, Kind]] = {
    "Namespace": Kind("v1", "namespaces", namespaced=False),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "ConfigMap": Kind("v1", "configmaps"),
    "PersistentVolumeClaim": Kind("v1", "persistentvolumeclaims"),
    "Service": Kind("v1", "services"),
    "NetworkPolicy": Kind("networking.k8s.io/v1", "networkpolicies"),
    "Deployment": Kind("apps/v1", "deployments"),
    "LeaderWorkerSet": Kind("leaderworkerset.x-k8s.io/v1", "leaderworkersets", custom=True),
    "PodDisruptionBudget": Kind("policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": Kind("autoscaling/v2", "horizontalpodautoscalers"),
    "ScaledObject": Kind("keda.sh/v1alpha1", "scaledobjects", custom=True),
    "PodMonitor": Kind("monitoring.coreos.com/v1", "podmonitors", custom=True),
    "Pod": Kind("v1", "pods", written=False),
    "EndpointSlice": Kind("discovery.k8s.io/v1", "endpointslices", written=False),
    "Event": Kind("v1", "events", written=False),
}
WRITTEN: Final = tuple(sorted(name for name, kind in KINDS.items() if kind.written))


def path_of(kind: str, namespace: str = "", name: str = "") -> str:
    """The URL path of an object, of a namespace's list (no name), or of the cluster's list (neither). Raises KeyError for another kind."""
    known = KINDS[kind]
    inside = f"/namespaces/{namespace}" if namespace and known.namespaced else ""
    return f"{known.prefix}{inside}/{known.plural}" + (f"/{name}" if name else "")
