"""An endpoint as Kubernetes objects: a Deployment (or a LeaderWorkerSet, where one replica spans machines) and what belongs to it.

What an object says stands in templates/kubernetes/, an engine's differences in templates/<engine>/. Here is only which objects there are:

    always                     Namespace, ServiceAccount, Deployment | LeaderWorkerSet, Service, NetworkPolicy
    more than one replica      PodDisruptionBudget: a drain of nodes takes one replica at a time (a single one never blocks it)
    autoscaling                ScaledObject (keda) or HorizontalPodAutoscaler (metricsAdapter); not while paused
    metrics, Prometheus there  PodMonitor
    a model cache of ours      PersistentVolumeClaim, in each namespace that mounts it

A manifest is the object as it is applied, without its mark, which the writer adds. It holds only what the server stores as written
(facts/kubernetes.md 3), so that what was applied is never a difference. Everything has the endpoint's name, except for a LeaderWorkerSet:
its controller makes a headless Service of its own name, and ours is the one that people use.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from reconciler.desired import TargetSpec
from reconciler.errors import CompileError
from reconciler.resource import DriftMode, Json, Manifest, Resource, ResourceKey
from reconciler.targets.kubernetes.address import LONGEST_NAME, checked_namespace, key_of
from reconciler.targets.kubernetes.labels import INITIAL_REPLICAS
from reconciler.targets.kubernetes.manifests.overlays import has_overlay
from reconciler.targets.kubernetes.manifests.scaling import check_autoscaling, scaled_by, scaling_values
from reconciler.targets.kubernetes.manifests.templating import template
from reconciler.targets.kubernetes.manifests.values import values_of
from reconciler.targets.kubernetes.quantity import of_bytes
from reconciler.targets.kubernetes.settings import LWS, PROMETHEUS_OPERATOR, KubernetesSettings, ModelCache, settings_of
from reconciler.targets.rendering import Backend, Container, Meta, Rendered, Workload

LONGEST_SET: Final = 52  # of a LeaderWorkerSet's name: its StatefulSets put a hash behind it into a label
SET_SUFFIX: Final = "-lws"
RESERVED: Final = frozenset({"default"})  # a ServiceAccount of this name stands in every namespace and is the cluster's


def render_workload(workload: Workload, target: TargetSpec) -> Rendered:
    """The objects of an endpoint and the backend that routes send to. Raises CompileError for what Kubernetes cannot do here."""
    container = workload.container
    if container is None:
        raise CompileError(f"cluster {target.name}: there is no image to run", code="E8", where=target.source)
    return _Endpoint(workload, container, target).rendered()


def initial_replicas(manifest: Manifest) -> int | None:
    """What the writer starts an autoscaled workload with, when it makes it or wakes it from a pause: its manifest has no
    `spec.replicas`, and a field of nobody would be 1. None: the manifest says itself how many."""
    metadata = manifest.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    text = annotations.get(INITIAL_REPLICAS) if isinstance(annotations, Mapping) else None
    return int(text) if isinstance(text, str) and text.isdigit() else None


class _Endpoint:
    """One endpoint on its way into objects."""

    def __init__(self, workload: Workload, container: Container, target: TargetSpec) -> None:
        self.workload, self.container, self.target = workload, container, target
        self.settings = settings_of(target)
        self.namespace = checked_namespace(self.settings, workload.workspace)
        self.grouped = container.nodes > 1
        _check_names(workload, container, self.settings)
        check_autoscaling(container, self.settings)
        kind = "LeaderWorkerSet" if self.grouped else "Deployment"
        self.key = self._key(kind, f"{workload.name}{SET_SUFFIX}" if self.grouped else workload.name)
        values = values_of(workload, container, self.settings, self.namespace)
        self.values = values | scaling_values(workload, container, self.settings, self.key, values["endpoint"])

    def rendered(self) -> Rendered:
        shared = [self._namespace(), *(self._claim(cache) for cache in self._caches())]
        own = [self._resource(kind) for kind in self._kinds()]
        return Rendered((*shared, *own), Backend(self.key, ""))

    def _kinds(self) -> Iterator[str]:
        """Of the endpoint's own objects, in the order of writing."""
        yield from ("ServiceAccount", "Service", "NetworkPolicy", self.key.kind)
        if not self.workload.paused:
            scaling = self.container.autoscaling
            if (scaling.maximum if scaling else self.workload.replicas) > 1:
                yield "PodDisruptionBudget"
            if scaling:
                yield scaled_by(self.settings)
        if self.container.metrics_path and self.container.scrape and self.settings.can(PROMETHEUS_OPERATOR):
            yield "PodMonitor"

    def _resource(self, kind: str) -> Resource:
        key = self.key if kind == self.key.kind else self._key(kind, self.workload.name)
        manifest = template(kind.lower(), self.container.engine)(self.values)
        return _owned(key, manifest, self.workload.meta)

    def _key(self, kind: str, name: str) -> ResourceKey:
        return ResourceKey(self.target.name, kind, self.workload.workspace, name)

    def _namespace(self) -> Resource:
        """The same for every endpoint of the workspace, whichever is rendered last."""
        meta = Meta(f"Workspace/{self.workload.workspace}", self.target.source)
        key = key_of(self.settings, "Namespace", "", self.namespace)
        return _owned(key, template("namespace")(self.values), meta)

    def _caches(self) -> Iterator[ModelCache]:
        """Those of our own making that this endpoint mounts, each once."""
        mounted = dict.fromkeys(volume.source.get("claim", "") for volume in self.container.volumes if volume.kind == "pvc")
        known = self.settings.caches or {}
        yield from (known[claim] for claim in mounted if claim in known)

    def _claim(self, cache: ModelCache) -> Resource:
        values: dict[str, Json] = {
            "claim": cache.claim,
            "size": of_bytes(cache.size),
            "storageClass": cache.storage_class or None,
            "accessModes": list(cache.access_modes),
        }
        manifest = template("persistentvolumeclaim")(self.values | {"cache": values})
        return _owned(self._key("PersistentVolumeClaim", cache.claim), manifest, Meta(f"Cluster/{self.target.name}", self.target.source))


