"""A workload, its pods and their events as serving facts (pure). `pods.py` says how one pod is, `rollout.py` whether the workload moves;
here they become replicas, worst first, with what is missing and why.

Source of the rules: facts/kubernetes.md 10, serving-checklist 7. A Deployment's replica is a pod; a LeaderWorkerSet's is a group, which
serves when all of its pods do. What has ended for good (evicted, refused by the kubelet) counts as Ray's dead replicas do: while
something is missing, or when a second one died lately. It was replaced, and its object stays for days.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from reconciler.resource import Replica, ReplicaState, Serving
from reconciler.targets.kubernetes.health.pods import APPROVAL, CRASH, OOM, RECENT, died_at, is_dead, replica_of, unexplained
from reconciler.targets.kubernetes.health.rollout import DONE, FOLLOWS, PAUSED, began, condition, rises, wanted, written_at
from reconciler.targets.kubernetes.health.words import one_line, refusal
from reconciler.targets.kubernetes.labels import ENDPOINT, WORKSPACE
from reconciler.targets.kubernetes.shapes import (
    GROUP_INDEX,
    WORKER_INDEX,
    Deployment,
    EndpointSlice,
    Event,
    LeaderWorkerSet,
    Pod,
    SliceEndpoint,
    seconds,
)

Workload = Deployment | LeaderWorkerSet

WORST_STATES: Final = (
    ReplicaState.FAILING,
    ReplicaState.PENDING,
    ReplicaState.DOWNLOADING,
    ReplicaState.STARTING,
    ReplicaState.SERVING,
)
WORST_REASONS: Final = (OOM, CRASH)  # then all others alike
MOST_EVENTS: Final = 32  # requests for events in one pass
MOST_DEAD: Final = 3  # of one workload: the kubelet can refuse a pod every second
NOT_MADE: Final = "FailedCreate"
NO_REPLICA_SET: Final = "ReplicaSetCreateError"
FAMILIES: Final = ("IPv4", "IPv6")  # of an EndpointSlice; the third is FQDN, which no gateway of ours takes


@dataclass(frozen=True, slots=True)
class Unit:
    """What counts as one replica. made: when its newest pod was, seconds since the epoch. waiting: its pods that do not serve."""

    replica: Replica
    made: float = 0.0
    waiting: tuple[Pod, ...] = ()

    @property
    def badness(self) -> tuple[int, int, float]:
        """Sorts worst first, newest first among equals."""
        reason = self.replica.reason
        reasons = WORST_REASONS.index(reason) if reason in WORST_REASONS else len(WORST_REASONS)
        return WORST_STATES.index(self.replica.state), reasons, -self.made


def serving_of(
    workload: Workload, pods: Sequence[Pod], events: Mapping[str, Sequence[Event]], now: float, *, rollout_timeout: float = 0.0
) -> Serving:
    """The facts of one workload.

    pods: its own, of all revisions; those being terminated are left out here. events: by uid of the pod that they are about, as far as they
    were asked for; under the workload's own uid what its controller could not do. now: seconds since the epoch. rollout_timeout: seconds,
    0.0 if not known; with it a ProgressDeadlineExceeded of the server is overdue whatever deadline the live object has.
    """
    desired, meta, written = wanted(workload), workload.metadata, written_at(workload.metadata, now)
    here = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
    units = _units(workload, written, here, events, now)
    since = began(workload, written, _rises(units, desired, written, now), now, rollout_timeout)
    shown = [*units, *_unmade(workload, units, events.get(meta.uid, ()), now, since is not None)]
    if meta.deletion_timestamp is not None:
        return Serving(desired, _worst_first(shown), rollout=True, since=seconds(meta.deletion_timestamp), deleting=True)
    return Serving(
        desired,
        _worst_first(shown),
        rollout=since is not None,
        since=None if _waits_for_approval(units) else since or (None if units else written),
        message=_message(workload),
    )


def _units(workload: Workload, written: float, pods: Sequence[Pod], events: Mapping[str, Sequence[Event]], now: float) -> list[Unit]:
    labels = workload.metadata.labels
    endpoint = f"{labels.get(WORKSPACE) or workload.metadata.namespace}/{labels.get(ENDPOINT) or workload.metadata.name}"

    def unit(pod: Pod) -> Unit:
        replica = replica_of(pod, events.get(pod.metadata.uid, ()), now, endpoint)
        return Unit(replica, seconds(pod.metadata.creation_timestamp) or 0.0, () if replica.state is ReplicaState.SERVING else (pod,))

    if isinstance(workload, LeaderWorkerSet):
        told = _told(events.get(workload.metadata.uid, ()), now)
        return _groups([(pod, unit(pod)) for pod in pods], size_of(workload), told.message if told else "")
    alive = [unit(pod) for pod in pods if not is_dead(pod)]
    dead = _dead_that_count([pod for pod in pods if is_dead(pod)], alive, wanted(workload), written, now)
    return [*alive, *map(unit, dead)]


def _dead_that_count(dead: Sequence[Pod], alive: Sequence[Unit], desired: int, written: float, now: float) -> list[Pod]:
    """Those that died after the last write; newest first."""
    since = sorted((pod for pod in dead if died_at(pod) >= written), key=lambda pod: -died_at(pod))
    lately = [pod for pod in since if now - died_at(pod) < RECENT]
    if sum(unit.replica.state is ReplicaState.SERVING for unit in alive) >= desired:
        return lately[:MOST_DEAD] if len(lately) > 1 else []
    return lately[:MOST_DEAD] or (since[:1] if len(alive) < desired else [])


def size_of(workload: LeaderWorkerSet) -> int:
    """Pods of one group."""
    return workload.spec.leader_worker_template.size or 1


def lacks_pods(workload: LeaderWorkerSet, pods: Sequence[Pod]) -> bool:
    """Then events may say why: no condition of a LeaderWorkerSet does."""
    return sum(pod.metadata.deletion_timestamp is None for pod in pods) < wanted(workload) * size_of(workload)


def _groups(pods: Sequence[tuple[Pod, Unit]], size: int, refused: str) -> list[Unit]:
    """A group is as its worst pod is, under the name of its leader. refused: what was said last about pods that could not be made."""
    groups: dict[str, list[tuple[int, Unit]]] = {}
    for pod, unit in pods:
        labels = pod.metadata.labels
        worker = int(labels[WORKER_INDEX]) if labels.get(WORKER_INDEX, "").isdecimal() else 0
        groups.setdefault(labels.get(GROUP_INDEX, unit.replica.name), []).append((worker, unit))
    return [_group([unit for _, unit in sorted(group, key=lambda one: one[0])], size, refused) for group in groups.values()]


def _group(units: Sequence[Unit], size: int, refused: str) -> Unit:
    leader, worst = units[0].replica, min(units, key=lambda unit: unit.badness).replica
    made, waiting = max(unit.made for unit in units), tuple(pod for unit in units for pod in unit.waiting)
    missing = f"{len(units)} of the {size} pods of this replica are there"
    if len(units) < size and refused and worst.state is not ReplicaState.FAILING:
        return Unit(Replica(leader.name, ReplicaState.FAILING, NOT_MADE, f"{missing}: {refusal(refused)}", leader.node), made, waiting)
    if len(units) < size and worst.state is ReplicaState.SERVING:
        return Unit(Replica(leader.name, ReplicaState.STARTING, message=missing, node=leader.node), made)
    message = worst.message if worst.name == leader.name or not worst.message else f"{worst.name}: {worst.message}"
    return Unit(Replica(leader.name, worst.state, worst.reason, message, worst.node), made, waiting)


def _rises(units: Sequence[Unit], desired: int, written: float, now: float) -> bool:
    """Are replicas on their way up, or not made yet, that the last write asked for?"""
    if len(units) < desired and now - written < FOLLOWS:
        return True
    return any(unit.waiting and all(rises(pod, written) for pod in unit.waiting) for unit in units)


def _waits_for_approval(units: Sequence[Unit]) -> bool:
    """Then no clock runs: a deadline measures the cluster, not a person."""
    waiting = [unit.replica.reason for unit in units if unit.replica.state is not ReplicaState.SERVING]
    return bool(waiting) and all(reason == APPROVAL for reason in waiting)


def _unmade(workload: Workload, units: Sequence[Unit], events: Sequence[Event], now: float, rollout: bool) -> list[Unit]:
    """What could not be created at all, as a replica without a name: quota, pod security and webhooks refuse pods, not workloads."""
    if len(units) >= wanted(workload) and not rollout:
        return []
    failure, progress = condition(workload.status, "ReplicaFailure"), condition(workload.status, "Progressing")
    if failure is not None and failure.status == "True":
        return [_refused(failure.reason or NOT_MADE, failure.message)]
    if progress is not None and progress.reason == NO_REPLICA_SET:
        return [_refused(progress.reason, progress.message)]
    told = _told(events, now)
    return [_refused(NOT_MADE, told.message)] if told is not None and len(units) < wanted(workload) else []


def _told(events: Sequence[Event], now: float) -> Event | None:
    """The last refusal of a pod that is not history."""
    return max((one for one in events if one.reason == NOT_MADE and now - one.last < RECENT), key=lambda one: one.last, default=None)


def _refused(reason: str, message: str) -> Unit:
    return Unit(Replica("", ReplicaState.FAILING, reason, refusal(message)))


def _message(workload: Workload) -> str:
    """What the controller says of the whole, where it is more than its daily round."""
    progress = condition(workload.status, "Progressing")
    if not isinstance(workload, Deployment) or progress is None:
        return ""
    if workload.spec.paused or progress.reason == PAUSED:
        return "somebody paused its rollout (spec.paused): no change of the pods takes effect"
    return one_line(progress.message) if progress.status == "False" and progress.reason != DONE else ""


def _worst_first(units: Sequence[Unit]) -> tuple[Replica, ...]:
    return tuple(unit.replica for unit in sorted(units, key=lambda unit: (unit.badness, unit.replica.name)))


def needs_events(pods: Iterable[Pod], now: float, limit: int = MOST_EVENTS) -> tuple[str, ...]:
    """Uids of the pods whose own status does not say why they are not up: at most `limit`, one of every owner before a second of any."""
    turns: dict[str, int] = {}
    asked = []
    for pod in sorted(pods, key=lambda pod: (pod.metadata.creation_timestamp or "", pod.metadata.uid), reverse=True):
        if unexplained(pod, now):
            owner = next((one.uid for one in pod.metadata.owner_references if one.controller), pod.metadata.uid)
            turns[owner] = turns.get(owner, 0) + 1
            asked.append((turns[owner], pod.metadata.uid))
    return tuple(uid for _, uid in sorted(asked, key=lambda one: one[0])[:limit])


def addresses_of(slices: Iterable[EndpointSlice], port_name: str) -> tuple[str, ...]:
    """Where ready endpoints answer on the port of that name: sorted, each once. Never loopback, which would mean the gateway's own box."""
    found: set[str] = set()
    for one in slices:
        port = next((each.port for each in one.ports or () if (each.name or "") == port_name), None)
        if port is not None and one.address_type in FAMILIES:
            ready = (each for each in one.endpoints or () if _is_ready(each))
            found.update(f"{host}:{port}" for each in ready if (host := _host(each.addresses)))
    return tuple(sorted(found))


def _is_ready(endpoint: SliceEndpoint) -> bool:
    """`ready` unknown means ready (the API says so); what is being terminated never is."""
    return endpoint.conditions.ready is not False and not endpoint.conditions.terminating


def _host(addresses: Sequence[str]) -> str:
    """The first address: nothing is defined for further ones. "" for one that cannot be the replica's."""
    try:
        address = ip_address(addresses[0] if addresses else "")
    except ValueError:
        return ""
    if address.is_loopback or address.is_unspecified:
        return ""
    return f"[{address}]" if address.version == 6 else str(address)
