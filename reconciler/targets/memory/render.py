"""Workload, route and key as the memory target stores them: plain words, nothing of a server's format."""

from reconciler.desired import TargetSpec
from reconciler.resource import DriftMode, Resource, ResourceKey
from reconciler.targets.rendering import Backend, Key, Meta, Rendered, Route, Workload


def _make(key: ResourceKey, manifest: dict[str, object], meta: Meta, needs: tuple[ResourceKey, ...] = ()) -> Resource:
    return Resource.make(
        key,
        manifest,  # type: ignore[arg-type]  # built below from JSON values only
        owner=meta.owner,
        source=meta.source,
        needs=needs,
        protect=meta.protect,
        drift=DriftMode(meta.drift),
    )


def render_workload(workload: Workload, target: TargetSpec) -> Rendered:
    if workload.paused:
        return Rendered((), None)
    key = ResourceKey(target.name, "Workload", workload.workspace, workload.name)
    manifest: dict[str, object] = {
        "command": list(workload.command),
        "env": dict(workload.env),
        "replicas": workload.replicas,
        "restartedAt": workload.restarted_at,
    }
    return Rendered((_make(key, manifest, workload.meta),), Backend(key, f"/{workload.workspace}/{workload.name}"))


def render_route(route: Route, target: TargetSpec) -> tuple[Resource, ...]:
    key = ResourceKey(target.name, "Route", route.workspace, route.name)
    manifest: dict[str, object] = {
        "models": list(route.models),
        "paused": route.paused,
        "timeoutSeconds": route.timeout,
        "backends": [str(backend.key) for backend in route.backends],
    }
    return (_make(key, manifest, route.meta, tuple(backend.key for backend in route.backends)),)


def render_key(key: Key, target: TargetSpec) -> tuple[Resource, ...]:
    manifest: dict[str, object] = {
        "credentials": [{"id": c.id, "sha256": c.sha256, "expiresAt": c.expires_at} for c in key.credentials],
        "grants": list(key.grants),
    }
    return (_make(ResourceKey(target.name, "Key", key.workspace, key.name), manifest, key.meta),)
