"""Endpoint: one served model behind one name. What people declare most, and the type that grows most."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from reconciler.schema.autoscaling import Autoscaling
from reconciler.schema.base import Bool, Declared, Int, Later, Number, SecretRef, fault
from reconciler.schema.engine import Task
from reconciler.schema.metadata import Document, EndpointMetadata, Name
from reconciler.schema.probes import Probes
from reconciler.schema.quantity import Bytes, Cores
from reconciler.schema.text import ENV_NAME, KubernetesName, LabelKey, Relative
from reconciler.schema.volumes import Volumes, each_once

MAX_TIMEOUT_ON_RAY: Final = 3600.0  # request_timeout_s of a Ray instance is fixed by its first configuration
MAX_TIMEOUT: Final = 86400.0
LEAST_MEMORY: Final = 1024**2  # bytes: less is a unit that was forgotten
OURS: Final = ("RECONCILER_", "RAY_")  # environment names that the platform sets


class Model(Declared):
    """The weights."""

    LATER: ClassVar[Mapping[str, Later]] = {"adapters": Later("LoRA adapters", todo="merge the adapter into the weights")}

    registry: Name
    """Name of the ModelRegistry."""
    name: Annotated[Relative, Field(min_length=1)]
    """Name of the model in the registry: on a file system its folder."""
    version: Relative = ""
    """Version; empty: the newest."""
    file: Relative = ""
    """File of the model, exact or with * and ?; needed for GGUF."""
    served_name: Annotated[str, Field(max_length=200, pattern=r"^[^\s\x00-\x1f]*$")] = ""
    """A further model name for clients; empty: none."""
    task: Task = "text-generation"
    """What the model is served for."""


class EngineChoice(Declared):
    """Which engine, and how it is started."""

    LATER: ClassVar[Mapping[str, Later]] = {"tls": Later("TLS between gateway and engine")}

    name: Name
    """Name of the Engine."""
    version: str = ""
    """Version of the Engine; empty: the newest that is declared."""
    args: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Arguments, checked against the version's schema."""
    extra_args: tuple[str, ...] = ()
    """Words appended to the command line as they are."""


class AcceleratorRequest(Declared):
    """Accelerators of one replica."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "memory": Later("a share of an accelerator by memory", todo="use a count below 1"),
        "cores": Later("a share of an accelerator by cores", todo="use a count below 1"),
    }

    type: Annotated[str, Field(min_length=1)]
    """Type, as the cluster names it."""
    count: Number = 1.0
    """How many; below 1 a share with one decimal, on Ray."""
    partition: Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]{0,48}[a-z0-9])?)?$")] = ""
    """Profile of a partition (MIG) in place of whole ones: `1g.10gb`; Kubernetes only."""

    @field_validator("count")
    @classmethod
    def _countable(cls, count: float) -> float:
        whole = count >= 1 and count.is_integer()
        share = 0 < count < 1 and round(count, 1) == count
        if not (whole or share):
            nearest = max(0.1, round(count, 1)) if count < 1 else max(1, round(count))
            raise fault("E39", f"count: {count:g}", "a whole number, or a share below 1 with one decimal", f"{nearest:g}")
        return count


class Resources(Declared):
    """What one replica gets."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "shape": Later("resource shapes", todo="give cpu, memory and accelerator"),
    }

    cpu: Cores = 0.5
    """Cores: `0.5`, `500m` or `2`."""
    memory: Bytes = 1024**3
    """Memory: `1Gi`. On Ray a number for scheduling, not a limit."""
    shared_memory: Bytes | None = None
    """Size of /dev/shm, a part of the memory; absent: what the engine's template says. Kubernetes only."""
    ephemeral_storage: Bytes | None = None
    """Disk of the node that a replica may fill; absent: no limit. Kubernetes only."""
    accelerator: AcceleratorRequest | None = None
    """Accelerators; absent: none."""

    @field_validator("memory")
    @classmethod
    def _more_than_bytes(cls, memory: int) -> int:
        if memory < LEAST_MEMORY:
            raise fault("E39", f"{memory} bytes are no memory for an engine", "a number without a unit is bytes", "write it like 16Gi")
        return memory


