"""An endpoint and an ApiKey as resources of this gateway: neutral words, from which the files of Envoy are generated later.

`grants` of a route is what opens it: its workspace, itself, or everything. A route needs its backends; a paused one has none.
"""

from typing import Final

from reconciler.desired import TargetSpec
from reconciler.resource import DriftMode, Resource, ResourceKey
from reconciler.targets.envoy.manifest import BackendRef, CredentialRow, KeyManifest, RouteManifest
from reconciler.targets.rendering import Key, Meta, Route

ROUTE: Final = "Route"
KEY: Final = "Key"


def render_route(route: Route, target: TargetSpec) -> tuple[Resource, ...]:
    """One `Route` resource, named as the endpoint. Its needs are its backends."""
    backends = () if route.paused else tuple(BackendRef(b.key, b.prefix, b.weight) for b in route.backends)
    manifest = RouteManifest(
        models=route.models,
        served_name=route.served_name,
        paths=tuple(sorted(route.paths)),
        backends=backends,
        strategy=route.strategy,
        timeout=route.timeout,
        paused=route.paused,
        grants=("*", f"ep:{route.workspace}/{route.name}", f"ws:{route.workspace}"),
    )
    key = ResourceKey(target.name, ROUTE, route.workspace, route.name)
    return (_resource(key, manifest, route.meta),)


def render_key(key: Key, target: TargetSpec) -> tuple[Resource, ...]:
    """One `Key` resource, named as the ApiKey. Hashes only; no credentials = a key that opens nothing."""
    rows = tuple(CredentialRow(c.id, c.sha256, c.expires_at) for c in sorted(key.credentials, key=lambda c: c.sha256))
    manifest = KeyManifest(key.workspace, rows, tuple(sorted(key.grants)))
    return (_resource(ResourceKey(target.name, KEY, key.workspace, key.name), manifest, key.meta),)


def _resource(key: ResourceKey, manifest: RouteManifest | KeyManifest, meta: Meta) -> Resource:
    return Resource.make(
        key,
        manifest.as_json(),
        owner=meta.owner,
        source=meta.source,
        needs=manifest.needs if isinstance(manifest, RouteManifest) else (),
        protect=meta.protect,
        drift=DriftMode(meta.drift),
    )
