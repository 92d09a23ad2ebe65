"""An endpoint as Kubernetes objects. The stories of tests/golden/kubernetes/ are the specification, to be read; `--update` rewrites them.

Below them, by table: the rules that every rendered object keeps, so that what was applied is stored as written (facts/kubernetes.md 3).
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from reconciler.desired import TargetSpec
from reconciler.errors import CompileError
from reconciler.resource import Json, Resource, ResourceKey
from reconciler.targets.kubernetes.kinds import KINDS
from reconciler.targets.kubernetes.mark import MARK_ANNOTATIONS, MARK_LABELS
from reconciler.targets.kubernetes.quantity import canonical
from reconciler.targets.kubernetes.render import initial_replicas, render_workload
from reconciler.targets.rendering import Accelerator, Rendered, SecretEnv, Volume, Workload
from tests.kube_workloads import (
    BIG,
    BY_ADAPTER,
    CHAT,
    CLUSTERS,
    EQUIPPED,
    FOLLOWS_REQUESTS,
    GROUPED,
    LLAMA,
    PAUSED,
    PLAIN,
    SCALED,
    STORIES,
    VLLM,
    WORKLOADS,
    cluster,
)

pytestmark = pytest.mark.slow  # hundreds of cases: `make test` has them

GOLDEN = Path(__file__).parent / "golden" / "kubernetes"
EVERY = [(name, resource) for name, story in STORIES.items() for resource in render_workload(story.workload, story.target).resources]
IDS = [f"{name}-{resource.key.kind}" for name, resource in EVERY]

every_object = pytest.mark.parametrize("resource", [resource for _, resource in EVERY], ids=IDS)


class WrittenOut(yaml.SafeDumper):
    """Parts that objects share are written again, not referred to."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def shown(rendered: Rendered) -> str:
    """One document per object, in the order of writing, under its key and owner."""
    parts = []
    for resource in rendered.resources:
        text = yaml.dump(resource.manifest, Dumper=WrittenOut, sort_keys=False, width=1000)
        protect = ", protected" if resource.protect else ""
        parts.append(f"# {resource.key}  (of {resource.owner}, declared in {resource.source}{protect})\n{text}")
    return "---\n".join(parts) + f"---\n# routes send to {rendered.backend.key if rendered.backend else None}\n"


@pytest.mark.parametrize("name", STORIES)
def test_the_objects_of_a_story(name: str, request: pytest.FixtureRequest) -> None:
    story, golden = STORIES[name], GOLDEN / f"{name}.yaml"

    text = shown(render_workload(story.workload, story.target))

    if request.config.getoption("--update"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_there_is_a_story_for_every_golden_file() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(STORIES)


# What every object keeps


def leaves(value: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Json]]:
    """Every value that holds no other, with the names down to it (items of lists left out)."""
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from leaves(below, (*path, name))
    elif isinstance(value, list) and value:
        for item in value:
            yield from leaves(item, path)
    else:
        yield path, value


MEANT = {"emptyDir", "command"}  # an empty mapping that says something; words, which may be empty


@every_object
def test_nothing_is_empty(resource: Resource) -> None:
    """Nulls are refused by custom kinds, and what is empty is not stored by others."""
    empty = ["/".join(path) for path, value in leaves(resource.manifest) if value in (None, "", [], {}) and path[-1] not in MEANT]

    assert empty == []


# Fields whose zero is stored: they are pointers in the server's types, or belong to a custom kind.
STORED_ZEROS = {
    "allowPrivilegeEscalation",
    "automountServiceAccountToken",
    "enableServiceLinks",
    "maxSurge",
    "maxUnavailable",
    "idleReplicaCount",
    "minReplicaCount",
    "replicas",
    "stabilizationWindowSeconds",
}


@every_object
def test_a_zero_is_written_only_where_it_is_stored(resource: Resource) -> None:
    zeros = {path[-1] for path, value in leaves(resource.manifest) if value is False or value == 0}

    assert zeros <= STORED_ZEROS


QUANTITIES = {"limits", "requests"}


