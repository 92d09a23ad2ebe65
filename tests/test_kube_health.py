"""Kubernetes' words as serving facts: the classes of pods (facts/kubernetes.md 10.2), rollouts (10.3), what a real kubelet shows
(facts/node.md 4), and the word that comes of them by the table of `status.py`. One line per case."""

import pytest
from kube_objects import (
    NOW,
    Object,
    at,
    cond,
    container,
    ended,
    event,
    events_of,
    pod,
    pods_of,
    ready,
    running,
    serving,
    slices_of,
    waiting,
    workload,
)

from reconciler.report.model import EndpointStatus
from reconciler.resource import Health, ReplicaState, Serving
from reconciler.status import Facts, word_of
from reconciler.targets.kubernetes.health.pods import replica_of
from reconciler.targets.kubernetes.health.serving import addresses_of, needs_events
from reconciler.targets.kubernetes.health.words import one_line, pull_cause

FAIL, PEND, LOAD, BOOT, UP = (
    ReplicaState.FAILING,
    ReplicaState.PENDING,
    ReplicaState.DOWNLOADING,
    ReplicaState.STARTING,
    ReplicaState.SERVING,
)
LOOP, OOM, PULL = "CrashLoopBackOff", "OOMKilled", "ImagePullBackOff"
NOT_FOUND = 'rpc error: code = NotFound desc = failed to pull and unpack image "reg/x:1": failed to resolve image: reg/x:1: not found'
OLDER = 'failed to pull and unpack image "docker.io/reg/x:1": failed to resolve reference "docker.io/reg/x:1": docker.io/reg/x:1: not found'
BACK_OFF = 'Back-off pulling image "reg/x:1"'
NO_TRY = ("InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError")
STATUS = 'failed to pull and unpack image "reg/x:1": failed to resolve image: '
TOKEN = "http://reg/token?x=y"
DENIED = f"failed to authorize: failed to fetch anonymous token: unexpected status from GET request to {TOKEN}: 401 Unauthorized"
BROKEN = "unexpected status from HEAD request to http://reg/v2/x/manifests/1?ns=reg: 500 Internal Server Error"
NO_GPU = "0/4 nodes are available: 4 Insufficient nvidia.com/gpu"
QUOTA = 'pods "chat-6d5f-x7k2p" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1'
UNREADY = (cond("Ready", "False", "ContainersNotReady"),)


def crash(state: Object, last: Object | None = None, restarts: int = 3, init: bool = False, **more: object) -> Object:
    """A pod of which one container is not well."""
    bad = container(state, last, restarts, name="model-download" if init else "server")
    rest = (container(waiting("PodInitializing")),) if init else (bad,)
    return pod(*rest, init=(bad,) if init else (), **{"conditions": UNREADY, **more})


def held(reason: str, message: str = "", **more: object) -> Object:
    """A pod of which one container does not come to run."""
    return crash(waiting(reason, message), restarts=0, **more)


def ended_for_good(reason: str = "", message: str = "", *containers: Object) -> Object:
    return pod(*containers, phase="Failed", reason=reason, message=message)


def unscheduled(reason: str, message: str = "") -> Object:
    return pod(conditions=(cond("PodScheduled", "False", reason, message),), node="")


def up(*conditions: Object, **more: object) -> Object:
    """A pod of which all containers are ready; whether it is, is another question."""
    return pod(container(running(), ready=True), conditions=(cond("ContainersReady"), *conditions), **more)


def gated(*conditions: Object) -> Object:
    return up(cond("Ready", "False", "ReadinessGatesNotReady"), *conditions, gates=("reconciler.dev/approved",))


KILLED, LOST = ended(137, OOM), (cond("Ready", "False", ago=20),)
LAST_WORDS = ended(1, message="loading\n boom \n\n")
STARTED_BADLY = ended(128, "StartError", "exec: no such file")
PREEMPTION = "no new claims to deallocate, preemption: 0/4 nodes are available: 4 No preemption victims found"
NO_MODEL = NOT_FOUND.replace("reg/x:1", "reg/model:2")  # of an image volume

