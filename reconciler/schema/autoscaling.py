"""Autoscaling: the number of replicas follows one metric between two bounds, perhaps down to none while nobody asks."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Self

from pydantic import ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from reconciler.schema.base import Declared, Int, Later, Number, fault

MetricType = Literal["concurrency", "qpm", "rps", "accelerator-utilization", "latency-p95", "queue-depth"]
LATENCY: Final = 5000.0  # milliseconds
MOST: Final = 10000  # replicas
LONGEST_DELAY: Final = 3600  # seconds: what the API server takes for a stabilization window
BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "minReplicas": (0, MOST),
    "maxReplicas": (1, MOST),
    "initialReplicas": (0, MOST),
    "idleSeconds": (60, 604800),
    "scaleUpDelaySeconds": (0, LONGEST_DELAY),
    "scaleDownDelaySeconds": (0, LONGEST_DELAY),
}


def _checked(field: str, value: int, at: tuple[str, ...] = ()) -> int:
    least, most = BOUNDS[field]
    if not least <= value <= most:
        raise _out(field, value, f"from {least} to {most}", least if value < least else most, at)
    return value


def _out(field: str, value: float, rule: str, nearest: float, at: tuple[str, ...] = ()) -> PydanticCustomError:
    return fault("E39", f"{field}: {value:g}", rule, f"{nearest:g}", at)


class Metric(Declared):
    """What the number of replicas follows."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "methods": Later("a metric of some methods only"),
        "paths": Later("a metric of some paths only"),
    }

    type: MetricType
    """Requests in flight, per minute or per second; use of accelerators in percent; 95th percentile in milliseconds; waiting requests."""
    target: Number | None = None
    """Wanted value per replica; absent only for latency-p95: 5000."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.target is None and self.type != "latency-p95":
            raise fault("E76", "'target' is missing", f"there is no default for {self.type}", "add it", at=("target",))
        if self.target is not None and not 0 < self.target <= 1e9:
            raise _out("target", self.target, "above 0", 1, ("target",))
        if self.type == "accelerator-utilization" and not 1 <= self.value <= 99:
            raise _out("target", self.value, "a percentage from 1 to 99", 1 if self.value < 1 else 99, ("target",))
        return self

    @property
    def value(self) -> float:
        return LATENCY if self.target is None else self.target


class ScaleToZero(Declared):
    """Nothing runs while nobody asks."""

    idle_seconds: Int = 3600
    """Seconds without requests after which nothing runs; at least 60."""
    wake: Literal["manual", "activator"] = "manual"
    """What starts it again: a commit, or an activator in the cluster that holds the first request."""

    @field_validator("idle_seconds")
    @classmethod
    def _idle(cls, seconds: int) -> int:
        return _checked("idleSeconds", seconds)


class Autoscaling(Declared):
    """The number of replicas follows a metric."""

    LATER: ClassVar[Mapping[str, Later]] = {"schedules": Later("autoscaling by schedule")}

    min_replicas: Int = 1
    """Fewest replicas; 0: none while nobody asks."""
    max_replicas: Int = 10
    """Most replicas."""
    initial_replicas: Int | None = None
    """Replicas to begin with; absent: the fewest, at least 1."""
    metric: Metric
    """What the number follows."""
    scale_to_zero: ScaleToZero | None = None
    """When nothing runs; absent: after an hour with minReplicas: 0, else never."""
    scale_up_delay_seconds: Int = 0
    """Seconds that a higher number is waited for."""
    scale_down_delay_seconds: Int = 300
    """Seconds that a lower number is waited for."""

    @model_validator(mode="after")
    def _between_its_bounds(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise _out("minReplicas", self.min_replicas, f"at most maxReplicas, {self.max_replicas}", self.max_replicas, ("minReplicas",))
        least, first = max(1, self.min_replicas), self.initial_replicas
        if first is not None and not self.min_replicas <= first <= self.max_replicas:
            rule, nearest = f"from {self.min_replicas} to {self.max_replicas}", least if first < least else self.max_replicas
            raise _out("initialReplicas", first, rule, nearest, ("initialReplicas",))
        return self

    @field_validator("min_replicas", "max_replicas", "initial_replicas", "scale_up_delay_seconds", "scale_down_delay_seconds")
    @classmethod
    def _in_range(cls, value: int | None, info: ValidationInfo) -> int | None:
        return None if value is None else _checked(to_camel(str(info.field_name)), value)

    @property
    def idle(self) -> int | None:
        """Seconds without requests after which nothing runs, or None for never."""
        if self.scale_to_zero is not None:
            return self.scale_to_zero.idle_seconds
        return ScaleToZero().idle_seconds if self.min_replicas == 0 else None
