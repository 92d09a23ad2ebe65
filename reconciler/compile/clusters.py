"""A cluster's settings as plain data: what its target's folder needs, and what is remembered after the declaration is gone.

Ray's are exactly these keys: a remembered spec that equals the declared one means that nothing changed.
"""

from collections.abc import Callable, Mapping
from typing import Final

from reconciler.compile.capabilities import KUBERNETES, RAY
from reconciler.resource import Json
from reconciler.schema.base import SecretRef
from reconciler.schema.cluster import ClusterAccelerator, ClusterSpec
from reconciler.schema.kubernetes import ModelCache


def settings_of(spec: ClusterSpec) -> dict[str, Json]:
    """Never a secret: references only."""
    return _BY_TYPE[spec.type](spec)


def _ray(spec: ClusterSpec) -> dict[str, Json]:
    assert spec.ray is not None  # the schema refuses a cluster without the block of its type
    return {
        "local": spec.ray.local,
        "dashboardUrl": spec.ray.dashboard_url,
        "serveUrl": spec.ray.serve_url,
        "tokenRef": _reference(spec.ray.token_ref),
        "modelRoot": spec.ray.model_root,
        "secretsDirectory": spec.secrets.directory if spec.secrets else "",
        "accelerators": [_accelerator(found) for found in spec.accelerators],
    }


def _kubernetes(spec: ClusterSpec) -> dict[str, Json]:
    assert spec.kubernetes is not None  # as above
    found = spec.kubernetes
    return {
        "kubeconfigRef": _reference(found.kubeconfig_ref),
        "inCluster": found.in_cluster,
        "context": found.context,
        "namespacePrefix": found.namespace_prefix,
        "namespace": found.namespace,
        "prometheusUrl": found.prometheus_url,
        "capabilities": sorted(set(spec.capabilities)),
        "modelCaches": [_cache(cache) for cache in spec.model_caches],
        "accelerators": [_tainted(accelerator) for accelerator in spec.accelerators],
    }


_BY_TYPE: Final[Mapping[str, Callable[[ClusterSpec], dict[str, Json]]]] = {RAY: _ray, KUBERNETES: _kubernetes}


def _reference(reference: SecretRef | None) -> Json:
    return {"name": reference.name, "key": reference.key} if reference else None


def _accelerator(found: ClusterAccelerator) -> dict[str, Json]:
    return {
        "type": found.type,
        "resourceKey": found.resource_key,
        "nodeSelector": dict(sorted(found.node_selector.items())),
        "count": found.count,
    }


def _tainted(found: ClusterAccelerator) -> dict[str, Json]:
    tolerations: list[Json] = [dict(toleration.as_text()) for toleration in found.tolerations]
    return {**_accelerator(found), "vendor": found.vendor, "sharing": found.sharing, "tolerations": tolerations}


def _cache(cache: ModelCache) -> dict[str, Json]:
    """size: bytes of a claim that we make in each namespace, None for what is there already."""
    if cache.nfs is not None:
        return {"name": cache.name, "nfs": {"server": cache.nfs.server, "path": cache.nfs.path}}
    if cache.pvc is None:
        return {"name": cache.name, "hostPath": cache.host_path}
    claim = cache.pvc
    modes: list[Json] = [*claim.access_modes]
    return {
        "name": cache.name,
        "claimName": cache.claim,
        "size": claim.size,
        "storageClass": claim.storage_class,
        "accessModes": modes if claim.size else [],
    }
