"""A Kubernetes cluster's settings, out of the plain data of a TargetSpec.

Its keys, as compile writes them: `kubeconfigRef` {name, key} or `inCluster`; `context`; `namespacePrefix`; `namespace`; `capabilities`, a
list of words; `prometheusUrl`; `modelCaches`, a list of {name, claimName, size, storageClass, accessModes}. What is missing is empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.desired import TargetSpec
from reconciler.resource import Json

HOME: Final = "reconciler-system"  # where the reconciler keeps what it owns, unless the cluster says otherwise
KEDA: Final = "keda"
LWS: Final = "lws"
METRICS_ADAPTER: Final = "metricsAdapter"
PROMETHEUS_OPERATOR: Final = "prometheusOperator"


@dataclass(frozen=True, slots=True)
class ModelCache:
    """A claim for models that we make in each namespace which mounts it. size: bytes; storage_class "" = the cluster's default."""

    claim: str
    size: int
    storage_class: str = ""
    access_modes: tuple[str, ...] = ("ReadWriteMany",)


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """kubeconfig: (name, key) of the entry in our own store, None for the cluster that we run in. prefix: of the workspaces' namespaces;
    namespace: of our own objects. capabilities: what is installed. prometheus_url: where an autoscaler in the cluster asks for metrics,
    "" = nowhere. caches: by claim."""

    name: str
    kubeconfig: tuple[str, str] | None = None
    in_cluster: bool = False
    context: str = ""
    prefix: str = ""
    namespace: str = HOME
    capabilities: frozenset[str] = frozenset()
    prometheus_url: str = ""
    caches: Mapping[str, ModelCache] | None = None

    def can(self, capability: str) -> bool:
        return capability in self.capabilities


def settings_of(spec: TargetSpec) -> KubernetesSettings:
    """Total: compile has checked what a person wrote, and a record of an older version may lack keys."""
    given = spec.settings
    words = given.get("capabilities")
    return KubernetesSettings(
        name=spec.name,
        kubeconfig=_reference(given.get("kubeconfigRef")),
        in_cluster=given.get("inCluster") is True,
        context=_text(given, "context"),
        prefix=_text(given, "namespacePrefix"),
        namespace=_text(given, "namespace") or HOME,
        capabilities=frozenset(word for word in words if isinstance(word, str)) if isinstance(words, list | tuple) else frozenset(),
        prometheus_url=_text(given, "prometheusUrl"),
        caches=_caches(given.get("modelCaches")),
    )


def _text(given: Mapping[str, Json], name: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) else ""


def _reference(given: Json) -> tuple[str, str] | None:
    return (_text(given, "name"), _text(given, "key")) if isinstance(given, Mapping) else None


def _caches(given: Json) -> Mapping[str, ModelCache]:
    """Those with a claim and a size: a claim without one is somebody else's, and only mounted."""
    entries = given if isinstance(given, list | tuple) else ()
    return {cache.claim: cache for entry in entries if isinstance(entry, Mapping) and (cache := _cache(entry))}


def _cache(entry: Mapping[str, Json]) -> ModelCache | None:
    claim, size, modes = _text(entry, "claimName"), entry.get("size"), entry.get("accessModes")
    if not claim or not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        return None
    named = tuple(mode for mode in modes if isinstance(mode, str)) if isinstance(modes, list | tuple) else ()
    return ModelCache(claim, size, _text(entry, "storageClass"), named or ("ReadWriteMany",))
