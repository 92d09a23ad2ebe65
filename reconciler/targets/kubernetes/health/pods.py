"""One pod as a replica (pure): its class by serving-checklist 7.2, and one line for a person woken at night.

The checks stand in a literal table, the first that says something decides. Reasons are stable where the kubelet's alternate: a crashing
container reads CrashLoopBackOff (or OOMKilled) whether it is just down, waiting or up again, because the kubelet shows that word for less
than a second between two runs; a failing pull reads ImagePullBackOff through all its tries. The true cause stands in the message.

A starting replica has a message and, but for the approval that it waits for, no reason: it is not yet wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.resource import Replica, ReplicaState
from reconciler.targets.kubernetes.health.words import one_line, pull_cause, pulled_image, scheduling_sentence
from reconciler.targets.kubernetes.labels import APPROVED
from reconciler.targets.kubernetes.shapes import Condition, ContainerStatus, Event, Pod, Running, Terminated, seconds

DOWNLOAD: Final = "model-download"  # load-bearing: the init container that loads the model, as the renderer names it
OOM: Final = "OOMKilled"
CRASH: Final = "CrashLoopBackOff"
PULL: Final = "ImagePullBackOff"
APPROVAL: Final = "RequireReadinessApproval"

PULLS: Final = frozenset(
    {"ErrImagePull", PULL, "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed"}
)
RETRIED_PULLS: Final = frozenset({"ErrImagePull", PULL})  # two words of one state
QUIET_WAITS: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
RUN_FAILED: Final = "RunContainerError"  # comes back at every try, between two ends
MOUNTS: Final = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})
SANDBOX: Final = "FailedCreatePodSandBox"

MANY_RESTARTS: Final = 5
RECENT: Final = 300.0  # seconds: what ended, or was said, longer ago is history
RUN_MARGIN: Final = 10.0  # seconds
PATIENCE: Final = 30.0  # seconds in which nobody asks why a pod is not there yet

Said = tuple[ReplicaState, str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """A pod with the events about it. now: seconds since the epoch. endpoint: `team-a/chat`, for what a person has to type."""

    pod: Pod
    events: Sequence[Event]
    now: float
    endpoint: str

    @property
    def at(self) -> str:
        """` on gpu-000`, or nothing before it has a node."""
        return f" on {self.pod.spec.node_name}" if self.pod.spec.node_name else ""

    @property
    def age(self) -> float:
        created = seconds(self.pod.metadata.creation_timestamp)
        return self.now - created if created is not None else 0.0

    def condition(self, name: str) -> Condition | None:
        return next((one for one in self.pod.status.conditions if one.type == name), None)

    def holds(self, name: str) -> bool:
        found = self.condition(name)
        return found is not None and found.status == "True"

    def newest(self, reasons: frozenset[str]) -> Event | None:
        """The last event of these reasons, unless it is history."""
        found = max((one for one in self.events if one.reason in reasons), key=lambda one: one.last, default=None)
        return found if found is not None and (not found.last or self.now - found.last < RECENT) else None


def replica_of(pod: Pod, events: Sequence[Event], now: float, endpoint: str = "") -> Replica:
    """The pod's class, reason and line. The pod is not being terminated: those are left out of everything."""
    seen = Seen(pod, events, now, endpoint or f"{pod.metadata.namespace}/{pod.metadata.name}")
    said = (check(seen) for check in CHECKS)
    state, reason, message = next(one for one in said if one is not None)
    return Replica(pod.metadata.name, state, reason, message, pod.spec.node_name)


def is_dead(pod: Pod) -> bool:
    """It has ended for good; its controller does not count it any more and has made another one."""
    return pod.status.phase in ("Failed", "Succeeded")


def died_at(pod: Pod) -> float:
    """When it ended, seconds since the epoch; for what was refused before it ran, when it was made."""
    ends = (seconds(one.state.terminated.finished_at) for one in pod.status.container_statuses if one.state.terminated)
    changes = (seconds(one.last_transition_time) for one in pod.status.conditions)
    return max((at for at in (*ends, *changes, seconds(pod.metadata.creation_timestamp)) if at is not None), default=0.0)


def lost_readiness(pod: Pod) -> float | None:
    """When a pod that had been Ready stopped to be, seconds since the epoch; None where it never was, or is."""
    ready = next((one for one in pod.status.conditions if one.type == "Ready" and one.status != "True"), None)
    changed, started = seconds(ready.last_transition_time if ready else None), seconds(pod.status.start_time)
    return changed if changed is not None and started is not None and changed > started + PATIENCE else None


