"""What `compile` hands to a target's `render.py`: endpoint, route and key with every reference resolved and every default filled in.

So renderers import no schema, and know nothing of catalogs, registries or engines: a command line, numbers, names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.resource import Resource, ResourceKey


@dataclass(frozen=True, slots=True)
class Meta:
    """Whose a resource is: copied onto each Resource that is rendered."""

    owner: str
    source: str
    protect: bool = False
    drift: str = "heal"


@dataclass(frozen=True, slots=True)
class SecretEnv:
    """An environment variable whose value stands in the cluster's store: never in a manifest."""

    name: str
    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class Accelerator:
    """type: our name; resource_key: what the target counts (`GPU` on Ray is num_gpus); count may be below 1 on Ray."""

    type: str
    resource_key: str
    count: float
    node_selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workload:
    """One served model. command and env may contain `{host}`, `{port}` and `{python}`: filled in per replica.

    Times are in seconds, memory in bytes, cpu in cores.
    """

    meta: Meta
    workspace: str
    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    secrets: tuple[SecretEnv, ...]
    replicas: int
    cpu: float
    memory: int
    accelerator: Accelerator | None
    health_path: str
    startup_timeout: float
    health_period: float
    health_timeout: float
    grace: float  # engines.md 7.1: max(330, R + 30)
    surge: bool  # False: rollout.strategy Recreate, or maxSurge 0
    spread_required: bool
    restarted_at: str


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a route sends requests: the resource that offers addresses, and the path prefix that the target keeps (Ray does)."""

    key: ResourceKey
    prefix: str
    weight: int = 100


@dataclass(frozen=True, slots=True)
class Rendered:
    resources: tuple[Resource, ...]
    backend: Backend | None


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint at a gateway, in our words.

    models: names clients may write, `<workspace>/<endpoint>` first. served_name: what the engine calls itself; any other name is rewritten
    in the body. paths: `METHOD /v1/...`, the service plane only. paused: answers 503 with a body that says so, and has no backend.
    """

    meta: Meta
    workspace: str
    name: str
    models: tuple[str, ...]
    served_name: str
    paths: tuple[str, ...]
    backends: tuple[Backend, ...]
    strategy: str
    timeout: float
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """sha256: 64 hex digits of the whole key. expires_at: RFC 3339, or "" for never."""

    id: str
    sha256: str
    expires_at: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """An ApiKey at a gateway. grants: `ws:<workspace>` or `ep:<workspace>/<endpoint>`, sorted; empty = may do nothing."""

    meta: Meta
    workspace: str
    name: str
    credentials: tuple[Credential, ...]
    grants: tuple[str, ...]
