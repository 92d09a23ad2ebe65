"""Every object that we render, on a real API server: accepted under strict validation, and stored as written.

That is what "nothing to do" rests on: a field that the server would store otherwise, or drop, would be a difference in every pass.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from kube_workloads import BIG, CHAT, CLUSTERS, EQUIPPED, PAUSED, PLAIN, RECREATED, SCALED, STORIES, WORKLOADS, Story

from reconciler.desired import TargetSpec
from reconciler.resource import Resource, ResourceKey
from reconciler.targets.kubernetes.address import address_of
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.api.kubeconfig import read_file
from reconciler.targets.kubernetes.body import encoded
from reconciler.targets.kubernetes.fields.owned import NOOP, Verdict, check
from reconciler.targets.kubernetes.kinds import MANAGER, path_of
from reconciler.targets.kubernetes.mark import marked
from reconciler.targets.kubernetes.render import render_workload
from reconciler.targets.kubernetes.settings import settings_of
from reconciler.targets.kubernetes.shapes import item
from reconciler.targets.rendering import Workload
from tools.controlplane import ControlPlane

APPLYSET = "applyset-0eFHV8ySqp7XoShsGvyWFQD3s96yqwHmzc4e0HR1dsY-v1"


@pytest.fixture
def client(control_plane: ControlPlane) -> Iterator[KubeClient]:
    client = KubeClient(read_file(control_plane.user_kubeconfig))
    yield client
    client.close()


class Server:
    """Applies resources of one target, marked as the writer marks them."""

    def __init__(self, client: KubeClient, target: TargetSpec) -> None:
        self.client, self.settings = client, settings_of(target)

    def path(self, key: ResourceKey) -> str:
        return path_of(*address_of(self.settings, key))

    def body(self, resource: Resource) -> dict[str, Any]:
        return marked(resource.manifest, resource.mark("default", "f" * 40), APPLYSET)

    def apply(self, resource: Resource, dry_run: bool = False) -> dict[str, Any]:
        body = encoded(self.body(resource))
        answer = self.client.patch_apply(self.path(resource.key), body, manager=MANAGER, force=True, dry_run=dry_run, whole=True)
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def verdict(self, resource: Resource) -> Verdict:
        live = self.client.get(self.path(resource.key))
        entries = item(live, "the object").meta.managed_fields
        return check(self.body(resource), json.loads(live), entries, MANAGER)


def resources_of(workload: Workload, target: TargetSpec, namespace: str) -> tuple[Resource, ...]:
    return render_workload(replace(workload, workspace=namespace), target).resources


def each(story: Story, namespace: str) -> tuple[Resource, ...]:
    return resources_of(story.workload, story.target, namespace)


def differing(server: Server, resources: tuple[Resource, ...]) -> dict[str, Verdict]:
    verdicts = {str(resource.key): server.verdict(resource) for resource in resources}
    return {key: verdict for key, verdict in verdicts.items() if verdict != NOOP}


@pytest.mark.parametrize("name", STORIES)
def test_every_object_passes_strict_validation(name: str, client: KubeClient, namespace: str) -> None:
    """A dry run needs a namespace that exists, so that one is applied."""
    server = Server(client, STORIES[name].target)
    first, *others = each(STORIES[name], namespace)

    assert first.key.kind == "Namespace"
    server.apply(first)
    for resource in others:
        assert server.apply(resource, dry_run=True)["kind"] == resource.key.kind


@pytest.mark.parametrize("name", STORIES)
def test_what_is_rendered_is_what_is_stored(name: str, client: KubeClient, namespace: str) -> None:
    server = Server(client, STORIES[name].target)
    resources = each(STORIES[name], namespace)

    for resource in resources:
        server.apply(resource)

    assert differing(server, resources) == {}


@pytest.mark.parametrize("name", STORIES)
def test_to_apply_it_again_writes_nothing(name: str, client: KubeClient, namespace: str) -> None:
    """A claim's first second apply writes once (facts/kubernetes.md 3), so that one is applied once more."""
    server = Server(client, STORIES[name].target)
    resources = each(STORIES[name], namespace)
    for resource in resources:
        server.apply(resource)
        if resource.key.kind == "PersistentVolumeClaim":
            server.apply(resource)

    for resource in resources:
        before = json.loads(client.get(server.path(resource.key)))
        after = server.apply(resource)
        assert generation_of(after) == generation_of(before), resource.key
        if resource.key.kind not in CONTROLLED:
            assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"], resource.key


