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
    vendor: str = ""
    tolerations: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """One health check: a GET of `path` at the engine's http port. Times in whole seconds; failures in a row before it counts."""

    path: str
    initial_delay: int
    period: int
    timeout: int
    failures: int


@dataclass(frozen=True, slots=True)
class Volume:
    """Something mounted into the engine's container.

    kind and source: `pvc` {claim}, `nfs` {server, path}, `hostPath` {path}, `image` {reference}.
    """

    name: str
    kind: str
    source: Mapping[str, str]
    mount_path: str
    sub_path: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """metric: as declared (`qpm`, `concurrency` ...), target: its value per replica. initial: 0 = the minimum. idle: seconds without
    requests after which nothing runs, None = never. Delays in seconds."""

    minimum: int
    maximum: int
    initial: int
    metric: str
    target: float
    scale_up_delay: int
    scale_down_delay: int
    idle: int | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """The engine in an image of its own, for targets that run containers.

    pull_secret: name of a Secret with the registry's login, "" = none. volumes: the model's among them, below MODELS. shared_memory and
    ephemeral_storage in bytes, 0 = the engine template's choice or none. approval: no traffic before a person approved the replica.
    nodes: machines that one replica spans. visibility of metrics: `metrics_path` "" = none; `scrape` = may be collected.
    """

    engine: str
    version: str
    image: str
    http_port: int
    startup: Probe
    readiness: Probe
    liveness: Probe
    management_port: int | None = None
    metrics_port: int | None = None
    metrics_path: str = ""
    scrape: bool = True
    pull_secret: str = ""
    volumes: tuple[Volume, ...] = ()
    shared_memory: int = 0
    ephemeral_storage: int = 0
    max_surge: int = 1
    max_unavailable: int = 0
    topology_key: str = "kubernetes.io/hostname"
    priority_class: str = ""
    approval: bool = False
    nodes: int = 1
    request_timeout: float = 300.0  # R: the longest that a request may take
    autoscaling: Autoscaling | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """One served model. command and env may contain `{host}`, `{port}`, `{python}` and `{models}`: filled in per replica, or by the
    renderer of a target that knows them.

    Times are in seconds, memory in bytes, cpu in cores. paused: it is declared and nothing of it may run; what that leaves behind is the
    target's business. container: None where the target runs processes.
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
    paused: bool = False
    container: Container | None = None


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
