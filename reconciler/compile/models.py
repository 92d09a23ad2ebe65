"""Where the weights of a model lie, as the engine sees them, and what must be mounted for that.

On Ray, on every node:

    <registry path>/<model.name>[/<model.version>][/<model.file>]

An absolute registry path stays; a relative one is below the cluster's `modelRoot`. On `ray: {local: true}` without a model root it begins
with the placeholder `{models}`, which each replica replaces by the model root of its box. So whoever has another GGUF puts it into a
folder below the model root and names folder and file.

On Kubernetes the registry is a volume, mounted read-only at /models: a folder of the node, the cluster's first model cache (then the
registry's relative path comes below /models), an NFS server, or, of an OCI registry, the model's image itself, with its file at the root.

Nothing leads out of the registry, and a file is one exact name: what it matched would otherwise depend on the node.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.compile.capabilities import RAY
from reconciler.compile.engines import MODELS, Version
from reconciler.compile.findings import Findings
from reconciler.compile.source import Declaration
from reconciler.schema.cluster import ClusterSpec
from reconciler.schema.endpoint import EndpointSpec
from reconciler.schema.endpoint import Model as ModelSpec
from reconciler.schema.kubernetes import ModelCache
from reconciler.schema.model_registry import ModelRegistrySpec
from reconciler.schema.text import REGISTRY_PATH
from reconciler.targets.rendering import Volume

PATTERN: Final = frozenset("*?[")
MOUNT: Final = "/models"  # where a container finds its registry
VOLUME: Final = "model"
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|sha256:[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Weights:
    """path: as the engine sees it. volume: what a container mounts for it; None where replicas are processes on the nodes."""

    path: str
    volume: Volume | None = None


def weights_of(
    findings: Findings,
    spec: EndpointSpec,
    registry: Declaration[ModelRegistrySpec],
    cluster: Declaration[ClusterSpec],
    version: Version,
) -> Weights:
    """Complete only if nothing was found wrong (E3, E7, E34, E45, E78)."""
    model = spec.model
    _check_names(findings, model, version)
    if cluster.spec.type == RAY:
        return Weights(_joined(_folder_on_ray(findings, registry, cluster), model.name, model.version, model.file))
    weights = _MOUNTED[registry.spec.type](findings, model, registry, cluster)
    if weights.volume is not None and weights.volume.kind == "pvc":
        _check_attached(findings, spec, cluster.spec.model_caches[0])
    return weights


def _check_attached(findings: Findings, spec: EndpointSpec, cache: ModelCache) -> None:
    """Can as many nodes mount it as will need it at the same time? Of a claim that stood there already nobody here knows."""
    if cache.pvc is None or not cache.pvc.size or {"ReadWriteMany", "ReadOnlyMany"} & set(cache.pvc.access_modes):
        return
    replicas = spec.autoscaling.max_replicas if spec.autoscaling else spec.replicas
    surge = spec.rollout.max_surge if spec.rollout.strategy == "RollingUpdate" else 0
    if replicas > 1 or surge or spec.parallelism.nodes > 1:
        what = f"{cache.pvc.access_modes[0]} volume '{cache.name}' with {replicas} replicas, surge {surge}"
        why = "only one node can attach it, and a replica on another one would wait for ever"
        todo = "use ReadWriteMany or ReadOnlyMany, or rollout.strategy: Recreate with one replica; allow E45 where all nodes are one"
        findings.error("E45", "/spec/cluster", what, why, todo)


def _check_names(findings: Findings, model: ModelSpec, version: Version) -> None:
    for field, value in (("name", model.name), ("version", model.version), ("file", model.file)):
        if value and not _stays(value):
            what = f"'{value}' leads elsewhere"
            findings.error(
                "E78", f"/spec/model/{field}", what, "a model lies inside its registry", "write it without a leading / and without .."
            )
        if PATTERN & set(value):
            what, why = f"model.{field} '{value}' is a pattern", "what it matches would depend on the node; patterns are not supported yet"
            findings.error("E7", f"/spec/model/{field}", what, why, "give the exact name")
    if not model.file and version.table.from_file:
        what = "model.file is empty"
        findings.error("E7", "/spec/model", what, f"{version.engine.name} starts from exactly one file", "give the exact file")


def _folder_on_ray(findings: Findings, registry: Declaration[ModelRegistrySpec], cluster: Declaration[ClusterSpec]) -> str:
    ray = cluster.spec.ray
    if registry.spec.type != "filesystem":
        what, why = f"type '{registry.spec.type}' cannot be deployed from on Ray", "Ray mounts nothing: replicas read files of their nodes"
        findings.error("E3", "/spec/model/registry", what, why, "mount it on every node and use a registry of type filesystem")
    if registry.spec.path.startswith("/"):
        return registry.spec.path.rstrip("/")
    root = (ray.model_root.rstrip("/") or (MODELS if ray.local else "")) if ray else ""
    if not root:
        _nowhere(findings, registry, f"cluster {cluster.name} has no model root", "ray.modelRoot of the cluster")
    return _joined(root, _below(registry.spec.path))


def _in_files(findings: Findings, model: ModelSpec, registry: Declaration[ModelRegistrySpec], cluster: Declaration[ClusterSpec]) -> Weights:
    path = registry.spec.path
    if path.startswith("/"):
        return Weights(_path_of(model), _volume("hostPath", {"path": path.rstrip("/") or "/"}))
    if not cluster.spec.model_caches:
        _nowhere(findings, registry, f"cluster {cluster.name} has no model cache", "modelCaches of the cluster")
        return Weights(_path_of(model))
    return Weights(_path_of(model, _below(path)), _cached(cluster.spec.model_caches[0]))


def _on_nfs(_findings: Findings, model: ModelSpec, registry: Declaration[ModelRegistrySpec], _cluster: Declaration[ClusterSpec]) -> Weights:
    return Weights(_path_of(model), _volume("nfs", {"server": registry.spec.server, "path": registry.spec.path.rstrip("/") or "/"}))


def _in_an_image(
    findings: Findings, model: ModelSpec, registry: Declaration[ModelRegistrySpec], _cluster: Declaration[ClusterSpec]
) -> Weights:
    """`<url>/<model.name>:<model.version>`, or `@` before a digest."""
    if not model.version:
        findings.warn("W2", "/spec/model", "version '' moves; it is the tag latest", "", "pin it for repeatable plans")
    version = model.version or "latest"
    if not REGISTRY_PATH.fullmatch(model.name):
        why = "in an OCI registry a name is lower-case letters, digits, '.', '_' and '-', with / between"
        findings.error("E75", "/spec/model/name", f"'{model.name}' is not the name of an image", why, "name the model's image")
    if not TAG.fullmatch(version):
        why = "in an OCI registry a version is a tag of letters, digits, '.', '_' and '-', or sha256: and a digest"
        findings.error("E75", "/spec/model/version", f"'{version}' is not a tag", why, "name the tag of the model's image")
    reference = f"{registry.spec.url}/{model.name}{'@' if ':' in version else ':'}{version}"
    return Weights(_joined(MOUNT, model.file), _volume("image", {"reference": reference}))


_Mounted = Callable[[Findings, ModelSpec, Declaration[ModelRegistrySpec], Declaration[ClusterSpec]], Weights]
_MOUNTED: Final[Mapping[str, _Mounted]] = {"filesystem": _in_files, "nfs": _on_nfs, "oci": _in_an_image}


def _cached(cache: ModelCache) -> Volume:
    if cache.nfs is not None:
        return _volume("nfs", {"server": cache.nfs.server, "path": cache.nfs.path})
    return _volume("pvc", {"claim": cache.claim}) if cache.pvc is not None else _volume("hostPath", {"path": cache.host_path})


def _volume(kind: str, source: Mapping[str, str]) -> Volume:
    return Volume(VOLUME, kind, source, MOUNT, read_only=True)


def _nowhere(findings: Findings, registry: Declaration[ModelRegistrySpec], lack: str, cure: str) -> None:
    what = f"model registry '{registry.name}' has the relative path '{registry.spec.path}', and {lack}"
    why = "nobody knows which folder on the nodes it is relative to"
    findings.error("E34", "/spec/model/registry", what, why, f"set {cure}, or an absolute path of the registry")


def _path_of(model: ModelSpec, folder: str = "") -> str:
    return _joined(MOUNT, folder, model.name, model.version, model.file)


def _joined(first: str, *parts: str) -> str:
    return "/".join((first, *(part for part in parts if part)))


def _below(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _stays(path: str) -> bool:
    return (
        not path.startswith("/")
        and all(part not in ("", ".", "..") for part in path.split("/"))
        and path.isprintable()
        and "\\" not in path
    )
