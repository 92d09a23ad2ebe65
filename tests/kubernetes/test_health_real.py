"""Serving -> word on a real API server, with the real Deployment controller, scheduler and quota, and simulated kubelets."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from reconciler.report.model import EndpointStatus
from reconciler.resource import Health, ReplicaState, Serving
from reconciler.status import Facts, word_of
from reconciler.targets.kubernetes import shapes
from reconciler.targets.kubernetes.health.serving import addresses_of, needs_events, serving_of
from tools.controlplane import ControlPlane

Object = dict[str, Any]
MODE, DELAY = "sim.reconciler.dev/mode", "sim.reconciler.dev/ready-delay"
READY_BEFORE = EndpointStatus("Endpoint/team-a/chat", Health.READY, "Ready", ever_ready=True)
PATIENCE = 60.0  # seconds


@dataclass
class Site:
    """One Deployment `chat` in a namespace of its own, read as the target reads it: as the ordinary user, by LISTs."""

    plane: ControlPlane
    namespace: str
    ever_ready: bool = False
    ahead: float = 0.0  # seconds by which our clock is
    rollout_timeout: float = 0.0
    words: list[tuple[Health, str]] = field(default_factory=list)

    def apply(self, *objects: Object) -> None:
        for one in objects:
            self.plane.kubectl(
                "apply", "--server-side", "--field-manager=reconciler", "-n", self.namespace, "-f", "-", input=json.dumps(one)
            )

    def kubectl(self, *words: str) -> str:
        return self.plane.kubectl("-n", self.namespace, *words)

    def get(self, path: str, query: str = "") -> bytes:
        group = "/apis/apps/v1" if path == "deployments" else "/apis/discovery.k8s.io/v1" if path == "endpointslices" else "/api/v1"
        return self.plane.get(f"{group}/namespaces/{self.namespace}/{path}{query}", "reconciler")

    def pods(self) -> tuple[shapes.Pod, ...]:
        return shapes.rows(shapes.PODS, self.get("pods", "?labelSelector=app%3Dchat"), "the LIST of Pods")

    def item(self) -> shapes.Item:
        (found,) = shapes.items(self.get("deployments"), "the LIST of Deployments")
        return found

    def serving(self) -> Serving:
        workload, pods = shapes.deployment(self.item()), self.pods()
        now = time.time() + self.ahead
        asked = {uid: self.get("events", f"?fieldSelector=involvedObject.uid%3D{uid}") for uid in needs_events(pods, now)}
        events = {uid: shapes.rows(shapes.EVENTS, body, "the LIST of Events") for uid, body in asked.items()}
        return serving_of(workload, pods, events, now, rollout_timeout=self.rollout_timeout)

    def addresses(self) -> tuple[str, ...]:
        return addresses_of(shapes.rows(shapes.SLICES, self.get("endpointslices"), "the LIST of EndpointSlices"), "http")

    def word(self, found: Serving) -> tuple[Health, str]:
        facts = Facts(True, False, found, "", 600.0, time.time() + self.ahead, READY_BEFORE if self.ever_ready else None, False)
        word = word_of(facts)
        if self.words[-1:] != [word]:
            self.words.append(word)
        return word

    def until(self, word: Health, reason: str, met: Callable[[Serving], bool] = lambda _: True) -> Serving:
        """Read until the word is this one. The words that were passed on the way stand in `words`."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self.serving()
            if self.word(found) == (word, reason) and met(found):
                self.ever_ready = self.ever_ready or word is Health.READY
                return found
            assert time.monotonic() < deadline, f"{self.words}: {found}"
            time.sleep(0.05)


@pytest.fixture
def site(control_plane: ControlPlane, namespace: str) -> Site:
    control_plane.kubectl("create", "namespace", namespace)
    return Site(control_plane, namespace)