@every_object
def test_quantities_are_canonical(resource: Resource) -> None:
    found = [
        value
        for path, value in leaves(resource.manifest)
        if (len(path) > 1 and path[-2] in QUANTITIES) or path[-1] in ("sizeLimit", "averageValue")
    ]

    assert all(isinstance(value, str) and canonical(value) == value for value in found)


@every_object
def test_a_port_says_its_protocol(resource: Resource) -> None:
    """It is a part of what tells one port from another, so its default is not left to the server."""
    for port in lists_of(resource.manifest, "ports"):
        assert port["protocol"] == "TCP"
        assert isinstance(port.get("containerPort", port.get("port")), int)


@every_object
def test_items_of_a_list_are_told_apart(resource: Resource) -> None:
    """Two with one key are refused as a whole."""
    for name, key in (("env", "name"), ("volumes", "name"), ("volumeMounts", "mountPath"), ("containers", "name")):
        for items in (value for path, value in holders(resource.manifest) if path[-1:] == (name,) and isinstance(value, list)):
            keys = [item[key] for item in items]
            assert len(keys) == len(set(keys)), name


@every_object
def test_a_manifest_says_what_and_where_it_is(resource: Resource) -> None:
    manifest, kind = resource.manifest, KINDS[resource.key.kind]
    metadata = mapping(manifest["metadata"])

    assert (manifest["apiVersion"], manifest["kind"], metadata["name"]) == (kind.api_version, resource.key.kind, resource.key.name)
    assert metadata.get("namespace") == ("team-a" if kind.namespaced else None)


@every_object
def test_no_manifest_carries_a_mark_or_a_status(resource: Resource) -> None:
    metadata = mapping(resource.manifest["metadata"])

    assert not mapping(metadata.get("labels", {})).keys() & MARK_LABELS
    assert not mapping(metadata.get("annotations", {})).keys() & MARK_ANNOTATIONS
    assert "status" not in resource.manifest


@every_object
def test_nothing_of_a_mark_is_in_a_pod_template(resource: Resource) -> None:
    """It would restart replicas. The one label that both have says that it is ours, and never changes."""
    for template in (value for path, value in holders(resource.manifest) if path[-1:] in (("template",), ("leaderTemplate",))):
        found = mapping(mapping(template)["metadata"])
        assert (mapping(found["labels"]).keys() & MARK_LABELS) == {"app.kubernetes.io/managed-by"}
        assert not mapping(found.get("annotations", {})).keys() & MARK_ANNOTATIONS


def test_no_secret_is_ever_rendered() -> None:
    assert "Secret" not in {resource.key.kind for _, resource in EVERY}


def test_the_same_endpoint_gives_the_same_bytes_whatever_the_order_of_its_declaration() -> None:
    turned = replace(BIG, env=dict(reversed(BIG.env.items())))

    assert render_workload(turned, EQUIPPED) == render_workload(BIG, EQUIPPED)


ALWAYS = (
    test_nothing_is_empty,
    test_a_zero_is_written_only_where_it_is_stored,
    test_quantities_are_canonical,
    test_a_port_says_its_protocol,
    test_items_of_a_list_are_told_apart,
    test_a_manifest_says_what_and_where_it_is,
    test_no_manifest_carries_a_mark_or_a_status,
    test_nothing_of_a_mark_is_in_a_pod_template,
)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(workload=WORKLOADS, target=CLUSTERS)
def test_whatever_is_declared_keeps_the_rules(workload: Workload, target: TargetSpec) -> None:
    for resource in render_workload(workload, target).resources:
        json.dumps(resource.manifest, allow_nan=False)
        for rule in ALWAYS:
            rule(resource)


# The pod


def test_pods_have_no_rights() -> None:
    pod = pod_of(CHAT)
    container = container_of(CHAT)

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "seccompProfile": {"type": "RuntimeDefault"},
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_an_image_that_starts_as_root_is_not_told_otherwise() -> None:
    assert pod_of(BIG)["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}


def test_an_engine_without_a_file_of_its_own_gets_the_defaults() -> None:
    container = container_of(replace(CHAT, container=replace(LLAMA, engine="some-engine")))

    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 15}}}
    assert "volumeMounts" in container


