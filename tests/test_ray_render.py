"""An endpoint as a Serve application, and what a change of it does."""

import json
from dataclasses import replace

import pytest

from reconciler.change import ChangeClass, FieldChange
from reconciler.desired import TargetSpec
from reconciler.errors import CompileError
from reconciler.resource import Binding, Json, LiveResource, ResourceKey
from reconciler.targets.ray.document import attempt_of, key_of, mark_of, marked, plain
from reconciler.targets.ray.render import render_workload
from reconciler.targets.ray.rules import RULES
from reconciler.targets.rendering import Accelerator, Meta, SecretEnv, Workload

LAB = TargetSpec("lab", "ray", {"local": True, "secretsDirectory": "/run/secrets"}, source="clusters/lab.yaml:1")
CHAT = Workload(
    meta=Meta("Endpoint/team-a/chat", "chat.yaml:1"),
    workspace="team-a",
    name="chat",
    command=("vllm", "serve", "/models/qwen", "--host", "{host}", "--port", "{port}"),
    env={"B": "2", "A": "1"},
    secrets=(),
    replicas=2,
    cpu=4,
    memory=2**30,
    accelerator=None,
    health_path="/health",
    startup_timeout=1200,
    health_period=5,
    health_timeout=10,
    grace=330,
    surge=True,
    spread_required=False,
    restarted_at="",
)


def manifest_of(workload: Workload, target: TargetSpec = LAB) -> dict[str, Json]:
    return dict(render_workload(workload, target).resources[0].manifest)


def deployment_of(workload: Workload) -> dict[str, Json]:
    deployments = manifest_of(workload)["deployments"]
    assert isinstance(deployments, list)
    assert isinstance(deployments[0], dict)
    return deployments[0]


def test_the_whole_application() -> None:
    rendered = render_workload(CHAT, LAB)

    assert rendered.resources[0].key == ResourceKey("lab", "ServeApplication", "team-a", "chat")
    assert rendered.backend is not None
    assert rendered.backend.prefix == "/team-a/chat"
    assert rendered.resources[0].manifest == {
        "name": "team-a_chat",
        "route_prefix": "/team-a/chat",
        "import_path": "reconciler.nodes.engine:build",
        "args": {
            "command": ["vllm", "serve", "/models/qwen", "--host", "{host}", "--port", "{port}"],
            "env": {"A": "1", "B": "2"},
            "health_path": "/health",
            "startup_timeout_s": 1200.0,
            "node_version": "1",
        },
        "deployments": [
            {
                "name": "Engine",
                "num_replicas": 2,
                "max_ongoing_requests": 256,
                "max_queued_requests": 256,
                "max_surge_percent": 100,
                "health_check_period_s": 2.0,
                "health_check_timeout_s": 10.0,
                "graceful_shutdown_wait_loop_s": 0.5,
                "graceful_shutdown_timeout_s": 330.0,
                "ray_actor_options": {"num_cpus": 4.0, "memory": 1073741824.0},
            }
        ],
    }


def test_accelerators_are_gpus_or_resources_of_their_own() -> None:
    gpu = replace(CHAT, accelerator=Accelerator("nvidia-h100", "GPU", 0.5, {"gpu": "h100"}))
    npu = replace(CHAT, accelerator=Accelerator("ascend", "NPU", 8))

    assert deployment_of(gpu)["ray_actor_options"] == {
        "num_cpus": 4.0,
        "memory": 1073741824.0,
        "num_gpus": 0.5,
        "label_selector": {"gpu": "h100"},
    }
    assert deployment_of(npu)["ray_actor_options"] == {"num_cpus": 4.0, "memory": 1073741824.0, "resources": {"NPU": 8.0}}


def test_placement_surge_and_restart() -> None:
    workload = replace(CHAT, surge=False, spread_required=True, restarted_at="2026-01-01")

    assert deployment_of(workload)["max_surge_percent"] == 0
    assert deployment_of(workload)["max_replicas_per_node"] == 1
    assert "2026-01-01" in json.dumps(manifest_of(workload)["args"])


def test_a_secret_is_a_file_of_the_node() -> None:
    args = manifest_of(replace(CHAT, secrets=(SecretEnv("HF_TOKEN", "hf", "token"),)))["args"]

    assert isinstance(args, dict)
    assert args["secret_files"] == {"HF_TOKEN": "/run/secrets/hf/token"}


def test_a_secret_needs_a_directory_on_the_nodes() -> None:
    with pytest.raises(CompileError, match="HF_TOKEN"):
        render_workload(replace(CHAT, secrets=(SecretEnv("HF_TOKEN", "hf", "token"),)), TargetSpec("lab", "ray", {"local": True}))


def test_same_workload_same_bytes() -> None:
    turned = replace(CHAT, env=dict(reversed(CHAT.env.items())))

    assert json.dumps(manifest_of(turned)) == json.dumps(manifest_of(CHAT))


def effects_of(after: Workload, *fields: FieldChange) -> tuple[ChangeClass, int, bool]:
    resource = render_workload(after, LAB).resources[0]
    live = LiveResource(resource.key, manifest_of(CHAT), None)
    effects = RULES.effects(resource, live, fields)
    return effects.kind, effects.restarts, effects.downtime


@pytest.mark.parametrize(
    "path",
    [
        "/route_prefix",
        "/deployments/0/num_replicas",
        "/deployments/0/max_surge_percent",
        "/deployments/0/graceful_shutdown_timeout_s",
        "/deployments/0/health_check_period_s",
        "/deployments/0/autoscaling_config/max_replicas",
    ],
)
def test_what_serve_changes_in_place(path: str) -> None:
    assert effects_of(CHAT, FieldChange(path, 1, 2)) == (ChangeClass.IN_PLACE, 0, False)


@pytest.mark.parametrize(
    "path",
    [
        "/args/command/3",
        "/args",
        "/import_path",
        "/deployments",
        "/deployments/0/ray_actor_options/num_cpus",
        "/deployments/0/max_replicas_per_node",
        "/deployments/0/autoscaling_config/policy/name",
    ],
)
def test_what_makes_a_new_version_of_the_code(path: str) -> None:
    assert effects_of(CHAT, FieldChange(path, 1, 2)) == (ChangeClass.RESTART, 2, False)


def test_one_replica_without_surge_means_an_outage() -> None:
    assert effects_of(replace(CHAT, replicas=1, surge=False), FieldChange("/args/command/3", 1, 2)) == (ChangeClass.RESTART, 1, True)


def test_mark_and_attempt_go_in_and_come_out() -> None:
    resource = render_workload(CHAT, LAB).resources[0]
    mark = resource.mark("default", "root")

    document = json.loads(json.dumps(marked(resource.manifest, mark, Binding(attempt=3))))

    assert mark_of(document) == mark
    assert attempt_of(document) == 3
    assert plain(document) == resource.manifest
    assert plain(marked(resource.manifest, mark, Binding())) == resource.manifest


def test_a_mark_that_was_copied_to_another_name_is_none() -> None:
    resource = render_workload(CHAT, LAB).resources[0]
    document = {**marked(resource.manifest, resource.mark("default", "root"), Binding()), "name": "team-b_chat"}

    assert mark_of(document) is None


@pytest.mark.parametrize("name", ["default", "a_b_c", "_a", "a_", ""])
def test_names_that_cannot_be_ours(name: str) -> None:
    assert key_of("lab", name) is None