def chat(
    replicas: int = 2, mode: str = "", delay: str = "", gpus: int = 1, version: str = "1", pod: Object | None = None, **spec: Any
) -> Object:
    limits = {"nvidia.com/gpu": str(gpus)}
    server = {
        "name": "server",
        "image": f"reg/x:{version}",
        "ports": [{"name": "http", "containerPort": 8000}],
        "resources": {"limits": limits},
    }
    labels = {"app": "chat"} | ({MODE: mode} if mode else {})
    template = {
        "metadata": {"labels": labels, "annotations": {DELAY: delay} if delay else {}},
        "spec": {"containers": [server], **(pod or {})},
    }
    wanted = {"replicas": replicas, "selector": {"matchLabels": {"app": "chat"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "chat"}, "spec": wanted}


SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "chat"},
    "spec": {"selector": {"app": "chat"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
}
ONE_BY_ONE = {"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}


def quota(pods: int) -> Object:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": {"pods": str(pods)}}}


def test_from_nothing_to_ready_with_the_addresses_of_the_pods(site: Site) -> None:
    site.apply(SERVICE, chat())
    found = site.until(Health.READY, "Ready")

    assert (found.desired, found.ready, found.rollout, found.since) == (2, 2, False, None)
    assert {replica.node[:4] for replica in found.replicas} == {"gpu-"}
    wait_until(lambda: len(site.addresses()) == 2)
    assert site.addresses() == tuple(sorted(f"{pod.status.pod_ip}:8000" for pod in site.pods()))
    assert {word for word, _ in site.words} <= {Health.STARTING, Health.READY}


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_crash_is_told_by_its_true_reason(site: Site) -> None:
    site.apply(chat(1, mode="crash"))
    (replica,) = site.until(Health.ERROR, "OOMKilled").replicas

    assert replica.message.startswith(f"exit code 137, 5 restarts on {replica.node}, container server: ")


def test_an_image_that_cannot_be_pulled_by_what_the_kubelet_says(site: Site) -> None:
    site.apply(chat(1, mode="pull"))
    site.until(Health.PENDING, "ImagePullBackOff", lambda found: found.replicas[0].message.endswith(": image not found"))


def test_a_pod_of_which_nothing_is_heard_is_starting_and_says_so_later(site: Site) -> None:
    site.apply(chat(1, mode="stuck"))
    site.until(Health.STARTING, "Starting", lambda found: bool(found.replicas and found.replicas[0].node))
    site.ahead = 40

    assert "whose kubelet has reported nothing of it yet" in site.until(Health.STARTING, "Starting").replicas[0].message


def test_no_room_is_told_in_the_scheduler_s_words(site: Site) -> None:
    site.apply(chat(1, gpus=16))
    (replica,) = site.until(Health.PENDING, "Unschedulable").replicas

    assert replica.message.endswith("Insufficient nvidia.com/gpu")
    assert "preemption" not in replica.message


def test_a_missing_claim_is_told_in_the_scheduler_s_words(site: Site) -> None:
    volumes = {"volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": "models"}}]}
    site.apply(chat(1, pod=volumes))
    (replica,) = site.until(Health.PENDING, "Unschedulable").replicas

    assert 'persistentvolumeclaim "models" not found' in replica.message


def test_a_scheduling_gate(site: Site) -> None:
    site.apply(chat(1, pod={"schedulingGates": [{"name": "later"}]}))
    site.until(Health.PENDING, "SchedulingGated")


@pytest.mark.parametrize(("room", "word"), [(0, Health.ERROR), (1, Health.DEGRADED)])
def test_a_quota_refuses_pods(site: Site, room: int, word: Health) -> None:
    site.apply(quota(room))
    wait_until(lambda: '"pods":' in site.kubectl("get", "quota", "small", "-o", "jsonpath={.status.used}"))
    site.apply(chat(2))
    found = site.until(word, "FailedCreate", lambda found: found.ready == room)

    assert found.replicas[0].message == f"exceeded quota: small, requested: pods=1, used: pods={room}, limited: pods={room}"


def test_a_quota_refuses_the_new_pod_of_an_update_while_the_old_ones_serve(site: Site) -> None:
    site.apply(quota(2), chat(2, **ONE_BY_ONE))
    site.until(Health.READY, "Ready")
    site.apply(chat(2, version="2", **ONE_BY_ONE))

    assert site.until(Health.DEGRADED, "FailedCreate").ready == 2


def test_a_rolling_update_is_updating_until_the_last_old_pod_is_gone(site: Site) -> None:
    site.apply(chat(2, delay="1s", **ONE_BY_ONE))
    site.until(Health.READY, "Ready")
    site.words.clear()
    site.apply(chat(2, delay="1s", version="2", **ONE_BY_ONE))
    rolling = site.until(Health.UPDATING, "RollingUpdate")
    assert rolling.since is not None
    assert abs(time.time() - rolling.since) < PATIENCE
    site.until(Health.READY, "Ready", lambda found: {pod.status.container_statuses[0].image for pod in site.pods()} == {"reg/x:2"})

    assert site.words == [(Health.UPDATING, "RollingUpdate"), (Health.READY, "Ready")]


def test_a_bad_update_is_degraded_while_the_old_pods_serve_and_mended_by_the_next_one(site: Site) -> None:
    site.apply(chat(2, **ONE_BY_ONE))
    site.until(Health.READY, "Ready")
    site.apply(chat(2, mode="crash", version="2", **ONE_BY_ONE))
    assert site.until(Health.DEGRADED, "OOMKilled").ready == 2

    site.apply(chat(2, version="3", **ONE_BY_ONE))
    site.until(Health.READY, "Ready")


def test_scaled_up_it_is_updating_until_the_new_pods_serve(site: Site) -> None:
    site.apply(chat(1, delay="1s"))
    site.until(Health.READY, "Ready")
    site.words.clear()
    site.kubectl("scale", "deployment", "chat", "--replicas=3")
    found = site.until(Health.READY, "Ready", lambda found: found.desired == 3)

    assert found.ready == 3
    assert (Health.UPDATING, "Scaling") in site.words
    assert {word for word, _ in site.words} <= {Health.READY, Health.UPDATING}  # it read Ready before the number was written