@pytest.mark.parametrize(
    ("engine", "timeout", "sleep", "grace"),
    [("vllm", 300, 15, 345), ("llama-cpp", 300, 300, 630), ("llama-cpp", 2.5, 15, 345), ("llama-cpp", 300.2, 301, 631)],
)
def test_a_pod_has_time_to_finish_its_requests(engine: str, timeout: float, sleep: int, grace: int) -> None:
    """vLLM finishes them itself; of llama.cpp none may be left when it is told to stop (facts/engines.md 7.2)."""
    workload = replace(CHAT, container=replace(LLAMA, engine=engine, request_timeout=timeout))

    assert container_of(workload)["lifecycle"] == {"preStop": {"sleep": {"seconds": sleep}}}
    assert pod_of(workload)["terminationGracePeriodSeconds"] == grace


def test_a_word_is_what_was_declared_after_all_that_reads_it() -> None:
    """Kubernetes would replace $(HOME); braces of other names are the user's."""
    workload = replace(CHAT, command=("run", "{host}:{port}", "{python} {models}/x", "{other}", "$(HOME) $5 $$"), env={"A": "$(B) {port}"})

    assert container_of(workload)["command"] == ["run", "0.0.0.0:8080", "python3 /models/x", "{other}", "$$(HOME) $$5 $$$$"]
    assert env_of(workload)["A"] == {"name": "A", "value": "$$(B) 8080"}


def test_what_looks_like_a_template_in_a_declaration_is_text() -> None:
    workload = replace(CHAT, command=("run", "{{ endpoint.name }}", "{% raw %}"), env={"A": "{{ 7 * 7 }}", "B": "a: [b]\n- c"})

    assert container_of(workload)["command"] == ["run", "{{ endpoint.name }}", "{% raw %}"]
    assert [env_of(workload)[name]["value"] for name in "AB"] == ["{{ 7 * 7 }}", "a: [b]\n- c"]


def test_a_replica_knows_whose_it_is() -> None:
    env = env_of(BIG)

    assert [name for name in env if name.startswith("RECONCILER_")] == [
        "RECONCILER_ACCELERATOR_TYPE",
        "RECONCILER_CLUSTER",
        "RECONCILER_ENDPOINT",
        "RECONCILER_REPLICA_ID",
        "RECONCILER_WORKSPACE",
    ]
    assert env["RECONCILER_REPLICA_ID"]["valueFrom"] == {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}
    assert "RECONCILER_ACCELERATOR_TYPE" not in env_of(CHAT)


def test_a_secret_is_referred_to() -> None:
    assert env_of(BIG)["HF_TOKEN"] == {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"key": "token", "name": "hf"}}}


@pytest.mark.parametrize(
    ("declared", "tolerated"),
    [
        ((), [{"effect": "NoSchedule", "key": "nvidia.com/gpu", "operator": "Exists"}]),
        (({"key": "nvidia.com/gpu", "operator": "Exists"},), [{"key": "nvidia.com/gpu", "operator": "Exists"}]),
        (({"operator": "Exists"},), [{"operator": "Exists"}]),
    ],
)
def test_the_taint_of_the_accelerators_nodes_is_tolerated(declared: tuple[dict[str, str], ...], tolerated: list[dict[str, str]]) -> None:
    accelerator = Accelerator("h100", "nvidia.com/gpu", 1, tolerations=declared)

    assert pod_of(replace(BIG, accelerator=accelerator))["tolerations"] == tolerated


def test_a_partition_is_tainted_as_its_device() -> None:
    pod = pod_of(replace(BIG, accelerator=Accelerator("h100", "nvidia.com/mig-1g.10gb", 1)))

    assert [toleration["key"] for toleration in pod["tolerations"]] == ["nvidia.com/gpu"]


def test_requests_equal_limits_for_what_cannot_be_shared() -> None:
    assert container_of(BIG)["resources"] == {
        "requests": {"cpu": "4", "memory": "32Gi", "ephemeral-storage": "50Gi", "nvidia.com/gpu": "2"},
        "limits": {"memory": "32Gi", "ephemeral-storage": "50Gi", "nvidia.com/gpu": "2"},
    }