# what a pod says -> its class, its reason, and a piece of the line that a person reads
TABLE: dict[str, tuple[Object, ReplicaState, str, str]] = {
    # serving
    "ready": (ready(), UP, "", ""),
    "ready, whatever happened before": (pod(container(running(), ended(), 9, ready=True), conditions=(cond("Ready"),)), UP, "", ""),
    # failing: 10.2 E
    "waits after a crash": (crash(waiting(LOOP), LAST_WORDS), FAIL, LOOP, "exit code 1, 3 restarts on n1, container server: boom"),
    "one restart": (crash(waiting(LOOP), ended(2), restarts=1), FAIL, LOOP, "exit code 2, 1 restart on n1"),
    "no last words": (crash(waiting(LOOP), ended(1)), FAIL, LOOP, "see kubectl logs -n team-a p -c server --previous"),
    "cannot be run": (held("RunContainerError", "exec: no such file"), FAIL, "RunContainerError", "exec: no such file"),
    "cannot be created": (held("CreateContainerError", "no command specified"), FAIL, "CreateContainerError", "no command specified"),
    "configuration": (held("CreateContainerConfigError", "no secret x"), FAIL, "CreateContainerConfigError", "server on n1: no secret x"),
    "hook": (held("PostStartHookError"), FAIL, "PostStartHookError", "container server on n1"),
    "sandbox": (held("CreatePodSandboxError"), FAIL, "CreatePodSandboxError", ""),
    "an error that no table knows": (held("ConfigPodSandboxError"), FAIL, "ConfigPodSandboxError", ""),
    "killed for memory": (crash(KILLED, KILLED), FAIL, OOM, "exit code 137, 3 restarts on n1"),
    "killed for memory before, waits": (crash(waiting(LOOP), KILLED), FAIL, OOM, "exit code 137"),
    "killed for memory before, just up again": (crash(running(3), ended(137, OOM, ago=13, ran=20)), FAIL, OOM, "exit code 137"),
    "more than 5 restarts, not ready": (crash(running(1000), restarts=6), FAIL, LOOP, "6 restarts"),
    "evicted": (ended_for_good("Evicted", "low on resource: memory."), FAIL, "Evicted", "ended on n1: low on resource: memory."),
    "refused by the kubelet": (ended_for_good("UnexpectedAdmissionError", "no GPU"), FAIL, "UnexpectedAdmissionError", "no GPU"),
    "node lost": (ended_for_good("NodeLost"), FAIL, "NodeLost", "ended on n1"),
    "failed by its container": (ended_for_good("", "", container(ended(3))), FAIL, "Error", "exit code 3, 0 restarts on n1"),
    "init container crashes": (crash(ended(1, message="403"), ended(1), init=True), FAIL, LOOP, "container model-download: 403"),
    "init container cannot be made": (held("CreateContainerError", init=True), FAIL, "CreateContainerError", "model-download"),
    # node.md 4: what a real kubelet shows of a crash loop for nearly all of its time
    "down, back-off runs": (crash(ended(1, message="boom"), ended(1)), FAIL, LOOP, "boom"),
    "up again for a moment": (crash(running(3), ended(1, ago=13, ran=2)), FAIL, LOOP, "exit code 1"),
    "up again, and longer than the last time": (crash(running(60), ended(1, ago=70, ran=2)), BOOT, "", ""),
    "up again, still in what took long the last time": (crash(running(60), ended(1, ago=70, ran=200)), FAIL, LOOP, ""),
    "up again for long": (crash(running(301), ended(1, ago=311, ran=4000)), BOOT, "", ""),
    "restarted well": (crash(running(3), ended(0, "Completed"), restarts=1), BOOT, "", ""),
    "the first end": (crash(LAST_WORDS, restarts=0), BOOT, "", "ended once: exit code 1, 0 restarts on n1, container server: boom"),
    "the run fails at every try": (crash(waiting("RunContainerError"), STARTED_BADLY, restarts=2), FAIL, LOOP, "exec: no such file"),
    # pending: 10.2 P
    "no room": (unscheduled("Unschedulable", f"{NO_GPU}. {PREEMPTION}."), PEND, "Unschedulable", NO_GPU),
    "no claim": (unscheduled("Unschedulable", 'persistentvolumeclaim "m" not found.'), PEND, "Unschedulable", 'claim "m" not found'),
    "scheduling gate": (unscheduled("SchedulingGated"), PEND, "SchedulingGated", ""),
    "scheduler fails": (unscheduled("SchedulerError"), PEND, "SchedulerError", ""),
    "no scheduler": (pod(node="", age=31), PEND, "Unschedulable", "schedulerName"),
    "no image": (held("ErrImagePull", NOT_FOUND), PEND, PULL, "image reg/x:1 on n1: not found"),
    "no image, backs off": (held(PULL, f"{BACK_OFF}: ErrImagePull: {NOT_FOUND}"), PEND, PULL, "image reg/x:1 on n1: not found"),
    "no image, older runtime": (held("ErrImagePull", OLDER), PEND, PULL, "image reg/x:1 on n1: not found"),
    "no login": (held("ErrImagePull", STATUS + DENIED), PEND, PULL, "image reg/x:1 on n1: 401 Unauthorized"),
    "the registry is broken": (held("ErrImagePull", STATUS + BROKEN), PEND, PULL, "image reg/x:1 on n1: 500 Internal Server Error"),
    "no model in an image volume": (held("ErrImagePull", NO_MODEL), PEND, PULL, "image reg/model:2 on n1: not found"),
    "no cause": (held(PULL, BACK_OFF), PEND, PULL, "image reg/x:1 on n1 cannot be pulled"),
    "no image after a crash": (crash(waiting("ErrImagePull", NOT_FOUND), ended(1), restarts=7), PEND, PULL, "not found"),
    "image of an init container": (held("ErrImagePull", NOT_FOUND, init=True), PEND, PULL, "not found"),
    **{reason: (held(reason, "why"), PEND, reason, "image reg/x:1 on n1: why") for reason in NO_TRY},
    # downloading: 10.2 D
    "the model is loaded": (crash(running(), restarts=0, init=True), LOAD, "Downloading", ""),
    "... at the second try": (crash(running(60), ended(ago=70), 1, init=True), LOAD, "Downloading", "try 2; the last one ended: exit"),
    # starting: 10.2 S
    "not seen by the scheduler yet": (pod(node="", age=3), BOOT, "", ""),
    "being created": (held("ContainerCreating"), BOOT, "", ""),
    "another init container runs": (pod(init=(container(running(), name="warm"),), conditions=UNREADY), BOOT, "", ""),
    "after its init containers": (pod(container(waiting("PodInitializing")), init=(container(ended(0)),)), BOOT, "", ""),
    "runs, not ready yet": (crash(running(), restarts=0), BOOT, "", ""),
    "was ready": (crash(running(900), restarts=0, conditions=LOST, age=900), BOOT, "", "was ready before; runs on n1 and is not ready"),
    "ready in this run, after a crash": (crash(running(200), ended(ago=210), 2, conditions=LOST, age=900), BOOT, "", "was ready before"),
    "its kubelet is silent": (pod(age=31), BOOT, "", "given to n1, whose kubelet has reported nothing of it yet"),
    "its kubelet has had no time": (pod(age=29), BOOT, "", ""),
    "its node is silent": (up(*LOST, age=900), BOOT, "", "node n1 does not answer"),
    "waits for approval": (gated(), BOOT, "RequireReadinessApproval", "reconciler approve team-a/chat"),
    "approval was taken back": (gated(cond("reconciler.dev/approved", "False")), BOOT, "RequireReadinessApproval", "reconciler approve"),
    "another gate is closed": (up(gates=("lb",)), BOOT, "", "waits for the readiness gate lb"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_a_pod_s_class_reason_and_line(case: str) -> None:
    found, state, reason, piece = TABLE[case]
    (replica,) = (replica_of(one, (), NOW, "team-a/chat") for one in pods_of(found))

    assert (replica.state, replica.reason) == (state, reason)
    assert piece in replica.message
    assert "\n" not in replica.message


CREATING, UNREADY_YET, BACKS_OFF = held("ContainerCreating"), crash(running(), restarts=0), held(PULL, BACK_OFF)
MOUNT = event("FailedMount", 'MountVolume.SetUp failed for volume "m" : configmap "m" not found')
PROBE = "Readiness probe failed: HTTP probe failed with statuscode: 503"
WHY, EMPTY = event("Failed", f'Failed to pull image "reg/x:1": {NOT_FOUND}'), event("Failed", "Error: ImagePullBackOff", ago=1)
TOLD: dict[str, tuple[Object, tuple[Object, ...], ReplicaState, str, str]] = {
    "a volume cannot be mounted": (CREATING, (MOUNT,), PEND, "FailedMount", 'configmap "m" not found on n1'),
    "a volume cannot be attached": (CREATING, (event("FailedAttachVolume", "in use"),), PEND, "FailedAttachVolume", "in use on n1"),
    "... could not, long ago": (CREATING, (event("FailedMount", "slow", ago=301),), BOOT, "", ""),
    "... could not, and it runs": (UNREADY_YET, (MOUNT,), BOOT, "", ""),
    "no network": (CREATING, (event("FailedCreatePodSandBox", "plugin failed"),), FAIL, "CreatePodSandboxError", "plugin failed on n1"),
    "a probe fails": (UNREADY_YET, (event("Unhealthy", PROBE),), BOOT, "", f"runs on n1 and is not ready: {PROBE}"),
    "the newest word counts": (UNREADY_YET, (event("Unhealthy", "new", ago=1), event("Unhealthy", "old")), BOOT, "", "not ready: new"),
    "why an image cannot be pulled": (BACKS_OFF, (EMPTY, WHY), PEND, PULL, "image reg/x:1 on n1: not found"),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_what_only_events_say(case: str) -> None:
    found, events, state, reason, piece = TOLD[case]
    replica = replica_of(pods_of(found)[0], events_of(*events).get("uid-p", ()), NOW)

    assert (replica.state, replica.reason) == (state, reason)
    assert piece in replica.message


def word(found: Serving, ever: bool = True, timeout: float = 600) -> tuple[Health, str]:
    """The word of a declared endpoint, by the rules that all targets share. ever: it has been Ready before."""
    before = EndpointStatus("Endpoint/team-a/chat", Health.READY, "Ready", ever_ready=True) if ever else None
    return word_of(Facts(True, False, found, "", timeout, NOW, before, False))


DONE = cond("Progressing", "True", "NewReplicaSetAvailable", ago=3600, updated=3000)
MOVES = cond("Progressing", "True", "ReplicaSetUpdated", ago=300, updated=20)
SLOW = cond("Progressing", "True", "ReplicaSetUpdated", ago=3000, updated=700)
LATE = cond("Progressing", "False", "ProgressDeadlineExceeded", 'ReplicaSet "chat-6d5f" has timed out progressing.', ago=5)
REFUSED = cond("ReplicaFailure", "True", "FailedCreate", QUOTA)
A, B, C, NEW = (*(ready(name, age=3600) for name in "abc"), crash(running(), restarts=0, name="new", age=20))
BAD, STUCK = crash(ended(1), ended(1), name="bad"), unscheduled("Unschedulable", NO_GPU)
GONE = pod(phase="Failed", reason="Evicted", name="gone", age=3000, conditions=(cond("Ready", "False", ago=100),))
SHORT, NONE, ROLLS = (
    {"updatedReplicas": 1, "readyReplicas": 1},
    {"replicas": 0, "updatedReplicas": 0},
    {"replicas": 3, "updatedReplicas": 1},
)
NO_SET = cond("Progressing", "False", "ReplicaSetCreateError", "quota")
PAUSED = cond("Progressing", "Unknown", "DeploymentPaused")
LOADS = crash(running(), restarts=0, init=True)
FELL_ILL = crash(running(880), restarts=0, conditions=(cond("Ready", "False", ago=9),), name="ill", age=890)
LEAVES = crash(ended(1), ended(1), deleting=True)
DEADLINE, UNREADY_ONES = "ProgressDeadlineExceeded", "ReplicasNotReady"

# a Deployment and its pods -> rollout under way?, the word and its reason; 10.3 by the numbers of its rules
WORDS: dict[str, tuple[Object, tuple[Object, ...], bool, Health, str]] = {
    "2 deleted": (workload(2, DONE, deleting=True), (A, B), True, Health.DELETING, "Pruned"),
    "5 wants none": (workload(0, DONE), (), False, Health.SCALED_DOWN, "Idle"),
    "6 none serves, one fails": (workload(2, MOVES, **SHORT), (BAD, NEW), True, Health.ERROR, LOOP),
    "6 no pod is let in": (workload(2, MOVES, REFUSED, **NONE), (), True, Health.ERROR, "FailedCreate"),
    "6 no ReplicaSet is let in": (workload(2, NO_SET, **NONE), (), True, Health.ERROR, "ReplicaSetCreateError"),
    "7 none serves, no room": (workload(2, MOVES, **SHORT), (STUCK,), True, Health.PENDING, "Unschedulable"),
    "7 stays pending past the deadline": (workload(2, LATE, **SHORT), (STUCK,), True, Health.PENDING, "Unschedulable"),
    "7 no pod 31 s after the write": (workload(2, written=31, observed=4, **NONE), (), True, Health.PENDING, "NotCreated"),
    "10 no pod 29 s after the write": (workload(2, written=29, observed=4, **NONE), (), True, Health.STARTING, "Starting"),
    "8 none serves, overdue": (workload(2, LATE, **SHORT), (NEW,), True, Health.ERROR, DEADLINE),
    "8 overdue by our clock": (workload(2, SLOW, **SHORT), (NEW,), True, Health.ERROR, DEADLINE),
    "9 the model is loaded": (workload(2, MOVES, **SHORT), (LOADS,), True, Health.MODEL_DOWNLOADING, "Downloading"),
    "10 starts": (workload(2, MOVES, **SHORT), (NEW,), True, Health.STARTING, "Starting"),
    "10 nobody has approved it for an hour": (workload(1, LATE), (gated(),), True, Health.STARTING, "Starting"),
    "11 one of three fails": (workload(3, DONE), (A, B, BAD), False, Health.DEGRADED, LOOP),
    "11 a new one fails, all old ones serve": (workload(2, MOVES, **ROLLS), (A, B, BAD), True, Health.DEGRADED, LOOP),
    "11 no new one is let in": (workload(2, MOVES, REFUSED, updatedReplicas=0), (A, B), True, Health.DEGRADED, "FailedCreate"),
    "11 a lost one is not let in": (workload(2, DONE, REFUSED, replicas=1, **SHORT), (A,), False, Health.DEGRADED, "FailedCreate"),
    "11 one was evicted, its successor starts": (workload(2, DONE), (A, NEW, GONE), False, Health.DEGRADED, "Evicted"),
    "12 overdue": (workload(2, LATE, **ROLLS), (A, B, NEW), True, Health.DEGRADED, DEADLINE),
    "12 overdue, no room": (workload(2, LATE, **ROLLS), (A, B, STUCK), True, Health.DEGRADED, "Unschedulable"),
    "13 no room, no rollout": (workload(2, DONE), (A, STUCK), False, Health.DEGRADED, "Unschedulable"),
    "14 one of two, never ready before": (workload(2, MOVES, readyReplicas=1), (A, NEW), True, Health.STARTING, "1 of 2 ready, serving"),
    "15 rolls": (workload(2, MOVES, **ROLLS), (A, B, NEW), True, Health.UPDATING, "RollingUpdate"),
    "15 the write is not seen yet": (workload(2, DONE, observed=4, written=3), (A, B), True, Health.UPDATING, "RollingUpdate"),
    "15 old ones are not gone yet": (workload(2, DONE, replicas=3, written=3), (A, B, C), True, Health.UPDATING, "RollingUpdate"),
    "15 scaled up, the new one starts": (workload(3, DONE, written=22), (A, B, NEW), True, Health.UPDATING, "Scaling"),
    "15 scaled up, the new one is not made yet": (workload(3, DONE, written=2, replicas=2), (A, B), True, Health.UPDATING, "Scaling"),
    "15 the new one waits for approval": (workload(2, LATE, **ROLLS), (A, B, gated()), True, Health.UPDATING, "RollingUpdate"),
    "15 no condition at all, by the counts": (workload(2, **ROLLS, written=20), (A, B, NEW), True, Health.UPDATING, "RollingUpdate"),
    "16 a lost one starts again": (workload(2, DONE), (A, NEW), False, Health.DEGRADED, UNREADY_ONES),
    "16 a lost one is not made yet": (workload(2, DONE, replicas=1, **SHORT), (A,), False, Health.DEGRADED, UNREADY_ONES),
    "16 one is not ready any more": (workload(2, DONE, written=900), (A, FELL_ILL), False, Health.DEGRADED, UNREADY_ONES),
    "17 ready": (workload(2, DONE), (A, B), False, Health.READY, "Ready"),
    "17 one by default": (workload(None, DONE), (A,), False, Health.READY, "Ready"),
    "17 what is on its way out does not count": (workload(2, DONE), (A, B, LEAVES), False, Health.READY, "Ready"),
    "17 what was evicted has been replaced": (workload(2, DONE), (A, B, GONE), False, Health.READY, "Ready"),
    "17 a failure to create that is over": (workload(2, DONE, REFUSED), (A, B), False, Health.READY, "Ready"),
    "17 a rollout that was paused when all was done": (workload(2, PAUSED), (A, B), False, Health.READY, "Ready"),
}  # fmt: skip
NEVER = ("14 one of two, never ready before",)


@pytest.mark.parametrize("case", WORDS)
def test_a_workload_s_word(case: str) -> None:
    found, pods, rollout, health, reason = WORDS[case]
    facts = serving(found, *pods, timeout=600)

    assert facts.rollout is rollout
    assert word(facts, ever=case not in NEVER) == (health, reason)
    assert not facts.gave_up
    assert not facts.unsettled


def test_old_and_new_pods_count_alike_until_the_old_ones_are_gone() -> None:
    found = serving(workload(2, MOVES, replicas=3, updatedReplicas=1), A, B, NEW)

    assert (found.desired, found.ready, len(found.replicas)) == (2, 2, 3)


def test_worst_first_by_state_then_reason_then_age() -> None:
    killed = crash(ended(137, OOM), ended(137, OOM), name="oom", age=900)
    refused = held("CreateContainerError", name="refused", age=1)
    young = crash(ended(1), ended(1), name="young", age=5)

    assert [one.name for one in serving(workload(7), A, NEW, STUCK, refused, BAD, young, killed).replicas] == [
        "oom", "young", "bad", "refused", "p", "new", "a"]  # fmt: skip


@pytest.mark.parametrize("labels", [{}, {"reconciler.dev/workspace": "team-a", "reconciler.dev/endpoint": "chat"}])
def test_who_approves_is_told_what_to_type(labels: Object) -> None:
    found = workload(1, MOVES, labels=labels)
    found["metadata"] |= {"namespace": "acme-team-a", "name": "chat-lws"} if labels else {}

    assert serving(found, gated()).replicas[0].message.endswith("reconciler approve team-a/chat")


def test_the_refused_pod_has_no_name_and_the_refusal_no_pod_s_name() -> None:
    (found,) = serving(workload(1, REFUSED, replicas=0, updatedReplicas=0)).replicas

    assert (found.name, found.message) == ("", "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1")


def annotated(found: Object) -> Object:
    """Somebody wrote an annotation just now."""
    entry = {"manager": "kubectl-annotate", "operation": "Update", "time": at(0), "fieldsV1": {"f:metadata": {}}}
    return {**found, "metadata": {**found["metadata"], "managedFields": [*found["metadata"]["managedFields"], entry]}}


SINCE = {
    "what was just written": (workload(2, DONE, written=40, observed=4), 40),
    "the last replica that came up": (workload(2, MOVES, **SHORT), 20),
    "the deadline before the server's word": (workload(2, LATE, spec={"progressDeadlineSeconds": 900}, **SHORT), 906),
    "a scaling by somebody else": (workload(3, DONE, written=15), 15),
    "a scaling, not an annotation that came later": (annotated(workload(3, DONE, written=15)), 15),
    "no rollout": (workload(2, DONE), None),
}


@pytest.mark.parametrize(("found", "ago"), SINCE.values(), ids=SINCE)
def test_when_a_rollout_began(found: Object, ago: float | None) -> None:
    pods = (A, B, NEW) if found["spec"]["replicas"] == 3 else (A, B)

    assert serving(found, *pods).since == (None if ago is None else NOW - ago)


def test_the_server_s_deadline_is_overdue_whatever_ours_is() -> None:
    late = workload(2, LATE, spec={"progressDeadlineSeconds": 60}, **SHORT)

    assert word(serving(late, NEW, timeout=1200), timeout=1200)[1] == "ProgressDeadlineExceeded"
    assert word(serving(late, NEW), timeout=1200)[1] == "Starting"


def test_what_the_controller_says_stands_beside_the_word() -> None:
    paused = workload(2, PAUSED, spec={"paused": True}, updatedReplicas=0)

    assert serving(workload(2, LATE, **SHORT), NEW).message == 'ReplicaSet "chat-6d5f" has timed out progressing.'
    assert "spec.paused" in serving(paused, A, B).message
    assert "spec.paused" in serving(workload(2, MOVES, spec={"paused": True}, **ROLLS), A, B, NEW).message
    assert word(serving(paused, A, B)) == (Health.DEGRADED, "ProgressDeadlineExceeded")
    assert serving(workload(2, DONE), A, B).message == ""


LATELY = [{**GONE, "metadata": {**GONE["metadata"], "name": f"gone-{n}"}} for n in range(5)]
LONG_AGO = {**GONE, "status": {**GONE["status"], "conditions": [cond("Ready", "False", ago=301)]}}
DEAD = {
    "two lately, although all serve": (workload(2, DONE), (A, B, *LATELY[:2]), 2),
    "many lately: the newest": (workload(2, DONE), (A, B, *LATELY), 3),
    "one long ago, its successor starts": (workload(2, DONE), (A, NEW, LONG_AGO), 0),
    "one long ago, without a successor": (workload(2, DONE), (A, LONG_AGO), 1),
    "before the last write": (workload(2, DONE, written=99), (A, GONE), 0),
}


@pytest.mark.parametrize(("found", "pods", "count"), DEAD.values(), ids=DEAD)
def test_what_has_ended_for_good_counts(found: Object, pods: tuple[Object, ...], count: int) -> None:
    assert serving(found, *pods).count(FAIL) == count


def member(found: Object, group: int, worker: int) -> Object:
    labels = {"leaderworkerset.sigs.k8s.io/group-index": str(group), "leaderworkerset.sigs.k8s.io/worker-index": str(worker)}
    name = f"chat-{group}" + (f"-{worker}" if worker else "")
    return {**found, "metadata": {**found["metadata"], "name": name, "uid": name, "labels": labels}}


def group(number: int, leader: Object, worker: Object) -> tuple[Object, Object]:
    return member(worker, number, 1), member(leader, number, 0)


LWS = {"kind": "LeaderWorkerSet"}
UPDATES = cond("UpdateInProgress", "True", ago=100)
BOTH, ONE_NEW = (*group(0, A, B), *group(1, A, B)), (*group(0, A, B), *group(1, NEW, NEW))
GROUPS = {
    "both groups serve": (workload(2, **LWS), BOTH, [UP, UP], Health.READY, "Ready"),
    "a worker crashes": (workload(2, **LWS), (*group(0, A, B), *group(1, A, BAD)), [FAIL, UP], Health.DEGRADED, LOOP),
    "a worker starts": (workload(1, **LWS), group(0, A, NEW), [BOOT], Health.STARTING, "Starting"),
    "a worker has no room": (workload(1, **LWS), group(0, NEW, STUCK), [PEND], Health.PENDING, "Unschedulable"),
    "a worker is missing": (workload(1, **LWS), group(0, A, B)[1:], [BOOT], Health.STARTING, "Starting"),
    "rolls": (workload(2, UPDATES, updatedReplicas=1, **LWS), BOTH, [UP, UP], Health.UPDATING, "RollingUpdate"),
    "just written": (workload(2, observed=4, written=1, **LWS), BOTH, [UP, UP], Health.UPDATING, "RollingUpdate"),
    "scaled": (workload(2, written=22, **LWS), ONE_NEW, [BOOT, UP], Health.UPDATING, "Scaling"),
    "lost a group": (workload(2, **LWS), ONE_NEW, [BOOT, UP], Health.DEGRADED, UNREADY_ONES),
}


@pytest.mark.parametrize(("found", "pods", "states", "health", "reason"), GROUPS.values(), ids=GROUPS)
def test_a_leader_worker_set_counts_groups(
    found: Object, pods: tuple[Object, ...], states: list[ReplicaState], health: Health, reason: str
) -> None:
    facts = serving(found, *pods)

    assert [one.state for one in facts.replicas] == states
    assert {one.name for one in facts.replicas} <= {"chat-0", "chat-1"}
    assert word(facts) == (health, reason)


def test_a_group_s_line_names_the_worker_that_is_to_blame() -> None:
    assert serving(workload(1, **LWS), *group(0, A, BAD)).replicas[0].message.startswith("chat-0-1: exit code 1")


def test_older_leader_worker_sets_do_not_say_what_they_observed() -> None:
    old = workload(1, **LWS)
    del old["status"]["observedGeneration"]

    assert not serving(old, *group(0, A, B)).rollout


NOT_MADE = workload(1, **NONE, **LWS)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (((10, "FailedCreate", "quota"), (20, "FailedCreate", "older")), "quota"),
        (((301, "FailedCreate", "history"),), ""),
        (((10, "SuccessfulCreate", "another matter"),), ""),
    ],
)
def test_a_group_that_is_not_let_in_is_told_by_events_alone(events: tuple[tuple[int, str, str], ...], message: str) -> None:
    found = serving(NOT_MADE, events=tuple(event(reason, text, about="uid-chat", ago=ago) for ago, reason, text in events))

    assert [one.message for one in found.replicas] == ([message] if message else [])
    assert word(found) == ((Health.ERROR, "FailedCreate") if message else (Health.PENDING, "NotCreated"))


WORKER_REFUSED = (event("FailedCreate", "exceeded quota: gpus", about="uid-chat", ago=10),)


@pytest.mark.parametrize("leader", [A, NEW], ids=["serves", "starts"])
def test_a_worker_that_is_not_let_in_is_told_although_its_leader_is_there(leader: Object) -> None:
    found = serving(workload(1, **LWS), *group(0, leader, B)[1:], events=WORKER_REFUSED)

    (replica,) = found.replicas
    assert (replica.state, replica.reason) == (FAIL, "FailedCreate")
    assert replica.message.startswith("1 of the 2 pods of this replica are there: ")
    assert "exceeded quota" in replica.message


def test_what_was_refused_before_is_history_when_the_group_is_whole() -> None:
    assert [one.state for one in serving(workload(1, **LWS), *group(0, A, B), events=WORKER_REFUSED).replicas] == [UP]


ASKED = {
    "starts for long": (crash(running(), restarts=0, age=31), True),
    "starts": (crash(running(), restarts=0, age=29), False),
    "an image, without the cause": (BACKS_OFF, True),
    "an image, with the cause": (held("ErrImagePull", NOT_FOUND), False),
    "... of an init container": (held("ErrImagePull", NOT_FOUND, init=True), False),
    "a crash says why": (BAD, False),
    "the scheduler says why": (STUCK, False),
    "waits for a person": (gated(), False),
    "serves": (A, False),
    "ended for good": (GONE, False),
    "on its way out": (crash(running(), restarts=0, age=99, deleting=True), False),
}


@pytest.mark.parametrize(("found", "asked"), ASKED.values(), ids=ASKED)
def test_events_are_asked_for_what_the_pod_does_not_say(found: Object, asked: bool) -> None:
    assert bool(needs_events(pods_of(found), NOW)) is asked


def test_every_workload_has_a_turn_before_any_has_a_second() -> None:
    many = [crash(running(), restarts=0, name=f"many-{n}", age=100 + n, owner="many") for n in range(9)]
    other = crash(running(), restarts=0, name="other", age=900, owner="other")

    assert needs_events(pods_of(*many, other), NOW, limit=3) == ("uid-many-0", "uid-other", "uid-many-1")


def endpoints(*hosts: str, kind: str = "IPv4", ports: list[Object] | None = None, **conditions: bool | None) -> Object:
    where = [{"addresses": [host], "conditions": conditions} for host in hosts]
    return {"metadata": {"name": "s"}, "addressType": kind, "ports": ports or [{"name": "http", "port": 8000}], "endpoints": where}


HTTP, METRICS = {"name": "http", "port": 80}, {"name": "metrics", "port": 9}
ONE, TWO = "10.1.0.1:8000", "10.1.0.2:8000"
ADDRESSES = {
    "ready ones, sorted": ((endpoints("10.1.0.2", "10.1.0.1", ready=True),), (ONE, TWO)),
    "several slices, each once": ((endpoints("10.1.0.1", ready=True), endpoints("10.1.0.1", "10.1.0.2", ready=True)), (ONE, TWO)),
    "not known is ready": ((endpoints("10.1.0.1"), endpoints("10.1.0.2", ready=None)), (ONE, TWO)),
    "not ready": ((endpoints("10.1.0.1", ready=False),), ()),
    "serves its last requests": ((endpoints("10.1.0.1", ready=False, serving=True, terminating=True),), ()),
    "published although not ready, on its way out": ((endpoints("10.1.0.1", ready=True, terminating=True),), ()),
    "IPv6": ((endpoints("2001:db8::1", kind="IPv6", ready=True),), ("[2001:db8::1]:8000",)),
    "loopback": ((endpoints("127.0.0.1", ready=True), endpoints("::1", kind="IPv6", ready=True)), ()),
    "a name": ((endpoints("a.example", kind="FQDN", ready=True),), ()),
    "another port": ((endpoints("10.1.0.1", ready=True, ports=[METRICS, HTTP]),), ("10.1.0.1:80",)),
    "no such port": ((endpoints("10.1.0.1", ready=True, ports=[METRICS]),), ()),
    "null lists": (({**endpoints(), "endpoints": None}, {**endpoints("10.1.0.1"), "ports": None}), ()),
}


@pytest.mark.parametrize(("found", "addresses"), ADDRESSES.values(), ids=ADDRESSES)
def test_addresses(found: tuple[Object, ...], addresses: tuple[str, ...]) -> None:
    assert addresses_of(slices_of(*found), "http") == addresses


def test_a_line_is_one_line_without_escapes_and_of_bounded_length() -> None:
    assert one_line("\x1b[31mERROR\x1b[0m\tno\x00 GPU\r\n\n") == "ERROR no GPU"
    assert len(one_line("x" * 5000)) == 300
    assert pull_cause(f'Back-off pulling image "{"y" * 400}": ErrImagePull: not found') == "not found"