def test_scaled_to_nothing_and_back(site: Site) -> None:
    site.apply(chat(1))
    site.until(Health.READY, "Ready")
    site.kubectl("scale", "deployment", "chat", "--replicas=0")
    site.until(Health.SCALED_DOWN, "Idle", lambda found: not found.replicas)
    site.kubectl("scale", "deployment", "chat", "--replicas=1")
    site.until(Health.READY, "Ready")


def test_a_lost_pod_is_a_missing_replica_and_no_rollout(site: Site) -> None:
    site.apply(chat(2, delay="2s"))
    site.until(Health.READY, "Ready")
    workload, (pod, *_) = shapes.deployment(site.item()), site.pods()
    site.kubectl("delete", "pod", pod.metadata.name, "--wait=false")
    wait_until(lambda: pod.metadata.uid not in {one.metadata.uid for one in site.pods() if not one.metadata.deletion_timestamp})
    # as it is a minute after the last write, without the minute: what was written has an older time
    written = shapes.ManagedFields("reconciler", time="2026-01-01T00:00:00Z", fields_v1=Raw(b'{"f:spec":{}}'))
    meta = replace(workload.metadata, managed_fields=(written,), creation_timestamp=written.time)
    found = serving_of(replace(workload, metadata=meta), site.pods(), {}, time.time())

    site.ever_ready = True
    assert site.word(found) == (Health.DEGRADED, "ReplicasNotReady")


def test_what_starts_past_the_server_s_deadline_is_an_error(site: Site) -> None:
    site.apply(chat(1, mode="stuck", progressDeadlineSeconds=1))
    site.until(Health.STARTING, "Starting", lambda found: "timed out progressing" in found.message)
    site.rollout_timeout = 600.0  # what the server calls overdue is, whatever deadline the object has

    site.until(Health.ERROR, "ProgressDeadlineExceeded")


def test_what_has_no_room_stays_pending_past_the_server_s_deadline(site: Site) -> None:
    site.apply(chat(1, gpus=16, progressDeadlineSeconds=1))
    site.until(Health.PENDING, "Unschedulable", lambda found: "timed out progressing" in found.message)
    site.rollout_timeout = 600.0

    assert site.until(Health.PENDING, "Unschedulable", lambda found: "timed out progressing" in found.message).rollout


def test_an_approval_gate_waits_for_a_person(site: Site) -> None:
    gate = {"readinessGates": [{"conditionType": "reconciler.dev/approved"}]}
    site.apply(SERVICE, chat(1, pod=gate))
    found = site.until(Health.STARTING, "Starting", lambda found: any(one.reason == "RequireReadinessApproval" for one in found.replicas))
    assert found.replicas[0].state is ReplicaState.STARTING
    assert found.replicas[0].message == f"ready, and waits for a person's approval: reconciler approve {site.namespace}/chat"
    assert site.addresses() == ()

    approval = {"status": {"conditions": [{"type": "reconciler.dev/approved", "status": "True"}]}}
    site.kubectl("patch", "pod", found.replicas[0].name, "--subresource=status", "-p", json.dumps(approval))
    site.until(Health.READY, "Ready")
    wait_until(lambda: len(site.addresses()) == 1)


def test_on_its_way_out(site: Site) -> None:
    held = chat(1)
    held["metadata"]["finalizers"] = ["example.com/held"]
    site.apply(held)
    site.until(Health.READY, "Ready")
    site.kubectl("delete", "deployment", "chat", "--wait=false")
    found = site.until(Health.DELETING, "Pruned")
    site.kubectl("patch", "deployment", "chat", "--type=merge", "-p", '{"metadata": {"finalizers": []}}')

    assert found.deleting


def test_a_fingerprint_stays_through_repeats_and_rollouts_and_moves_with_other_writers(site: Site) -> None:
    def fingerprint() -> bytes:
        return shapes.fingerprint(site.item(), "reconciler")

    site.apply(chat(1))
    site.until(Health.READY, "Ready")
    first = fingerprint()
    site.apply(chat(1))
    site.kubectl("delete", "pod", "--all", "--wait=false")
    site.until(Health.READY, "Ready")
    assert fingerprint() == first

    site.kubectl("scale", "deployment", "chat", "--replicas=2")
    assert fingerprint() != first


def test_groups_that_nobody_makes_are_pending(site: Site) -> None:
    pod = {"spec": {"containers": [{"name": "server", "image": "reg/x:1"}]}}
    spec = {"replicas": 2, "leaderWorkerTemplate": {"size": 2, "workerTemplate": pod}}
    site.apply({"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": {"name": "chat-lws"}, "spec": spec})
    body = site.plane.get(f"/apis/leaderworkerset.x-k8s.io/v1/namespaces/{site.namespace}/leaderworkersets", "reconciler")
    (found,) = shapes.items(body, "the LIST of LeaderWorkerSets")
    made = shapes.leader_worker_set(found)

    assert (made.spec.replicas, made.spec.leader_worker_template.size) == (2, 2)
    assert site.word(serving_of(made, (), {}, time.time())) == (Health.STARTING, "Starting")
    site.ahead = 90
    assert site.word(serving_of(made, (), {}, time.time() + 90)) == (Health.PENDING, "NotCreated")