class Parallelism(Declared):
    """Degrees of parallelism of one replica."""

    tensor: Literal["auto"] | Annotated[Int, Field(ge=1)] = "auto"
    """Tensor parallel degree; `auto`: the number of accelerators."""
    pipeline: Annotated[Int, Field(ge=1)] = 1
    """Pipeline parallel degree."""
    data: Annotated[Int, Field(ge=1)] = 1
    """Data parallel degree."""
    nodes: Annotated[Int, Field(ge=1, le=64)] = 1
    """Machines that one replica spans, each with the accelerators of `resources`; Kubernetes with LeaderWorkerSet only."""


class Routing(Declared):
    """How requests reach the replicas."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "strategy=consistent-hash": Later("consistent hashing"),
        "strategy=session": Later("routing by session"),
        "strategy=prefix-cache": Later("routing by cached prefix"),
        "consistentHash": Later("consistent hashing"),
        "sessionHeader": Later("routing by session"),
        "replicaHeader": Later("a header that names the replica"),
        "split": Later("splitting traffic"),
        "shadow": Later("shadow traffic"),
        "temperaturePolicy": Later("a temperature policy"),
    }

    strategy: Literal["round-robin", "random", "least-request", "power-of-two"] = "round-robin"
    """How the gateway chooses a replica."""
    timeout_seconds: Number = 300.0
    """The longest that a request may take, in seconds; at most 3600 on Ray."""

    @field_validator("timeout_seconds")
    @classmethod
    def _in_range(cls, seconds: float) -> float:
        if not 0 < seconds <= MAX_TIMEOUT:
            raise fault("E39", f"timeoutSeconds: {seconds:g}", "above 0, and at most 3600 on Ray", "3600" if seconds > 0 else "1")
        return seconds


class EnvVar(Declared):
    """An environment variable of the engine: a value, or a reference to a secret."""

    name: str
    """Its name."""
    value: str | None = None
    """Its value."""
    secret_ref: SecretRef | None = None
    """The secret that holds its value, in the cluster's store."""

    @field_validator("name")
    @classmethod
    def _free_name(cls, name: str) -> str:
        if name.startswith(OURS):
            raise fault("E31", f"env '{name}'", "the platform sets it", "rename it")
        if not ENV_NAME.fullmatch(name):
            raise fault("E31", f"env '{name}'", "names are letters, digits and '_', no digit first", "rename it")
        return name

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.value is None) == (self.secret_ref is None):
            what = "neither value nor secretRef" if self.value is None else "both value and secretRef"
            raise fault("E75", what, f"'{self.name}' has exactly one source", "give one of them")
        return self


class Rollout(Declared):
    """How replicas are replaced when the endpoint changes."""

    strategy: Literal["RollingUpdate", "Recreate"] = "RollingUpdate"
    """New replicas beside the old ones, or after them."""
    max_surge: Annotated[Int, Field(ge=0)] = 1
    """Replicas that may exist beyond the wanted number."""
    max_unavailable: Annotated[Int, Field(ge=0)] = 0
    """Replicas that may be missing meanwhile."""
    timeout_seconds: Annotated[Number, Field(gt=0, le=86400)] = 1200.0
    """Seconds within which a replica must have started."""

    @model_validator(mode="after")
    def _can_move(self) -> Self:
        if self.strategy == "RollingUpdate" and self.max_surge == 0 and self.max_unavailable == 0:
            raise fault(
                "E39",
                "maxSurge: 0 with maxUnavailable: 0",
                "no replica could ever be replaced",
                "set maxUnavailable: 1, or strategy: Recreate",
                at=("maxSurge",),
            )
        return self


class Placement(Declared):
    """Where replicas go."""

    spread: Literal["Preferred", "Required"] = "Preferred"
    """Replicas on different nodes: if possible, or always."""
    topology_key: Annotated[LabelKey, Field(min_length=1)] = "kubernetes.io/hostname"
    """Label of the nodes by whose values replicas are spread; Kubernetes only."""
    priority_class: KubernetesName = ""
    """PriorityClass of the replicas; empty: the cluster's default. Kubernetes only."""