def unexplained(pod: Pod, now: float) -> bool:
    """Is it in trouble, or late, without its own status saying why? Then events are worth a request."""
    if pod.metadata.deletion_timestamp or is_dead(pod):
        return False
    found = replica_of(pod, (), now)
    if found.state is ReplicaState.STARTING:
        return not found.reason and Seen(pod, (), now, "").age > PATIENCE
    waiting = [one.state.waiting for one in (*pod.status.init_container_statuses, *pod.status.container_statuses)]
    return found.reason == PULL and not any(pull_cause(one.message) for one in waiting if one)


def _dead(seen: Seen) -> Said | None:
    if not is_dead(seen.pod):
        return None
    status = seen.pod.status
    ended = next((one for one in status.container_statuses if one.state.terminated and one.state.terminated.exit_code), None)
    end = ended.state.terminated if ended else None
    reason = status.reason or (end.reason if end else "") or status.phase
    text = one_line(status.message) or (_end_text(seen, ended, end) if ended and end else "")
    return ReplicaState.FAILING, reason, f"ended{seen.at}: {text}" if text else f"ended{seen.at}"


def _serving(seen: Seen) -> Said | None:
    return (ReplicaState.SERVING, "", "") if seen.holds("Ready") else None


def _unready(seen: Seen) -> list[ContainerStatus]:
    """Containers that are not up, or not through, in the order in which they run: a pod waits at the first of them."""
    status = seen.pod.status
    ends = [(one, one.state.terminated) for one in status.init_container_statuses if not one.ready]
    inits = [one for one, end in ends if end is None or end.exit_code != 0]
    return [*inits, *(one for one in status.container_statuses if not one.ready)]


def _crashed(seen: Seen) -> Said | None:
    ends = [(one, one.state.terminated or one.last_state.terminated) for one in _unready(seen) if _crashes(seen, one)]
    if not ends:
        return None
    killed = next(((one, end) for one, end in ends if end is not None and end.reason == OOM), None)
    container, end = killed or ends[0]
    return ReplicaState.FAILING, OOM if killed else CRASH, _end_text(seen, container, end)


def _crashes(seen: Seen, container: ContainerStatus) -> bool:
    """Does it end again and again? restartCount grows through the whole back-off while the state stays `terminated` (facts/node.md 4)."""
    state, restarts = container.state, container.restart_count
    if state.waiting is not None:
        again = (RUN_FAILED, *QUIET_WAITS) if restarts > MANY_RESTARTS else (RUN_FAILED,)
        return state.waiting.reason == CRASH or (restarts > 0 and state.waiting.reason in again)
    if restarts == 0 or restarts > MANY_RESTARTS:
        return restarts > 0
    return state.terminated is not None or _suspect(seen, state.running, container.last_state.terminated)


def _suspect(seen: Seen, running: Running | None, last: Terminated | None) -> bool:
    """Is it up again after a crash, and not yet further than the run that crashed? Once it was Ready in this run it is."""
    if running is None or last is None or last.exit_code == 0 or last.reason == "ContainerStatusUnknown":
        return False  # nobody saw how that one ended: its node was away
    started, ready = seconds(running.started_at), seen.condition("Ready")
    changed = seconds(ready.last_transition_time) if ready else None
    if started is None or (changed is not None and changed > started):
        return started is None
    before, ended = seconds(last.started_at), seconds(last.finished_at)
    length = 2 * (ended - before) + RUN_MARGIN if before is not None and ended is not None else RECENT
    return seen.now - started < min(length, RECENT)


def _end_text(seen: Seen, container: ContainerStatus, end: Terminated | None) -> str:
    """Exit code, restarts, node, last line of the termination text; without one, where to look for it."""
    meta = seen.pod.metadata
    code = [f"exit code {end.exit_code}"] if end is not None else []
    restarts = [f"{container.restart_count} restart{'s' * (container.restart_count != 1)}"]
    where = f"{', '.join([*code, *restarts])}{seen.at}, container {container.name}"
    look = f"no last words; see kubectl logs -n {meta.namespace} {meta.name} -c {container.name} --previous"
    return f"{where}: {(one_line(end.message, last=True) if end else '') or look}"


def _refused(seen: Seen) -> Said | None:
    """A container that cannot be made or run. Kubelets have more words for it than any table: whatever reads like an error is one."""
    for container in _unready(seen):
        waiting = container.state.waiting
        if waiting is None or waiting.reason in PULLS or not _sounds_wrong(waiting.reason):
            continue
        text = one_line(waiting.message)
        return ReplicaState.FAILING, waiting.reason, f"container {container.name}{seen.at}" + (f": {text}" if text else "")
    return None


def _sounds_wrong(reason: str) -> bool:
    return reason.endswith(("Error", "BackOff")) or reason.startswith("Err")


