"""A story on real nodes, from the commit to the token: `reconciler run` as an ordinary user of the cluster, real pods, a real Envoy.

One site for all of it, whose endpoint `chat` each test takes as the one before left it: Ready, with two replicas, on Kubernetes. What must
not lose a request is done while several clients ask without a pause and without a retry.
"""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from node_site import CLUSTER, RAY, REPLICAS, VERSION, WORKSPACE, NodeSite, merged, site
from pods import Manifest, condition

from tools.demo.traffic import Caller, status_of
from tools.node import Nodes

SOON = 40.0  # seconds: before that, Kubernetes itself does not know that a node is gone


@pytest.fixture(scope="module")
def running(real_nodes: Nodes) -> Iterator[NodeSite]:
    with site(real_nodes) as found:
        with found.cordoned("node-1"):  # both replicas begin on one node: the drain needs them so
            found.ready()
        found.ready("embeddings", 1)
        yield found


def test_an_endpoint_changed_by_one_line_serves_from_pods(running: NodeSite) -> None:
    assert "Paris" in running.caller.chat()
    _, pieces = running.caller.streamed()
    assert pieces > 1
    assert running.caller.embed()
    assert [volume_of(pod) for pod in running.pods("chat")] == ["hostPath"] * REPLICAS
    assert [volume_of(pod) for pod in running.pods("embeddings")] == ["image"]
    assert running.stage.plan().out.startswith("No changes")


def volume_of(pod: Manifest) -> str:
    """What kind of volume its model comes from."""
    (volume,) = (volume for volume in pod["spec"]["volumes"] if volume["name"] == "model")
    return str(next(kind for kind in volume if kind != "name"))


def test_nobody_is_served_without_a_key(running: NodeSite) -> None:
    assert status_of(Caller.of(running.gateway, "rcl_none").chat) == 401
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{running.gateway.url}/models", timeout=10)


# What is wrong with an endpoint -> what is said of it: word, reason, and one line for a person.
FAILURES: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "crashing": (
        {"engine": {"extraArgs": ["--no-such-flag"]}},
        (
            "Error",
            "CrashLoopBackOff",
            r"exit code 2, \d+ restarts? on NODE, container server: .*not supported by this build: --no-such-flag",
        ),
    ),
    "starving": (
        {"resources": {"memory": "16Mi"}},
        ("Error", "OOMKilled", r"exit code 137, \d+ restarts? on NODE, container server: .+"),
    ),
    "missing": (
        {"engine": {"version": f"{VERSION}-missing"}},
        ("Pending", "ImagePullBackOff", r"image registry\.example/missing/llama\.cpp:1 on NODE: not found"),
    ),
    "denied": (
        {"engine": {"version": f"{VERSION}-denied"}},
        ("Pending", "ImagePullBackOff", r"image registry\.example/denied/llama\.cpp:1 on NODE: 401 Unauthorized"),
    ),
    "no-model": (
        {"model": {"version": "none"}},
        ("Pending", "ImagePullBackOff", r"image registry\.example/models/all-minilm-l6-v2:none on NODE: not found"),
    ),
}


def test_what_fails_says_why_and_where(running: NodeSite) -> None:
    good = yaml.safe_load(running.file("embeddings").read_text())["spec"]
    for name, (fault, _) in FAILURES.items():
        running.declare(f"workspaces/{WORKSPACE}/endpoints/{name}.yaml", "Endpoint", name, merged(good, fault), workspace=WORKSPACE)
    running.stage.commit("Five that fail")
    wanted = {name: said for name, (_, said) in FAILURES.items()}
    running.until(lambda: all(fits(running.status(name), *said) for name, said in wanted.items()))
    assert running.status()["status"] == running.status("embeddings")["status"] == "Ready"

    for name in FAILURES:
        running.file(name).unlink()
    running.stage.commit("Without them")
    running.until(lambda: running.stage.statuses().keys() == {"chat", "embeddings"})


def fits(status: Mapping[str, Any], word: str, reason: str, line: str) -> bool:
    """The status, and that of its only replica, which also names the node."""
    if (status.get("status"), status.get("reason"), status.get("routed")) != (word, reason, False):
        return False
    (replica,) = status["replicas"]
    pattern = line.replace("NODE", re.escape(replica["node"]))
    return replica["reason"] == reason and all(re.fullmatch(pattern, text) for text in (status["message"], replica["message"]))


def test_a_drained_node_with_every_replica_loses_no_request(running: NodeSite) -> None:
    """The disruption budget lets the second go only when the first has a successor."""
    running.placed("node-0", "node-0")
    with running.cordoned("node-0"), running.load() as load:
        running.nodes.drain(0)
        running.ready()
    assert running.at() == ["node-1", "node-1"]
    first, second = sorted(running.pods(), key=made_at)
    assert ready_since(first) <= made_at(second)
    assert load.answered() > 10


def made_at(pod: Manifest) -> str:
    """When it was made: times of Kubernetes sort as texts."""
    return str(pod["metadata"]["creationTimestamp"])


def ready_since(pod: Manifest) -> str:
    return next(str(one["lastTransitionTime"]) for one in pod["status"]["conditions"] if one["type"] == "Ready")


def test_a_rolling_update_loses_no_request(running: NodeSite) -> None:
    running.ready()
    before = {pod["metadata"]["uid"] for pod in running.pods()}
    with running.load() as load:
        running.change(engine={"args": {"ctx_size": 2048}})
        running.until(lambda: not before & {pod["metadata"]["uid"] for pod in running.pods()})
        running.ready()
    assert load.answered() > 10
    assert ["--ctx-size 2048" in " ".join(pod["spec"]["containers"][0]["command"]) for pod in running.pods()] == [True] * REPLICAS


def test_a_move_to_ray_and_back_loses_no_request(running: NodeSite) -> None:
    running.ready()
    with running.load() as load:
        running.with_ray()
        running.move(RAY)
        running.until(lambda: not running.pods())
        running.ready()
        assert running.status()["targets"] == [RAY, "public"]
        there = load.asked

        running.move(CLUSTER)
        running.until(lambda: running.status()["targets"] == [CLUSTER, "public"])
        running.ready()
    assert load.answered() > there > 10


def test_the_loss_of_a_node_is_answered_by_the_gateway(running: NodeSite) -> None:
    """Kubernetes notices after 48 seconds. Only requests that were on their way are lost: at most one of each client."""
    clients = 4
    running.placed("node-0", "node-1")
    with running.load(clients) as load:
        running.until(lambda: load.asked > 10)
        with running.without_power(0):
            running.until(lambda: running.ejected() == 1, SOON)
            assert [condition(pod, "Ready") for pod in running.pods()] == [True, True]  # so nobody else has told the gateway
            asked = load.asked
            running.until(lambda: load.asked > asked + 20)
    assert len(load.lost) <= clients, load.lost
