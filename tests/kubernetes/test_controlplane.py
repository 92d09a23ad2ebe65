"""The test control plane itself: what the other tests here rely on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import pytest
from controlplane import started

from tools.controlplane import AuditLog, ControlPlane, KubectlFailed, NotAvailable, access, assets, existing, processes

ROOT = Path(__file__).resolve().parents[2]
MODE, DELAY = "sim.reconciler.dev/mode", "sim.reconciler.dev/ready-delay"

Start = Callable[..., ControlPlane]


def wait(met: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def container(accelerators: int = 1) -> dict[str, object]:
    return {"name": "engine", "image": "example.com/engine:1", "resources": {"limits": {"nvidia.com/gpu": str(accelerators)}}}


def deployment(namespace: str, name: str, replicas: int = 1, **pod: object) -> str:
    """A Deployment, as kubectl reads it; `labels` and `annotations` go to its pods, the rest to their spec."""
    labels = {"app": name} | pod.pop("labels", {})
    metadata = {"labels": labels, "annotations": pod.pop("annotations", {})}
    template = {"metadata": metadata, "spec": {"containers": [container()]} | pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace}, "spec": spec})


def apply(plane: ControlPlane, text: str, *words: str, user: str = "reconciler") -> str:
    return plane.kubectl("apply", "--server-side", "-o", "name", "-f", "-", *words, user=user, input=text)


def pods(plane: ControlPlane, namespace: str) -> list[dict]:
    return json.loads(plane.get(f"/api/v1/namespaces/{namespace}/pods"))["items"]


def waiting(plane: ControlPlane, namespace: str) -> dict[str, str]:
    """The reason for which the container of each application's pod waits, or the phase of a pod without one."""
    found = {}
    for pod in pods(plane, namespace):
        status = next(iter(pod["status"].get("containerStatuses", [])), {})
        conditions = {one["type"]: one.get("reason") for one in pod["status"].get("conditions", [])}
        reason = status.get("state", {}).get("waiting", {}).get("reason") or conditions.get("PodScheduled")
        found[pod["metadata"]["labels"]["app"]] = reason or pod["status"]["phase"]
    return found


# Who may come in


@pytest.mark.parametrize("user", ["reconciler", "cert"])
def test_token_and_certificate_are_the_same_ordinary_user(control_plane: ControlPlane, user: str) -> None:
    who = json.loads(control_plane.kubectl("auth", "whoami", "-o", "json", user=user))["status"]["userInfo"]

    assert (who["username"], who["groups"]) == ("reconciler", ["system:authenticated"])


def rights(rules: list[dict]) -> set[tuple[str, str, str]]:
    parts = [(rule["verbs"], rule["apiGroups"], rule["resources"]) for rule in rules]
    return {right for verbs, groups, resources in parts for right in product(verbs, groups, resources)}


@pytest.mark.parametrize("user", ["reconciler", "cert"])
def test_it_has_the_rights_of_the_manifests_and_no_others(control_plane: ControlPlane, user: str) -> None:
    manifests = [rule for manifest in access.rights() for rule in manifest.get("rules", [])]
    usual = {"authentication.k8s.io", "authorization.k8s.io"}  # everybody may ask who he is and what he may do
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "reconciler-system"}}

    said = json.loads(control_plane.kubectl("create", "--validate=false", "-f", "-", "-o", "json", user=user, input=json.dumps(review)))

    granted = rights(said["status"]["resourceRules"])
    assert {right for right in granted if right[1] not in usual} == rights(manifests)


@pytest.mark.parametrize("words", [("get", "secrets"), ("delete", "namespaces"), ("create", "pods"), ("create", "clusterrolebindings")])
def test_what_it_may_not_is_refused(control_plane: ControlPlane, words: tuple[str, str]) -> None:
    with pytest.raises(KubectlFailed, match="no"):
        control_plane.kubectl("auth", "can-i", *words, "-A", user="reconciler")


# What runs in it


def test_a_deployment_becomes_ready_on_simulated_nodes(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "namespace", namespace, user="reconciler")
    service = {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"app": "chat"}}
    apply(control_plane, deployment(namespace, "chat", replicas=3))
    metadata = {"name": "chat", "namespace": namespace}
    apply(control_plane, json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service}))

    def ready() -> int:
        slices = json.loads(control_plane.kubectl("get", "endpointslices", "-n", namespace, "-o", "json", user="admin"))["items"]
        return sum(bool(one["conditions"]["ready"]) for part in slices for one in part["endpoints"] or [])

    control_plane.kubectl("-n", namespace, "rollout", "status", "deployment/chat", "--timeout=60s")
    wait(lambda: ready() == 3, "three addresses that are ready")
    assert {pod["spec"]["nodeName"][:4] for pod in pods(control_plane, namespace)} == {"gpu-"}


