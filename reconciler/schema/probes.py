"""Health checks of a replica, with the words of Kubernetes. Defaults: serving-checklist, section 10.

Whole seconds and counts, as an API server takes them; the two that Ray honours too (period and time-out of liveness) may be fractions
there. What a kind of cluster cannot honour is said in compile, by its table.
"""

from typing import Annotated

from pydantic import Field

from reconciler.schema.base import Bool, Declared, Int, Number

ProbePath = Annotated[str, Field(pattern=r"^(/[^\s]*)?$")]
Delay = Annotated[Int, Field(ge=0, le=86400)]
Seconds = Annotated[Int, Field(ge=1, le=3600)]
RealSeconds = Annotated[Number, Field(gt=0, le=3600)]
Count = Annotated[Int, Field(ge=1, le=100000)]


class StartupProbe(Declared):
    """When a replica counts as started; the others wait for it."""

    path: ProbePath = ""
    """Path that answers 200 once the model is loaded; empty: the engine's."""
    initial_delay_seconds: Delay = 5
    """Seconds before the first check."""
    period_seconds: Seconds = 10
    """Seconds between two checks."""
    timeout_seconds: Seconds = 5
    """Seconds until a check counts as failed."""
    failure_threshold: Count | None = None
    """Failures in a row until the replica is started anew; absent: as many as fit into rollout.timeoutSeconds."""
    success_threshold: Count = 1
    """Only 1."""


class ReadinessProbe(Declared):
    """When a replica gets requests."""

    path: ProbePath = ""
    """Path that answers 200 while it can take requests; empty: the engine's."""
    initial_delay_seconds: Delay = 5
    """Seconds before the first check."""
    period_seconds: Seconds = 5
    """Seconds between two checks."""
    timeout_seconds: Seconds = 5
    """Seconds until a check counts as failed."""
    failure_threshold: Count = 10
    """Failures in a row until it gets no more requests."""
    success_threshold: Count = 1
    """Only 1."""


class LivenessProbe(Declared):
    """When a replica is replaced."""

    path: ProbePath = ""
    """Path that answers while the process is sound; empty: the engine's."""
    initial_delay_seconds: Delay = 0
    """Seconds between the end of the startup probe and the first check."""
    period_seconds: RealSeconds = 5.0
    """Seconds between two checks."""
    timeout_seconds: RealSeconds | None = None
    """Seconds until a check counts as failed; absent: 30 on Ray, 5 on Kubernetes."""
    failure_threshold: Count = 12
    """Failures in a row until it is replaced."""
    success_threshold: Count = 1
    """Only 1."""


class Probes(Declared):
    """Health checks of a replica."""

    startup: StartupProbe = StartupProbe()
    """When a replica counts as started."""
    readiness: ReadinessProbe = ReadinessProbe()
    """When a replica gets requests."""
    liveness: LivenessProbe = LivenessProbe()
    """When a replica is replaced."""
    require_approval: Bool = False
    """No requests for a new replica before a person approved it."""