def _owned(key: ResourceKey, manifest: Manifest, meta: Meta) -> Resource:
    return Resource.make(key, manifest, owner=meta.owner, source=meta.source, protect=meta.protect, drift=DriftMode(meta.drift))


def _check_names(workload: Workload, container: Container, settings: KubernetesSettings) -> None:
    name, grouped = workload.name, container.nodes > 1
    if name in RESERVED or (settings.can(LWS) and name.endswith(SET_SUFFIX)):
        why = (
            "the cluster has a ServiceAccount of this name"
            if name in RESERVED
            else f"'{SET_SUFFIX}' ends the names of our LeaderWorkerSets"
        )
        raise CompileError(f"'{name}' is not a valid name on cluster {settings.name}", code="E2", why=why, todo="rename the endpoint")
    longest = LONGEST_SET - len(SET_SUFFIX) if grouped else LONGEST_NAME
    if len(name) > longest:
        what = f"'{name}' is too long ({len(name)} characters)"
        raise CompileError(what, code="E2", why=f"at most {longest} fit here, with what is put behind it", todo="shorten the name")
    if grouped and not settings.can(LWS):
        why, todo = "a Deployment cannot start pods as a group", "install LeaderWorkerSet and declare lws, or use Ray"
        raise CompileError(f"{container.nodes} nodes per replica on {settings.name}", code="E63", why=why, todo=todo)
    if grouped and not has_overlay("leaderworkerset", container.engine):
        why = "there is no template that tells its processes of each other"
        raise CompileError(
            f"{container.nodes} nodes per replica with {container.engine}", code="E63", why=why, todo="set parallelism.nodes: 1"
        )