class MetricsSettings(Declared):
    """Metrics of the engine."""

    scrape: Bool = True
    """They may be collected from every replica."""


class Observability(Declared):
    """What is collected."""

    LATER: ClassVar[Mapping[str, Later]] = {"logs": Later("collection of logs")}

    metrics: MetricsSettings = MetricsSettings()
    """Metrics of the engine; Kubernetes only."""


class EndpointSpec(Declared):
    LATER: ClassVar[Mapping[str, Later]] = {
        "catalog": Later("catalogs", todo="write the fields into the endpoint"),
        "container": Later("a container of your own", todo="use engine"),
        "roles": Later("prefill and decode roles"),
        "envFrom": Later("environment files", todo="write the variables into env"),
        "transformer": Later("a transformer"),
        "access": Later("access rules of an endpoint", todo="use an ApiKey"),
        "asyncQueue": Later("an asynchronous queue"),
    }

    description: str = ""
    """For people."""
    cluster: Name
    """The Cluster that serves it."""
    gateway: str = ""
    """The Gateway that routes to it; may be left out when there is one."""
    model: Model
    """The weights."""
    engine: EngineChoice
    """The inference server."""
    resources: Resources = Resources()
    """What one replica gets."""
    parallelism: Parallelism = Parallelism()
    """Degrees of parallelism."""
    replicas: Int = 1
    """Number of replicas, where no autoscaler decides it."""
    autoscaling: Autoscaling | None = None
    """The number of replicas follows a metric; Kubernetes only."""
    paused: Bool = False
    """Free what it uses and keep its settings."""
    restarted_at: str = ""
    """Any change of this text restarts the replicas."""
    routing: Routing = Routing()
    """How requests reach the replicas."""
    probes: Probes = Probes()
    """Health checks."""
    env: tuple[EnvVar, ...] = ()
    """Environment of the engine."""
    volumes: Volumes = ()
    """What is mounted into the replicas beside the model; Kubernetes only."""
    rollout: Rollout = Rollout()
    """How replicas are replaced."""
    placement: Placement = Placement()
    """Where replicas go."""
    observability: Observability = Observability()
    """What is collected."""
    protect: Bool = False
    """Never delete it because it is gone from the repo."""

    @field_validator("replicas")
    @classmethod
    def _not_zero(cls, replicas: int) -> int:
        if replicas == 0:
            raise fault(
                "E17",
                "replicas: 0",
                "Ray Serve refuses zero replicas, and zero does not say whether you paused or scaled",
                "set paused: true",
            )
        if not 0 < replicas <= 10000:
            raise fault("E39", f"replicas: {replicas}", "from 1 to 10000", "1")
        return replicas

    @field_validator("env")
    @classmethod
    def _each_name_once(cls, env: tuple[EnvVar, ...]) -> tuple[EnvVar, ...]:
        names = [variable.name for variable in env]
        if len(set(names)) < len(names):
            index = next(place for place, name in enumerate(names) if name in names[:place])
            raise fault("E69", f"env '{names[index]}' twice", "one of them would be lost in silence", "remove one", at=(index, "name"))
        return env

    @field_validator("volumes")
    @classmethod
    def _volumes_apart(cls, volumes: Volumes) -> Volumes:
        return each_once(volumes)

    @model_validator(mode="after")
    def _one_who_counts(self) -> Self:
        if self.autoscaling is not None and "replicas" in self.model_fields_set:
            why = "one of them decides the number; Serve refuses both"
            raise fault("E62", "replicas and autoscaling", why, "remove one", at=("replicas",))
        return self


class Endpoint(Document):
    """One served model behind one name."""

    kind: Literal["Endpoint"]
    """Endpoint."""
    metadata: EndpointMetadata
    """Identity."""
    spec: EndpointSpec
    """What is served, where and how."""