def test_pods_fail_as_their_label_says(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "namespace", namespace)
    for mode in ("crash", "pull", "stuck"):
        apply(control_plane, deployment(namespace, mode, labels={MODE: mode}))
    apply(control_plane, deployment(namespace, "huge", containers=[container(16)]))
    apply(control_plane, deployment(namespace, "slow", annotations={DELAY: "1h"}))

    wanted = {"crash": "CrashLoopBackOff", "pull": "ImagePullBackOff", "stuck": "Pending", "huge": "Unschedulable", "slow": "Pending"}
    wait(lambda: waiting(control_plane, namespace) == wanted, f"{wanted}; it is {waiting(control_plane, namespace)}")


def test_a_gate_is_opened_by_its_condition(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "namespace", namespace)
    apply(control_plane, deployment(namespace, "gated", readinessGates=[{"conditionType": "example.com/approved"}]))

    def status(kind: str) -> list[str | None]:
        found = [pod["status"].get("conditions", []) for pod in pods(control_plane, namespace)]
        return [next((one["status"] for one in conditions if one["type"] == kind), None) for conditions in found]

    wait(lambda: status("ContainersReady") == ["True"], "containers that are ready")
    assert status("Ready") == ["False"]
    patch = {"status": {"conditions": [{"type": "example.com/approved", "status": "True"}]}}
    name = pods(control_plane, namespace)[0]["metadata"]["name"]
    control_plane.kubectl("-n", namespace, "patch", "pod", name, "--subresource=status", "-p", json.dumps(patch))
    wait(lambda: status("Ready") == ["True"], "a pod that is Ready")


CUSTOM = {
    "leaderworkerset.x-k8s.io/v1/LeaderWorkerSet": {
        "replicas": 1,
        "leaderWorkerTemplate": {"size": 2, "workerTemplate": {"spec": {"containers": [container()]}}},
    },
    "keda.sh/v1alpha1/ScaledObject": {
        "scaleTargetRef": {"name": "chat"},
        "triggers": [{"type": "prometheus", "metadata": {"query": "up", "threshold": "1", "serverAddress": "http://example.com"}}],
    },
    "monitoring.coreos.com/v1/PodMonitor": {"selector": {"matchLabels": {"app": "chat"}}, "podMetricsEndpoints": [{"port": "http"}]},
}


@pytest.mark.parametrize("kind", CUSTOM)
def test_a_custom_kind_is_served_to_the_user(control_plane: ControlPlane, namespace: str, kind: str) -> None:
    control_plane.kubectl("create", "namespace", namespace)
    version, _, name = kind.rpartition("/")
    manifest = {"apiVersion": version, "kind": name, "metadata": {"name": "chat", "namespace": namespace}, "spec": CUSTOM[kind]}

    assert apply(control_plane, json.dumps(manifest)).startswith(name.lower())
    with pytest.raises(KubectlFailed, match=r"spec\.mistake"):
        apply(control_plane, json.dumps(manifest | {"spec": CUSTOM[kind] | {"mistake": 1}}))


# What is counted


def test_the_requests_of_the_user_are_counted_and_nobody_elses(control_plane: ControlPlane, audit_log: AuditLog, namespace: str) -> None:
    control_plane.kubectl("create", "namespace", namespace)
    mark = audit_log.mark()
    apply(control_plane, deployment(namespace, "chat"))
    apply(control_plane, deployment(namespace, "chat"), "--dry-run=server")
    control_plane.kubectl("-n", namespace, "get", "deployments", user="cert")
    control_plane.kubectl("-n", namespace, "annotate", "deployment", "chat", "by=admin")
    with pytest.raises(KubectlFailed):
        control_plane.kubectl("-n", namespace, "get", "secrets", user="reconciler")

    entries = [entry for entry in control_plane.audited(mark) if entry.namespace == namespace]

    assert [(entry.verb, entry.resource, entry.name, entry.dry_run, entry.code) for entry in entries] == [
        ("patch", "deployments", "chat", False, 201),
        ("patch", "deployments", "chat", True, 200),
        ("list", "deployments", "", False, 200),
        ("list", "secrets", "", False, 403),
    ]
    assert [entry.write for entry in entries] == [True, False, False, False]
    assert [entry.received for entry in entries] == sorted(entry.received for entry in entries)


