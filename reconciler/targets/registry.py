"""Which kinds of targets there are. Each is imported when it is first asked for: `validate` pays for none of their clients."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Final, Protocol, cast

from reconciler.desired import TargetSpec
from reconciler.resource import Resource
from reconciler.targets.protocol import Context, Target, TargetRules
from reconciler.targets.rendering import Key, Rendered, Route, Workload

CLUSTERS: Final = ("kubernetes", "ray", "memory")
GATEWAYS: Final = ("envoy", "memory")
KINDS: Final = ("envoy", "kubernetes", "memory", "ray")


class ClusterRenderer(Protocol):
    """The pure half of a target that serves: `reconciler.targets.<type>.render`."""

    def render_workload(self, workload: Workload, target: TargetSpec) -> Rendered: ...


class GatewayRenderer(Protocol):
    """The pure half of a target that routes."""

    def render_route(self, route: Route, target: TargetSpec) -> tuple[Resource, ...]: ...

    def render_key(self, key: Key, target: TargetSpec) -> tuple[Resource, ...]: ...


@cache
def rules_of(kind: str) -> TargetRules:
    return cast(TargetRules, import_module(f"reconciler.targets.{kind}.rules").RULES)


@cache
def cluster_renderer(kind: str) -> ClusterRenderer:
    return cast(ClusterRenderer, import_module(f"reconciler.targets.{kind}.render"))


@cache
def gateway_renderer(kind: str) -> GatewayRenderer:
    return cast(GatewayRenderer, import_module(f"reconciler.targets.{kind}.render"))


def open_target(spec: TargetSpec, context: Context) -> Target:
    """`reconciler.targets.<type>.target.open_target(spec, context)`: the half with the I/O. Raises TargetError, LocalError."""
    opener = cast(Callable[[TargetSpec, Context], Target], import_module(f"reconciler.targets.{spec.type}.target").open_target)
    return opener(spec, context)