@pytest.mark.parametrize(("engine", "declared", "size"), [("vllm", 0, "8Gi"), ("vllm", 2**34, "16Gi"), ("llama-cpp", 2**30, "1Gi")])
def test_shared_memory_is_the_endpoints_or_the_engines_choice(engine: str, declared: int, size: str) -> None:
    workload = replace(CHAT, container=replace(LLAMA, engine=engine, shared_memory=declared))

    assert {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": size}} in pod_of(workload)["volumes"]
    assert {"name": "dshm", "mountPath": "/dev/shm"} in container_of(workload)["volumeMounts"]


def test_there_is_no_shared_memory_that_nobody_asked_for() -> None:
    assert "dshm" not in {volume["name"] for volume in pod_of(CHAT)["volumes"]}


def test_an_own_tmp_folder_takes_the_place_of_ours() -> None:
    own = Volume("scratch", "hostPath", {"path": "/mnt"}, "/tmp")

    assert [mount["name"] for mount in container_of(replace(CHAT, container=replace(LLAMA, volumes=(own,))))["volumeMounts"]] == ["scratch"]


@pytest.mark.parametrize(
    ("http", "metrics", "management", "ports"),
    [
        (8000, None, None, {"http": 8000}),
        (8000, 8000, 8000, {"http": 8000}),
        (8000, 9000, 9000, {"http": 8000, "metrics": 9000}),
        (1025, 1027, 1026, {"http": 1025, "metrics": 1027, "management": 1026}),
    ],
)
def test_a_number_is_one_port(http: int, metrics: int | None, management: int | None, ports: dict[str, int]) -> None:
    container = replace(LLAMA, http_port=http, metrics_port=metrics, management_port=management)

    found = container_of(replace(CHAT, container=container))["ports"]

    assert {port["name"]: port["containerPort"] for port in found} == ports


def test_management_is_reached_by_nobody() -> None:
    policy = one(render_workload(BIG, EQUIPPED), "NetworkPolicy")["spec"]
    service = one(render_workload(BIG, EQUIPPED), "Service")["spec"]

    open_to_all = [rule["ports"] for rule in policy["ingress"] if "from" not in rule]
    assert [[port["port"] for port in ports] for ports in open_to_all] == [[8000, 8002]]
    assert [port["port"] for port in service["ports"]] == [8000]


def test_one_machine_in_place_of_several_takes_no_rule_from_the_group_that_still_serves() -> None:
    """The policy is written before the workload."""
    assert GROUPED.container
    containers = (replace(GROUPED.container, nodes=1), GROUPED.container)
    one_, several = (
        one(render_workload(replace(GROUPED, container=container), EQUIPPED), "NetworkPolicy")["spec"] for container in containers
    )

    assert one_ == several


# Which objects there are


@pytest.mark.parametrize(
    ("workload", "target", "kinds"),
    [
        (CHAT, PLAIN, []),
        (replace(CHAT, replicas=2), PLAIN, ["PodDisruptionBudget"]),
        (replace(CHAT, replicas=2, paused=True), PLAIN, []),
        (CHAT, cluster("prometheusOperator"), ["PodMonitor"]),
        (replace(CHAT, container=replace(LLAMA, scrape=False)), cluster("prometheusOperator"), []),
        (replace(CHAT, container=replace(LLAMA, metrics_path="")), cluster("prometheusOperator"), []),
        (SCALED, cluster("keda", prometheusUrl="http://p"), ["PodDisruptionBudget", "ScaledObject"]),
        (BY_ADAPTER, cluster("metricsAdapter"), ["PodDisruptionBudget", "HorizontalPodAutoscaler"]),
        (BY_ADAPTER, cluster("metricsAdapter", "keda", prometheusUrl="http://p"), ["PodDisruptionBudget", "ScaledObject"]),
        (PAUSED, cluster("keda", prometheusUrl="http://p"), []),
    ],
)
def test_which_objects_there_are(workload: Workload, target: TargetSpec, kinds: list[str]) -> None:
    always = ["Namespace", "ServiceAccount", "Service", "NetworkPolicy", "Deployment"]

    assert [resource.key.kind for resource in render_workload(workload, target).resources] == [*always, *kinds]


@pytest.mark.parametrize(("scrape", "path"), [(False, "/metrics"), (True, "")])
def test_metrics_that_nobody_wants_are_not_announced(scrape: bool, path: str) -> None:
    workload = replace(CHAT, container=replace(LLAMA, scrape=scrape, metrics_path=path))

    assert "annotations" not in mapping(one(render_workload(workload, PLAIN), "Deployment")["spec"])["template"]["metadata"]


@pytest.mark.parametrize(
    ("workload", "replicas", "initial"),
    [
        (replace(CHAT, replicas=3), 3, None),
        (SCALED, None, 2),
        (BY_ADAPTER, None, 1),
        (replace(CHAT, container=replace(LLAMA, autoscaling=replace(FOLLOWS_REQUESTS, initial=0))), None, 0),
        (replace(CHAT, container=replace(LLAMA, autoscaling=replace(FOLLOWS_REQUESTS, initial=0, minimum=3))), None, 3),
        (PAUSED, 0, None),
        (replace(CHAT, replicas=3, paused=True), 0, None),
    ],
)
def test_who_says_how_many_replicas_there_are(workload: Workload, replicas: int | None, initial: int | None) -> None:
    """The manifest, or else the writer begins with the initial number and an autoscaler goes on."""
    manifest = one(render_workload(workload, EQUIPPED), "Deployment")

    assert manifest["spec"].get("replicas") == replicas
    assert initial_replicas(manifest) == initial


@pytest.mark.parametrize(
    ("minimum", "idle", "expected"),
    [
        (0, 3600, {"minReplicaCount": 0, "cooldownPeriod": 3600, "initialCooldownPeriod": 3600}),
        (2, 600, {"minReplicaCount": 2, "idleReplicaCount": 0, "cooldownPeriod": 600, "initialCooldownPeriod": 600}),
        (2, None, {"minReplicaCount": 2}),
    ],
)
def test_how_an_endpoint_falls_asleep(minimum: int, idle: int | None, expected: dict[str, int]) -> None:
    scaling = replace(FOLLOWS_REQUESTS, minimum=minimum, idle=idle)

    spec = one(render_workload(replace(CHAT, container=replace(LLAMA, autoscaling=scaling)), EQUIPPED), "ScaledObject")["spec"]

    names = ("minReplicaCount", "idleReplicaCount", "cooldownPeriod", "initialCooldownPeriod")
    assert {name: spec[name] for name in names if name in spec} == expected


@pytest.mark.parametrize(
    ("metric", "target", "threshold", "kind"),
    [
        ("accelerator-utilization", 80, "80", "Value"),
        ("concurrency", 4, "4", "AverageValue"),
        ("latency-p95", 5000, "5000", "Value"),
        ("qpm", 60, "60", "AverageValue"),
        ("queue-depth", 5, "5", "AverageValue"),
        ("rps", 0.5, "0.5", "AverageValue"),
    ],
)
@pytest.mark.parametrize("engine", ["vllm", "llama-cpp"])
def test_every_metric_has_a_query(engine: str, metric: str, target: float, threshold: str, kind: str) -> None:
    scaling = replace(FOLLOWS_REQUESTS, metric=metric, target=target)
    workload = replace(CHAT, container=replace(LLAMA, engine=engine, autoscaling=scaling))

    (trigger,) = one(render_workload(workload, EQUIPPED), "ScaledObject")["spec"]["triggers"]

    assert (trigger["metadata"]["threshold"], trigger["metricType"]) == (threshold, kind)
    assert "chat" in trigger["metadata"]["query"]


def test_a_mean_is_not_divided_among_replicas() -> None:
    scaling = replace(FOLLOWS_REQUESTS, minimum=1, idle=None, metric="latency-p95", target=5000)
    workload = replace(CHAT, container=replace(LLAMA, autoscaling=scaling))

    (metric,) = one(render_workload(workload, cluster("metricsAdapter")), "HorizontalPodAutoscaler")["spec"]["metrics"]

    assert metric["external"]["target"] == {"type": "Value", "value": "5k"}


@pytest.mark.parametrize(
    ("max_surge", "max_unavailable", "strategy"),
    [
        (1, 0, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
        (0, 1, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        (0, 0, {"type": "Recreate"}),
    ],
)
def test_a_rolling_update_is_written_out(max_surge: int, max_unavailable: int, strategy: dict[str, Json]) -> None:
    """Otherwise the server's own defaults could never be taken back, and a change to Recreate would be refused."""
    workload = replace(CHAT, container=replace(LLAMA, max_surge=max_surge, max_unavailable=max_unavailable))

    assert one(render_workload(workload, PLAIN), "Deployment")["spec"]["strategy"] == strategy


# Several machines per replica


def test_the_machines_of_a_replica_know_each_other() -> None:
    group = one(render_workload(GROUPED, EQUIPPED), "LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    leader, worker = (group[name]["spec"]["containers"][0] for name in ("leaderTemplate", "workerTemplate"))

    assert group["size"] == 2
    assert leader["command"][-6:] == ["--nnodes", "$(LWS_GROUP_SIZE)", "--node-rank", "0", "--master-addr", "$(LWS_LEADER_ADDRESS)"]
    assert worker["command"][-5:] == ["--node-rank", "$(LWS_WORKER_INDEX)", "--master-addr", "$(LWS_LEADER_ADDRESS)", "--headless"]


def test_only_the_first_machine_answers_requests() -> None:
    rendered = render_workload(GROUPED, EQUIPPED)
    group = one(rendered, "LeaderWorkerSet")["spec"]["leaderWorkerTemplate"]
    worker = group["workerTemplate"]

    assert not {"startupProbe", "readinessProbe", "livenessProbe", "ports"} & worker["spec"]["containers"][0].keys()
    for kind, path in (("Service", ("selector",)), ("PodDisruptionBudget", ("selector", "matchLabels"))):
        selector = one(rendered, kind)["spec"]
        for name in path:
            selector = selector[name]
        assert selector.items() <= group["leaderTemplate"]["metadata"]["labels"].items()
        assert not selector.items() <= worker["metadata"]["labels"].items()


def test_a_group_has_a_name_of_its_own_and_the_service_keeps_the_endpoints() -> None:
    rendered = render_workload(GROUPED, EQUIPPED)

    assert rendered.backend is not None
    assert rendered.backend.key == ResourceKey("gpu-east", "LeaderWorkerSet", "team-a", "giant-lws")
    assert one(rendered, "Service")["metadata"]["name"] == "giant"


def test_a_group_that_is_recreated_is_taken_down_as_a_whole() -> None:
    rolling = one(
        render_workload(replace(GROUPED, container=replace(VLLM, nodes=2, max_surge=0, max_unavailable=0)), EQUIPPED), "LeaderWorkerSet"
    )

    assert rolling["spec"]["rolloutStrategy"]["rollingUpdateConfiguration"] == {"maxSurge": 0, "maxUnavailable": "100%"}


# What belongs to others


def test_a_namespace_is_the_same_for_every_endpoint_of_a_workspace() -> None:
    namespaces = {
        resource.digest: (resource.owner, resource.source)
        for workload in (CHAT, replace(CHAT, name="other"), BIG)
        for resource in render_workload(workload, EQUIPPED).resources
        if resource.key.kind == "Namespace"
    }

    assert list(namespaces.values()) == [("Workspace/team-a", "clusters/gpu-east.yaml:1")]


def test_a_cache_of_ours_is_the_clusters_and_never_protected_by_an_endpoint() -> None:
    (claim,) = (found for found in render_workload(BIG, EQUIPPED).resources if found.key.kind == "PersistentVolumeClaim")

    assert (claim.owner, claim.protect, claim.key.name) == ("Cluster/gpu-east", False, "model-cache-hf")


def test_a_claim_of_others_is_mounted_and_not_made() -> None:
    assert "PersistentVolumeClaim" not in {found.key.kind for found in render_workload(BIG, PLAIN_WITH_LWS).resources}


PLAIN_WITH_LWS = cluster("lws")


def test_a_prefix_is_of_the_real_namespace_only() -> None:
    rendered = render_workload(CHAT, cluster(namespacePrefix="llm-"))

    assert {found.key.namespace for found in rendered.resources} == {"team-a"}
    assert one(rendered, "Namespace")["metadata"]["name"] == "llm-team-a"
    assert one(rendered, "Deployment")["metadata"]["namespace"] == "llm-team-a"


# What Kubernetes cannot do


def refused(code: str, **changes: Any) -> tuple[str, dict[str, Any]]:
    return code, changes


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        refused("E2", name="default"),
        refused("E2", name="chat-lws", target=cluster("lws")),
        refused("E2", name="c" * 50, container=replace(VLLM, nodes=2), target=cluster("lws")),
        refused("E2", workspace="kube-system"),
        refused("E2", workspace="w" * 60, target=cluster(namespacePrefix="llm-")),
        refused("E6", accelerator=Accelerator("h100", "nvidia.com/gpu", 0.5)),
        refused("E6", accelerator=Accelerator("h100", "nvidia.com/gpu", 1.5)),
        refused("E8", container=None),
        refused("E32", secrets=(SecretEnv("TOKEN", "hf", ""),)),
        refused("E38", container=SCALED.container, target=cluster("metricsAdapter")),
        refused("E40", container=SCALED.container),
        refused("E40", container=SCALED.container, target=cluster("keda")),
        refused(
            "E40", container=replace(LLAMA, engine="other", autoscaling=replace(FOLLOWS_REQUESTS, metric="queue-depth")), target=EQUIPPED
        ),
        refused("E43", container=replace(LLAMA, volumes=(Volume("v", "s3", {}, "/data"),))),
        refused("E63", container=replace(VLLM, nodes=2)),
        refused("E63", container=replace(LLAMA, nodes=2), target=cluster("lws")),
    ],
)
def test_what_kubernetes_cannot_do_is_refused(code: str, changes: dict[str, Any]) -> None:
    target = changes.pop("target", PLAIN)

    with pytest.raises(CompileError) as caught:
        render_workload(replace(CHAT, **changes), target)

    assert caught.value.problem.code == code


@pytest.mark.parametrize("engine", ["", "kubernetes", "envoy", "../kubernetes", "..", "no-such-engine", "a\0b", "x" * 300])
def test_no_engine_reaches_templates_that_are_not_its_own(engine: str) -> None:
    found = render_workload(replace(CHAT, container=replace(LLAMA, engine=engine)), PLAIN)

    assert container_of_manifest(one(found, "Deployment"))["lifecycle"] == {"preStop": {"sleep": {"seconds": 15}}}


# Reading what was rendered


def mapping(value: Any) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value


def holders(value: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, value
    if isinstance(value, dict):
        for name, below in value.items():
            yield from holders(below, (*path, name))
    elif isinstance(value, list):
        for item in value:
            yield from holders(item, path)


def lists_of(value: Json, name: str) -> Iterator[dict[str, Any]]:
    for path, found in holders(value):
        if path[-1:] == (name,) and isinstance(found, dict):
            yield found


def one(rendered: Rendered, kind: str) -> dict[str, Any]:
    (found,) = (resource.manifest for resource in rendered.resources if resource.key.kind == kind)
    return mapping(found)


def pod_of(workload: Workload) -> dict[str, Any]:
    return mapping(one(render_workload(workload, PLAIN), "Deployment")["spec"]["template"]["spec"])


def container_of_manifest(manifest: dict[str, Any]) -> dict[str, Any]:
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    return mapping(container)


def container_of(workload: Workload) -> dict[str, Any]:
    return container_of_manifest(one(render_workload(workload, PLAIN), "Deployment"))


def env_of(workload: Workload) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in container_of(workload)["env"]}
