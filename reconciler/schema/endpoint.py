"""Endpoint: one served model behind one name. What people declare most, and the type that grows most."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from reconciler.schema.base import Bool, Declared, Int, Later, Number, SecretRef, fault
from reconciler.schema.engine import Task
from reconciler.schema.metadata import Document, EndpointMetadata, Name
from reconciler.schema.quantity import Bytes, Cores
from reconciler.schema.text import ENV_NAME, Relative

MAX_TIMEOUT_ON_RAY: Final = 3600.0  # request_timeout_s of a Ray instance is fixed by its first configuration
OURS: Final = ("RECONCILER_", "RAY_")  # environment names that the platform sets

_PROBE_TODO: Final = "remove it"
_PROBE_WHY: Final = "Serve has health_check_period_s, health_check_timeout_s and 3 failures in a row"


def _not_on_ray(field: str) -> Later:
    return Later(f"probes.{field} on Ray", code="E47", why=_PROBE_WHY, todo=_PROBE_TODO)


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
        "partition": Later("a partition of an accelerator"),
    }

    type: Annotated[str, Field(min_length=1)]
    """Type, as the cluster names it."""
    count: Number = 1.0
    """How many; below 1 a share with one decimal."""

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
        "sharedMemory": Later("sharedMemory on Ray", code="E46", why="/dev/shm belongs to the host", todo="size it on the nodes"),
        "ephemeralStorage": Later("ephemeral storage"),
    }

    cpu: Cores = 0.5
    """Cores: `0.5`, `500m` or `2`."""
    memory: Bytes = 1024**3
    """Memory: `1Gi`. On Ray a number for scheduling, not a limit."""
    accelerator: AcceleratorRequest | None = None
    """Accelerators; absent: none."""


class Parallelism(Declared):
    """Degrees of parallelism of one replica."""

    LATER: ClassVar[Mapping[str, Later]] = {"nodes": Later("replicas over several nodes")}

    tensor: Literal["auto"] | Annotated[Int, Field(ge=1)] = "auto"
    """Tensor parallel degree; `auto`: the number of accelerators."""
    pipeline: Annotated[Int, Field(ge=1)] = 1
    """Pipeline parallel degree."""
    data: Annotated[Int, Field(ge=1)] = 1
    """Data parallel degree."""


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
        if not 0 < seconds <= MAX_TIMEOUT_ON_RAY:
            raise fault("E39", f"timeoutSeconds: {seconds:g}", "above 0, and at most 3600 on Ray", "3600" if seconds > 0 else "1")
        return seconds


class StartupProbe(Declared):
    """When a replica counts as started."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "initialDelaySeconds": _not_on_ray("startup.initialDelaySeconds"),
        "periodSeconds": _not_on_ray("startup.periodSeconds"),
        "timeoutSeconds": _not_on_ray("startup.timeoutSeconds"),
        "failureThreshold": Later("probes.startup.failureThreshold on Ray", code="E47", why=_PROBE_WHY, todo="set rollout.timeoutSeconds"),
        "successThreshold": _not_on_ray("startup.successThreshold"),
    }

    path: Annotated[str, Field(pattern=r"^(/[^\s]*)?$")] = ""
    """Path that answers 200 once the model is loaded; empty: the engine's."""


class LivenessProbe(Declared):
    """When a replica is replaced."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "path": _not_on_ray("liveness.path"),
        "initialDelaySeconds": _not_on_ray("liveness.initialDelaySeconds"),
        "failureThreshold": _not_on_ray("liveness.failureThreshold"),
        "successThreshold": _not_on_ray("liveness.successThreshold"),
    }

    period_seconds: Annotated[Number, Field(gt=0, le=3600)] = 5.0
    """Seconds between two checks."""
    timeout_seconds: Annotated[Number, Field(gt=0, le=3600)] = 30.0
    """Seconds until a check counts as failed."""


class Probes(Declared):
    """Health checks of a replica."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "readiness": _not_on_ray("readiness"),
        "requireApproval": Later("approval before traffic"),
    }

    startup: StartupProbe = StartupProbe()
    """When a replica counts as started."""
    liveness: LivenessProbe = LivenessProbe()
    """When a replica is replaced."""


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

    LATER: ClassVar[Mapping[str, Later]] = {
        "topologyKey": Later("a topology key"),
        "priorityClass": Later("a priority class"),
    }

    spread: Literal["Preferred", "Required"] = "Preferred"
    """Replicas on different nodes: if possible, or always."""


class EndpointSpec(Declared):
    LATER: ClassVar[Mapping[str, Later]] = {
        "catalog": Later("catalogs", todo="write the fields into the endpoint"),
        "container": Later("a container of your own", todo="use engine"),
        "roles": Later("prefill and decode roles"),
        "autoscaling": Later("autoscaling", todo="set replicas"),
        "envFrom": Later("environment files", todo="write the variables into env"),
        "volumes": Later("volumes"),
        "transformer": Later("a transformer"),
        "access": Later("access rules of an endpoint", todo="use an ApiKey"),
        "asyncQueue": Later("an asynchronous queue"),
        "observability": Later("observability settings"),
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
    """Number of replicas."""
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
    rollout: Rollout = Rollout()
    """How replicas are replaced."""
    placement: Placement = Placement()
    """Where replicas go."""
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


class Endpoint(Document):
    """One served model behind one name."""

    kind: Literal["Endpoint"]
    """Endpoint."""
    metadata: EndpointMetadata
    """Identity."""
    spec: EndpointSpec
    """What is served, where and how."""