def _unscheduled(seen: Seen) -> Said | None:
    found = seen.condition("PodScheduled")
    if found is not None and found.status == "False":
        return ReplicaState.PENDING, found.reason or "Unschedulable", scheduling_sentence(found.message)
    if found is None and not seen.pod.spec.node_name and seen.age > PATIENCE:
        return ReplicaState.PENDING, "Unschedulable", "no scheduler has looked at it; is one running, and is schedulerName right?"
    return None


def _unpulled(seen: Seen) -> Said | None:
    for container in _unready(seen):
        waiting = container.state.waiting
        if waiting is None or waiting.reason not in PULLS:
            continue
        cause = pull_cause(waiting.message, container.image) or _pull_event(seen, container.image)
        reason = PULL if waiting.reason in RETRIED_PULLS else waiting.reason
        image = pulled_image(waiting.message, container.image)
        return ReplicaState.PENDING, reason, f"image {image}{seen.at}" + (f": {cause}" if cause else " cannot be pulled")
    return None


def _pull_event(seen: Seen, image: str) -> str:
    """The newest event with a cause in it: the kubelet also writes `Error: ImagePullBackOff`."""
    told = sorted((one for one in seen.events if one.reason in ("Failed", "InspectFailed")), key=lambda one: -one.last)
    return next((cause for one in told if (cause := pull_cause(one.message, image))), "")


def _unmounted(seen: Seen) -> Said | None:
    """Only events say it: the pod itself waits in ContainerCreating."""
    if seen.pod.spec.node_name == "" or _runs(seen):
        return None
    if (mount := seen.newest(MOUNTS)) is not None:
        return ReplicaState.PENDING, mount.reason, f"{one_line(mount.message)}{seen.at}"
    if (sandbox := seen.newest(frozenset({SANDBOX}))) is not None:
        return ReplicaState.FAILING, "CreatePodSandboxError", f"{one_line(sandbox.message)}{seen.at}"
    return None


def _runs(seen: Seen) -> bool:
    return any(one.state.running for one in (*seen.pod.status.init_container_statuses, *seen.pod.status.container_statuses))


def _downloading(seen: Seen) -> Said | None:
    found = next((one for one in seen.pod.status.init_container_statuses if one.name == DOWNLOAD and one.state.running), None)
    if found is None:
        return None
    last = found.last_state.terminated
    tried = f"try {found.restart_count + 1}; the last one ended: {_end_text(seen, found, last)}" if last is not None else ""
    return ReplicaState.DOWNLOADING, "Downloading", tried


def _gated(seen: Seen) -> Said | None:
    """The containers are ready and somebody else's word is missing."""
    if not seen.holds("ContainersReady"):
        return None
    closed = [gate.condition_type for gate in seen.pod.spec.readiness_gates if not seen.holds(gate.condition_type)]
    if APPROVED in closed:
        return ReplicaState.STARTING, APPROVAL, f"ready, and waits for a person's approval: reconciler approve {seen.endpoint}"
    if closed:
        return ReplicaState.STARTING, "", f"its containers are ready{seen.at}; waits for the readiness gate {', '.join(closed)}"
    if seen.pod.spec.readiness_gates or lost_readiness(seen.pod) is None:
        return None
    return (
        ReplicaState.STARTING,
        "",
        f"node {seen.pod.spec.node_name} does not answer: the pod was ready, and its cluster marked it as not ready",
    )


def _starting(seen: Seen) -> Said | None:
    return ReplicaState.STARTING, "", _starting_text(seen)


def _starting_text(seen: Seen) -> str:
    """What it waits for, as far as anybody says."""
    current = next(iter(_unready(seen)), None)
    if not seen.pod.spec.node_name:
        return ""
    if current is None:
        late = seen.age > PATIENCE and not seen.pod.status.container_statuses
        return f"given to {seen.pod.spec.node_name}, whose kubelet has reported nothing of it yet" if late else ""
    if current.state.terminated is not None:
        return f"ended once: {_end_text(seen, current, current.state.terminated)}"
    return _probe_text(seen) if current.state.running is not None else ""


def _probe_text(seen: Seen) -> str:
    probe = seen.newest(frozenset({"Unhealthy"}))
    before = "was ready before; " if lost_readiness(seen.pod) is not None else ""
    said = one_line(probe.message) if probe is not None else ""
    return f"{before}runs{seen.at} and is not ready" + (f": {said}" if said else "") if before or said else ""


CHECKS: Final[tuple[Callable[[Seen], Said | None], ...]] = (
    _dead,
    _serving,
    _crashed,
    _refused,
    _unscheduled,
    _unpulled,
    _unmounted,
    _downloading,
    _gated,
    _starting,
)