def test_every_request_before_the_question_is_in_the_answer(control_plane: ControlPlane, audit_log: AuditLog) -> None:
    for _ in range(20):
        mark = audit_log.mark()
        control_plane.get("/api/v1/namespaces/reconciler-system", "reconciler")
        assert [(entry.verb, entry.name) for entry in control_plane.audited(mark)] == [("get", "reconciler-system")]


# How it begins and ends


@pytest.fixture(scope="module")
def other() -> Iterator[ControlPlane]:
    """A second one, for the tests that leave it as it was."""
    with ExitStack() as ending:
        yield started(ending, "api", api_flags={"max-requests-inflight": "77"})


def test_two_at_once_know_nothing_of_each_other(control_plane: ControlPlane, other: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("create", "namespace", namespace)

    assert other.url != control_plane.url
    assert namespace not in other.kubectl("get", "namespaces", user="reconciler")
    assert b"--max-requests-inflight=77" in Path(f"/proc/{other.processes.pids['kube-apiserver']}/cmdline").read_bytes()
    assert sorted(other.processes.pids) == ["etcd", "kube-apiserver"]


def test_a_killed_server_comes_back_with_what_it_held_and_a_stopped_one_is_gone(start_control_plane: Start) -> None:
    plane = start_control_plane()
    plane.kubectl("create", "namespace", "kept")
    plane.processes.kill("kube-apiserver")
    with pytest.raises(OSError, match="refused"):
        plane.get("/readyz")

    plane.restart("kube-apiserver")

    assert "kept" in plane.kubectl("get", "namespaces", "-o", "name", user="reconciler")
    pids = [*plane.processes.pids.values(), plane.processes.guard]
    plane.stop()
    assert not any(processes.runs(pid) for pid in pids)
    with pytest.raises(OSError, match="refused"):
        plane.get("/readyz")


STARTER = """
import sys, time
from pathlib import Path
from tools.controlplane import start
print(*start(Path(sys.argv[1])).processes.pids.values(), flush=True)
time.sleep(600)
"""


def test_it_does_not_outlive_a_test_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        pids = [int(word) for word in child.stdout.readline().split()]
        os.kill(child.pid, signal.SIGKILL)

    assert len(pids) == 2
    wait(lambda: not any(processes.runs(pid) for pid in pids), "processes that are gone")


def command(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "tools.controlplane", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_by_hand_it_runs_until_it_is_stopped(tmp_path: Path) -> None:
    try:
        said = command("start", str(tmp_path), "--mode", "api")
        environment = os.environ | {"KUBECONFIG": str(tmp_path / "reconciler.kubeconfig")}
        asked = [str(assets.kubectl()), "get", "namespaces", "-o", "name", "--cache-dir", str(tmp_path / "kubectl")]
        names = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True).stdout
    finally:
        ended = command("stop", str(tmp_path))

    assert said.startswith("https://127.0.0.1:")
    assert "namespace/reconciler-system" in names
    assert (ended, command("stop", str(tmp_path))) == ("stopped\n", f"nothing runs in {tmp_path}\n")


# A cluster that is there


def test_an_existing_cluster_is_used_and_left(other: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(other.admin_kubeconfig))

    plane = existing.use(tmp_path)

    who = json.loads(plane.kubectl("auth", "whoami", "-o", "json", user="reconciler"))["status"]["userInfo"]["username"]
    assert who == "system:serviceaccount:reconciler-system:reconciler"
    assert plane.kubectl("get", "scaledobjects", "-A", "-o", "name", user="reconciler") == ""
    assert plane.get("/readyz") == plane.get("/readyz", "reconciler") == b"ok"
    for question in (lambda: plane.audit_log.mark(), lambda: plane.audited(), lambda: plane.processes, lambda: plane.cert_kubeconfig):
        with pytest.raises(NotAvailable):
            question()
    plane.stop()
    assert other.get("/readyz") == b"ok"


def test_a_cluster_that_cannot_be_reached_is_not_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    with pytest.raises(NotAvailable, match="USE_EXISTING_CLUSTER: kubectl config view"):
        existing.use(tmp_path)
