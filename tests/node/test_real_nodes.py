"""What the real nodes are: pods that serve a model and are reached by their address, and nothing left behind by any end."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pods import TOOLS, Manifest, apply, complete, condition, container_state, deployment, llama, pods, ready, until
from traces import Traces, named_namespaces

from tools.environment import CHECKOUT
from tools.node import BROKEN, DENIED, MISSING, Nodes


def test_a_deployment_with_an_image_volume_answers_by_pod_address(real_nodes: Nodes, namespace: str) -> None:
    apply(real_nodes, namespace, llama("chat", replicas=2))
    found = ready(real_nodes, namespace, "chat", 2)
    assert {pod["spec"]["nodeName"] for pod in found} == {"node-0", "node-1"}
    for pod in found:
        answer = complete(pod["status"]["podIP"], "chat")
        assert answer["choices"][0]["message"]["content"]
        assert answer["model"] == "chat"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (MISSING, f"{MISSING}: not found"),
        (DENIED, "failed to authorize: failed to fetch anonymous token: unexpected status from GET request"),
        (BROKEN, "500 Internal Server Error"),
    ],
    ids=["missing", "denied", "broken"],
)
def test_a_pull_fails_as_a_registry_makes_it_fail(real_nodes: Nodes, namespace: str, image: str, message: str) -> None:
    apply(real_nodes, namespace, deployment("unpullable", {"image": image}))

    def reason() -> str:
        waiting = [container_state(pod).get("state", {}).get("waiting", {}) for pod in pods(real_nodes, namespace, "unpullable")]
        return next((one["message"] for one in waiting if one.get("reason") in ("ErrImagePull", "ImagePullBackOff")), "")

    assert message in until(reason)


def test_what_is_published_can_be_pulled_under_its_new_name(real_nodes: Nodes, namespace: str) -> None:
    real_nodes.publish("registry.example/team/shell:2", TOOLS)
    apply(real_nodes, namespace, deployment("shell", {"image": "registry.example/team/shell:2", "args": ["-c", "sleep 1000"]}))
    (pod,) = ready(real_nodes, namespace, "shell")
    assert container_state(pod)["image"] == "registry.example/team/shell:2"


def test_a_drained_node_hands_its_pods_to_the_other(real_nodes: Nodes, namespace: str) -> None:
    with undrained(real_nodes):
        real_nodes.kubectl("cordon", "node-1")
        apply(
            real_nodes, namespace, deployment("shell", {"image": TOOLS, "args": ["-c", "exec sleep 1000"]}, terminationGracePeriodSeconds=1)
        )
        assert ready(real_nodes, namespace, "shell")[0]["spec"]["nodeName"] == "node-0"
        real_nodes.uncordon(1)
        real_nodes.drain(0)
        assert until(lambda: [pod["spec"]["nodeName"] for pod in ready(real_nodes, namespace, "shell")] == ["node-1"])


@contextlib.contextmanager
def undrained(nodes: Nodes) -> Iterator[None]:
    """Every node may be used again afterwards."""
    try:
        yield
    finally:
        for index in range(len(nodes.names)):
            nodes.uncordon(index)


def test_a_lost_node_is_gone_at_once_and_comes_back_with_an_empty_disk(start_nodes: Callable[..., Nodes]) -> None:
    nodes = start_nodes(1)
    apply(nodes, "default", llama("chat"))
    (pod,) = ready(nodes, "default", "chat")
    address = pod["status"]["podIP"]
    assert nodes.processes_of(pod["metadata"]["uid"])

    nodes.lose(0)
    with pytest.raises(OSError):  # noqa: PT011  refused, reset, timed out or no route: whatever the kernel says first
        complete(address, "chat", seconds=2.0)
    assert condition(pods(nodes, "default", "chat")[0], "Ready")  # nobody has told the cluster
    assert not nodes.processes_of(pod["metadata"]["uid"])

    nodes.restore(0)
    (pod,) = until(lambda: [pod for pod in pods(nodes, "default", "chat") if condition(pod, "Ready") and answers(pod, "chat")])
    assert nodes.processes_of(pod["metadata"]["uid"])


def answers(pod: Manifest, model: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(complete(pod["status"]["podIP"], model, seconds=2.0))
    return False


def test_stop_leaves_nothing(start_nodes: Callable[..., Nodes]) -> None:
    before = named_namespaces()
    nodes = start_nodes(2)
    apply(nodes, "default", llama("chat", replicas=2))
    ready(nodes, "default", "chat", 2)
    traces = Traces.of(nodes)
    assert {"processes", "devices", "routes", "control groups", "disks"} <= set(traces.left())
    nodes.stop()
    until(lambda: traces.left() == {})  # the kernel takes networks apart after their last process
    assert named_namespaces() == before


OWNER = """
import json, pathlib, sys
from tools.node import start
nodes = start(pathlib.Path(sys.argv[1]), 1)
nodes.kubectl("apply", "-f", "-", input=sys.argv[2])
nodes.kubectl("rollout", "status", "deployment/shell", "--timeout=60s")
print(json.dumps([nodes.cluster.plan.net, nodes.guard.guard, nodes.plane.processes.guard]), flush=True)
sys.stdin.read()
"""


def test_an_owner_that_is_killed_leaves_nothing(real_nodes: Nodes) -> None:
    shell = json.dumps(deployment("shell", {"image": TOOLS, "args": ["-c", "sleep 1000"]}))
    with tempfile.TemporaryDirectory(prefix="rcl-node-") as folder:
        command = [sys.executable, "-c", OWNER, folder, shell]
        with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
            assert owner.stdout is not None
            said = next((line for line in owner.stdout if line.startswith(b"[")), b"")
            net, *guards = json.loads(said)
            traces = Traces.of_guards(Path(folder), net, guards)
            assert traces.device != real_nodes.cluster.plan.device  # two clusters at once
            owner.send_signal(signal.SIGKILL)
        until(lambda: not traces.left())
    assert ready_nodes(real_nodes) == ["node-0", "node-1"]  # the other cluster has noticed nothing


def ready_nodes(nodes: Nodes) -> list[str]:
    listed = nodes.json("nodes")["items"]
    return sorted(node["metadata"]["name"] for node in listed if condition(node, "Ready"))
