"""Is a workload still moving to what was last written, and since when (pure).

A Deployment says so itself: its condition Progressing leaves NewReplicaSetAvailable when the pod template changes and comes back to it when
all new replicas are there. It does not say so for a mere change of the number: then new replicas that have never been Ready tell it, if
they were made right after the last write. A replica made later replaces a lost one; that is no rollout but a replica that is missing.

The clock of a rollout starts anew with every replica that comes up (Progressing.lastUpdateTime), as the server's own deadline does.
"""

from typing import Final

from reconciler.targets.kubernetes.health.pods import lost_readiness
from reconciler.targets.kubernetes.shapes import Condition, Deployment, LeaderWorkerSet, Meta, Pod, WorkloadStatus, seconds

DONE: Final = "NewReplicaSetAvailable"
DEADLINE: Final = "ProgressDeadlineExceeded"
PAUSED: Final = "DeploymentPaused"
DEFAULT_DEADLINE: Final = 600  # seconds; of a Deployment that sets none
FOLLOWS: Final = 60.0  # seconds after a write in which its replicas are made
CLOCKS: Final = 5.0  # seconds: two servers' clocks, in whole seconds
SPEC_FIELDS: Final = b'"f:spec"'


def condition(status: WorkloadStatus, name: str) -> Condition | None:
    return next((one for one in status.conditions if one.type == name), None)


def written_at(meta: Meta, now: float) -> float:
    """When anybody last wrote the spec, a scaling included; seconds since the epoch, `now` if nothing says so."""
    writes = (one.time for one in meta.managed_fields if one.subresource != "status" and SPEC_FIELDS in bytes(one.fields_v1))
    times = [at for at in map(seconds, (*writes, meta.creation_timestamp)) if at is not None]
    return max(times, default=now)


def began(workload: Deployment | LeaderWorkerSet, written: float, rising: bool, now: float, timeout: float) -> float | None:
    """When the rollout began that is under way, None if none is.

    written: `written_at`. rising: replicas that this write asked for are still on their way up. timeout: of rollouts, seconds, 0.0 if not
    known: what the server calls overdue began at least that long ago.
    """
    status = workload.status
    if status.observed_generation is not None and status.observed_generation < workload.metadata.generation:
        return written
    if isinstance(workload, LeaderWorkerSet):
        update = condition(status, "UpdateInProgress")
        moved = seconds(update.last_transition_time) if update is not None and update.status == "True" else None
    else:
        moved = _progress(workload, written, now, timeout)
    if moved is not None:
        return moved
    return written if rising or status.replicas > status.updated_replicas else None


def _progress(workload: Deployment, written: float, now: float, timeout: float) -> float | None:
    """What the condition Progressing says; where there is none (no deadline is set), or it says that somebody paused it, the counts."""
    found = condition(workload.status, "Progressing")
    if found is None or found.reason == PAUSED:
        return written if workload.status.updated_replicas < wanted(workload) else None
    if found.reason == DONE:
        return None
    changed = seconds(found.last_transition_time)
    if found.reason == DEADLINE and changed is not None:
        deadline = workload.spec.progress_deadline_seconds or DEFAULT_DEADLINE
        return min(changed - deadline, now - timeout) - 1  # times of conditions are whole seconds
    return seconds(found.last_update_time) or changed or now


def wanted(workload: Deployment | LeaderWorkerSet) -> int:
    """Desired replicas, the autoscaler's number where it writes one: pods of a Deployment, groups of a LeaderWorkerSet."""
    return 1 if workload.spec.replicas is None else workload.spec.replicas


def rises(pod: Pod, written: float) -> bool:
    """Was this pod made because of the last write, and has it never been Ready?"""
    made = seconds(pod.metadata.creation_timestamp)
    return made is not None and -CLOCKS <= made - written <= FOLLOWS and lost_readiness(pod) is None
