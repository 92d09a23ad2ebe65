"""One replica over several machines: a LeaderWorkerSet in place of a Deployment, and the way from the one to the other and back.

The controller of LeaderWorkerSets does not run here: `Groups` makes the pods that it would make, and simulated nodes run them.
"""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

from reconciler.change import ChangeClass, Create, Delete
from reconciler.resource import Health
from tests.kubernetes.kube_site import WORKSPACE, Object, Site, changes, held, opened, status_of, text_of
from tools.controlplane import ControlPlane

SET = "chat-lws"
H100 = {"type": "h100", "vendor": "nvidia", "resourceKey": "nvidia.com/gpu"}
VLLM: Object = {
    "engine": {"name": "vllm", "version": "v0.33.0", "args": None},
    "model": {"name": "qwen", "file": None, "servedName": None},
    "resources": {"cpu": "1", "memory": "1Gi", "accelerator": {"type": "h100", "count": 1}},
}


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    with opened(control_plane, tmp_path, capabilities=["lws"], accelerators=[H100]) as site:
        site.change(**VLLM)
        yield site


class Groups:
    """What the controller makes of a LeaderWorkerSet: for each replica a leader and its workers."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def run(self) -> None:
        live = self.site.live("LeaderWorkerSet", SET)
        for index in range(live["spec"]["replicas"]):
            for worker in range(live["spec"]["leaderWorkerTemplate"]["size"]):
                self.pod(live, index, worker)
        counts = {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "observedGeneration": live["metadata"]["generation"]}
        available = {"type": "Available", "status": "True", "reason": "AllGroupsReady", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        status = {"status": {**counts, "conditions": [{**available, "message": ""}]}}
        self.site.api.request("PATCH", self.site.path("LeaderWorkerSet", SET) + "/status", status, "application/merge-patch+json")

    def pod(self, live: Object, index: int, worker: int) -> None:
        template = live["spec"]["leaderWorkerTemplate"]["workerTemplate" if worker else "leaderTemplate"]
        body = deepcopy(template)
        body["metadata"]["name"] = f"{SET}-{index}" + (f"-{worker}" if worker else "")
        group = {"name": SET, "group-index": str(index), "worker-index": str(worker)}
        body["metadata"]["labels"] |= {f"leaderworkerset.sigs.k8s.io/{name}": text for name, text in group.items()}
        owner = {"apiVersion": live["apiVersion"], "kind": live["kind"], "name": SET, "uid": live["metadata"]["uid"], "controller": True}
        body["metadata"]["ownerReferences"] = [owner]
        self.site.api.request("POST", f"/api/v1/namespaces/{self.site.namespace}/pods", body)


def test_a_group_serves_when_all_its_pods_do(site: Site) -> None:
    site.change(parallelism={"nodes": 2, "pipeline": 2})
    site.once()
    assert not site.is_there("Deployment")
    Groups(site).run()
    last = site.ready()

    (leader,) = [pod for pod in site.pods() if pod["metadata"]["name"] == f"{SET}-0"]
    assert site.addresses() == [f"{leader['status']['podIP']}:8000"]  # workers take no requests
    found = status_of(last)
    assert (found.ready, found.desired) == (1, 1)
    assert site.writes(site.once) == []


def test_from_one_machine_to_several_and_back_without_the_route_ever_going(site: Site) -> None:
    """Another kind, so another key: made there, the route switches, deleted here, as in a migration."""
    site.ready()
    old = site.addresses()
    site.change(parallelism={"nodes": 2, "pipeline": 2})
    report = site.plan()
    new, ending = changes(report)[f"LeaderWorkerSet/{SET}"], held(report)["Deployment/chat"]
    assert isinstance(new, Create)
    assert new.effects.kind is ChangeClass.MIGRATE
    assert isinstance(ending.change, Delete)
    assert ending.change.effects.kind is ChangeClass.MIGRATE

    site.once()
    assert site.is_there("Deployment")
    assert site.addresses() == old
    waits = held(site.once())
    assert waits["Route/chat"].text.startswith(f"waits for {site.cluster}: LeaderWorkerSet/{WORKSPACE}/{SET} to serve")
    assert site.addresses() == old

    Groups(site).run()
    site.ready()
    site.gone("Deployment")
    (leader,) = [pod for pod in site.pods() if pod["metadata"]["name"] == f"{SET}-0"]
    assert site.addresses() == [f"{leader['status']['podIP']}:8000"]

    group = site.addresses()
    site.change(parallelism=None)
    seen = []
    last = site.apply(lambda report: bool(seen.append(site.addresses())) or status_of(report).word is Health.READY)
    assert all(seen), text_of(last)
    assert site.addresses() != group
    site.gone("LeaderWorkerSet", SET)


def test_a_capability_that_goes_takes_no_group_out_of_sight(site: Site) -> None:
    """By mistake: what needs it is blocked and keeps running, so it is still read. With the change that needs no group: the group goes."""
    site.change(parallelism={"nodes": 2, "pipeline": 2})
    site.once()
    Groups(site).run()
    site.ready()
    group = site.addresses()
    site.change_cluster(capabilities=[])
    report = site.once()
    assert held(report)["Endpoint/team-a/chat"].text.endswith("keeps running as it is, with its route")
    assert (status_of(report).ready, status_of(report).desired) == (1, 1)
    assert site.addresses() == group

    site.change(parallelism=None)
    site.ready()
    site.gone("LeaderWorkerSet", SET)
    assert not any("/leaderworkersets" in entry.uri for entry in site.requests(site.once))  # nor is it asked for any more


def test_the_size_of_a_sub_group_cannot_change_so_the_plan_says_replace(site: Site) -> None:
    """We render none: somebody who writes under our name set it."""
    site.change(parallelism={"nodes": 2, "pipeline": 2})
    site.once()
    Groups(site).run()
    site.ready()
    live = site.live("LeaderWorkerSet", SET)
    body = {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": {"name": SET, "labels": live["metadata"]["labels"], "annotations": live["metadata"]["annotations"]},
        "spec": live["spec"] | {"leaderWorkerTemplate": live["spec"]["leaderWorkerTemplate"] | {"subGroupPolicy": {"subGroupSize": 2}}},
    }
    site.put("LeaderWorkerSet", body, "reconciler")
    replace = changes(site.plan())[f"LeaderWorkerSet/{SET}"]

    assert (replace.effects.kind, replace.effects.downtime) == (ChangeClass.REPLACE, True)
    assert "/spec/leaderWorkerTemplate/subGroupPolicy" in replace.effects.text