CONTROLLED = frozenset({"Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler"})  # controllers write their status meanwhile


def generation_of(document: dict[str, Any]) -> object:
    return document["metadata"].get("generation")


@pytest.fixture
def priority_class(control_plane: ControlPlane) -> Iterator[None]:
    """The one that a story names: without it a server takes the Deployment, and no pod of it."""
    control_plane.kubectl("create", "priorityclass", "serving-high", "--value=1000")
    yield
    control_plane.kubectl("delete", "priorityclass", "serving-high")


@pytest.mark.usefixtures("priority_class")
@pytest.mark.parametrize("name", STORIES)
def test_a_pod_can_be_made_from_every_template(name: str, control_plane: ControlPlane, client: KubeClient, namespace: str) -> None:
    """A server looks at a template with less care than at a pod."""
    namespace_resource, *others = each(STORIES[name], namespace)
    Server(client, STORIES[name].target).apply(namespace_resource)

    for template in templates_of(others):
        metadata = {**template["metadata"], "name": "probe", "namespace": namespace}
        pod = {**template, "apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        answer = control_plane.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(pod))
        assert json.loads(answer)["spec"]["containers"][0]["image"] == pod["spec"]["containers"][0]["image"]


def templates_of(resources: list[Resource]) -> Iterator[dict[str, Any]]:
    for resource in resources:
        spec: Any = resource.manifest.get("spec", {})
        if resource.key.kind == "Deployment":
            yield spec["template"]
        elif resource.key.kind == "LeaderWorkerSet":
            yield from (spec["leaderWorkerTemplate"][name] for name in ("leaderTemplate", "workerTemplate"))


ODD = ("\U0001f600", "\x7f", "\x85", "\x9f", "\ufeff", "\ufffe", "\uffff", "\u2028", "\xa0", "\t", "\n", "\x01", "\ue000")


def test_a_text_is_stored_letter_by_letter(client: KubeClient, namespace: str) -> None:
    """The body of an apply is read as YAML, which has its own mind about some characters."""
    server = Server(client, PLAIN)
    words = tuple(f"a{odd}b" for odd in ODD)
    first, *others = resources_of(replace(CHAT, command=words), PLAIN, namespace)
    (deployment,) = (resource for resource in others if resource.key.kind == "Deployment")
    server.apply(first)

    stored = server.apply(deployment)["spec"]["template"]["spec"]["containers"][0]["command"]

    assert stored == list(words)


LIFE = {
    "as it was": (CHAT, PLAIN),
    "recreated instead of rolled": (replace(CHAT, container=RECREATED), PLAIN),
    "another engine": (replace(BIG, name="chat"), EQUIPPED),
    "rolled again": (CHAT, PLAIN),
    "autoscaled": (SCALED, EQUIPPED),
    "paused": (PAUSED, EQUIPPED),
    "resumed with a fixed number": (replace(CHAT, replicas=2), PLAIN),
}


def test_an_endpoint_changes_in_place_all_its_life(client: KubeClient, namespace: str) -> None:
    """No step is refused as immutable, and after each the object is what was rendered: nothing of the step before stays behind."""
    for step, (workload, target) in LIFE.items():
        server = Server(client, target)
        resources = resources_of(workload, target, namespace)
        for resource in resources:
            server.apply(resource)
        assert differing(server, resources) == {}, step


@settings(
    derandomize=True, max_examples=15, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(workload=WORKLOADS, target=CLUSTERS)
def test_whatever_is_declared_is_stored_as_written(workload: Workload, target: TargetSpec, client: KubeClient, namespace: str) -> None:
    """One after the other in one namespace, so that each is also a change of what stood there before."""
    server = Server(client, target)
    resources = resources_of(workload, target, namespace)

    for resource in resources:
        server.apply(resource)

    assert differing(server, resources) == {}
