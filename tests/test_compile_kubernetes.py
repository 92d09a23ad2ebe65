"""What an endpoint on Kubernetes becomes before it is rendered: image, model, probes, volumes, accelerators; and the cluster's settings."""

from dataclasses import replace

import pytest
from declarations_text import BASE, CLUSTER, LLAMA, REGISTRY, TEAM, desired
from kubernetes_text import (
    BASE_K8S,
    CHAT_K8S,
    CLUSTER_K8S,
    GATEWAY_K8S,
    GPU_K8S,
    IMAGES,
    LLAMA_K8S,
    VLLM_K8S,
    compiled,
    container,
    on_memory,
    workload,
)

from reconciler.desired import Remembered
from reconciler.errors import Severity
from reconciler.resource import ResourceKey
from reconciler.targets.rendering import Accelerator, Autoscaling, Probe, SecretEnv, Volume

MIRROR = "kind: ImageRegistry\nmetadata: {name: harbor}\nspec: {url: https://harbor.local/, repository: inference}\n"
MIRRORED = CLUSTER_K8S + "  imageRegistry: harbor\n"
SECRETS = CLUSTER_K8S + "  secrets: {kubernetes: true}\n"
MODEL = Volume("model", "pvc", {"claim": "weights"}, "/models", read_only=True)


def on(cluster: str = CLUSTER_K8S, engine: str = LLAMA_K8S, registry: str = REGISTRY, endpoint: str = CHAT_K8S) -> tuple[str, ...]:
    return (engine, VLLM_K8S, cluster, GATEWAY_K8S, TEAM, registry, endpoint)


def with_cache(cache: str) -> str:
    return CLUSTER_K8S.replace("{name: weights, pvc: {claim: weights}}", cache)


def codes(*documents: str) -> list[str]:
    return sorted(problem.code for problem in compiled(*documents)[1] if problem.severity is Severity.ERROR)


def model_of(*documents: str) -> tuple[str, Volume]:
    """The word behind -m, and the volume that it lies in."""
    made = workload(*documents)
    assert made.container is not None
    return made.command[2], made.container.volumes[0]


# --- the basic case


def test_an_endpoint_is_a_container_of_the_engines_image() -> None:
    made = workload(*BASE_K8S, CHAT_K8S)

    assert made.command == (
        *("llama-server", "-m", "/models/smollm2/smollm2.gguf", "--host", "{host}", "--port", "{port}", "--alias", "team-a/chat"),
    )
    assert made.container is not None
    assert (made.container.engine, made.container.version) == ("llama-cpp", "b11549")
    assert (made.container.image, made.container.pull_secret) == ("ghcr.io/ggml-org/llama.cpp:server-b11549", "")
    assert made.container.volumes == (MODEL,)
    assert (made.container.http_port, made.container.metrics_path, made.container.scrape) == (8000, "/metrics", True)


def test_a_replica_on_ray_is_a_process_and_has_no_container() -> None:
    made = workload(*BASE, CHAT_K8S.replace("cluster: east", "cluster: lab"))

    assert (made.container, made.command[2]) == (None, "{models}/smollm2/smollm2.gguf")


def test_a_container_starts_by_the_images_command_and_not_by_that_of_ray() -> None:
    engine = LLAMA_K8S.replace("    command: [llama-server", "    ray: {command: ['{{ python }}', -m, x]}\n    command: [llama-server")

    assert workload(*on(engine=engine)).command[0] == "llama-server"
    assert workload(engine, *BASE[1:], CHAT_K8S.replace("east", "lab")).command == ("{python}", "-m", "x")


def test_an_engine_that_only_ray_can_start_says_so() -> None:
    engine = LLAMA_K8S[: LLAMA_K8S.index("    command:")] + "    ray: {command: [x]}\n" + IMAGES
    _, problems = compiled(*on(engine=engine))

    assert [(problem.code, problem.what) for problem in problems if problem.severity is Severity.ERROR] == [("E75", "no command")]


def test_a_container_has_the_ports_of_its_version() -> None:
    engine = LLAMA_K8S.replace("    command:", "    ports: {http: 8080, management: 8081, metrics: 9090}\n    command:").replace(
        "--alias", '--admin, "{{ ports.management }}", --alias'
    )
    made = workload(*on(engine=engine))

    assert made.command[7:9] == ("--admin", "8081")
    assert made.container is not None
    assert (made.container.http_port, made.container.management_port, made.container.metrics_port) == (8080, 8081, 9090)


def test_on_ray_the_same_word_has_no_port_and_is_refused_where_it_stands() -> None:
    engine = LLAMA.replace("    command:", "    ports: {management: 8081}\n    command:").replace(
        "--alias", '--admin, "{{ ports.management }}", --alias'
    )
    found = desired(engine, *BASE[1:], CHAT_K8S.replace("east", "lab"))

    assert [(problem.code, problem.subject) for problem in found.problems] == [("E20", "engine llama-cpp")]
    assert list(found.blocked) == ["Endpoint/team-a/chat"]


# --- images


@pytest.mark.parametrize(
    ("image", "mirrored"),
    [
        ("ghcr.io/ggml-org/llama.cpp:server", "harbor.local/inference/ggml-org/llama.cpp:server"),
        ("vllm/vllm-openai:v0.33.0", "harbor.local/inference/vllm/vllm-openai:v0.33.0"),
        ("nginx:1", "harbor.local/inference/nginx:1"),
        ("localhost/a:1", "harbor.local/inference/a:1"),
        ("registry:5000/a/b@sha256:" + "0" * 64, "harbor.local/inference/a/b@sha256:" + "0" * 64),
    ],
)
def test_a_mirror_takes_the_place_of_the_images_host(image: str, mirrored: str) -> None:
    engine = LLAMA_K8S.replace("ghcr.io/ggml-org/llama.cpp:server-b11549", image)

    assert container(*on(MIRRORED, engine), MIRROR).image == mirrored


def test_a_mirror_may_have_a_port_a_path_and_a_login() -> None:
    mirror = MIRROR.replace("https://harbor.local/, repository: inference", "harbor:5000/a, credentialsRef: {name: harbor-login}")
    made = container(*on(MIRRORED), mirror)

    assert (made.image, made.pull_secret) == ("harbor:5000/a/ggml-org/llama.cpp:server-b11549", "harbor-login")


def test_a_workspaces_own_mirror_comes_before_the_global_one() -> None:
    own = MIRROR.replace("name: harbor", "name: harbor, workspace: team-a").replace("inference", "team")

    assert container(*on(MIRRORED), MIRROR, own).image.startswith("harbor.local/team/")
    assert container(*on(MIRRORED), own).image.startswith("harbor.local/team/")


def test_a_mirror_of_another_workspace_is_not_seen() -> None:
    theirs = MIRROR.replace("name: harbor", "name: harbor, workspace: team-b")
    found = on_memory(*on(MIRRORED), "kind: Workspace\nmetadata: {name: team-b}\n", theirs)

    assert [(problem.code, problem.what) for problem in found.problems] == [("E67", "image registry 'harbor' is not declared")]
    assert list(found.blocked) == ["Endpoint/team-a/chat"]


@pytest.mark.parametrize(
    ("mirror", "code", "what"),
    [
        ("", "E67", "image registry 'harbor' is not declared"),
        (MIRROR.replace("https", "ftp"), "E75", "'ftp://harbor.local/' is not a regi"),
    ],
)
def test_a_mirror_that_is_not_there_or_broken_blocks_its_cluster(mirror: str, code: str, what: str) -> None:
    found = on_memory(*on(MIRRORED), *((mirror,) if mirror else ()))

    assert (code, True) in {(problem.code, what in problem.what) for problem in found.problems}
    assert "cluster 'east' is broken" in {problem.what for problem in found.blocked["Endpoint/team-a/chat"]}


def test_an_image_is_that_of_the_accelerators_vendor() -> None:
    chat = CHAT_K8S + "  resources: {cpu: 4, accelerator: {type: nvidia-h100}}\n"

    assert container(*on(endpoint=chat)).image == "ghcr.io/ggml-org/llama.cpp:server-cuda-b11549"


@pytest.mark.parametrize(
    ("documents", "what"),
    [
        (on(endpoint=GPU_K8S.replace("  resources: {cpu: 4, memory: 32Gi, accelerator: {type: nvidia-h100, count: 2}}\n", "")), "for cpu"),
        (on(CLUSTER_K8S.replace("vendor: nvidia", "vendor: amd"), endpoint=GPU_K8S), "vllm v0.33.0 has no image for amd"),
        (on(CLUSTER_K8S.replace("vendor: nvidia, ", ""), endpoint=GPU_K8S), "accelerator 'nvidia-h100' has no vendor"),
        (on(engine=LLAMA), "llama-cpp b11549 has no image for cpu"),
    ],
)
def test_without_an_image_there_is_nothing_to_run(documents: tuple[str, ...], what: str) -> None:
    _, problems = compiled(*documents)

    assert [(problem.code, what in problem.what) for problem in problems if problem.severity is Severity.ERROR] == [("E8", True)]


def test_an_image_that_is_no_name_is_the_engines_mistake() -> None:
    _, problems = compiled(*on(engine=LLAMA_K8S.replace("ghcr.io/ggml-org/llama.cpp:server-b11549", "not an image")))

    assert [(problem.code, problem.subject) for problem in problems] == [("E75", "engine llama-cpp")]


# --- models


@pytest.mark.parametrize(
    ("cache", "kind", "source"),
    [
        ("{name: a, pvc: {claim: weights}}", "pvc", {"claim": "weights"}),
        ("{name: a, pvc: {size: 100Gi}}", "pvc", {"claim": "model-cache-a"}),
        ("{name: a, hostPath: /var/lib/models/}", "hostPath", {"path": "/var/lib/models"}),
        ("{name: a, nfs: {server: nas, path: /export/}}", "nfs", {"server": "nas", "path": "/export"}),
        ("{name: a, hostPath: /first}, {name: b, hostPath: /second}", "hostPath", {"path": "/first"}),
    ],
)
def test_files_with_a_relative_path_lie_in_the_first_model_cache(cache: str, kind: str, source: dict[str, str]) -> None:
    registry = REGISTRY.replace("path: .", "path: ./gguf/")
    path, volume = model_of(*on(with_cache(cache), registry=registry))

    assert path == "/models/gguf/smollm2/smollm2.gguf"
    assert volume == Volume("model", kind, source, "/models", read_only=True)


@pytest.mark.parametrize(
    ("registry", "model", "path", "kind", "source"),
    [
        ("type: filesystem, path: /srv/m/", "name: a, file: a.gguf", "/models/a/a.gguf", "hostPath", {"path": "/srv/m"}),
        ("type: filesystem, path: /", "name: a, file: a.gguf", "/models/a/a.gguf", "hostPath", {"path": "/"}),
        (
            "type: nfs, server: nas, path: /export/",
            "name: org/a, version: v2, file: a.gguf",
            "/models/org/a/v2/a.gguf",
            "nfs",
            {"server": "nas", "path": "/export"},
        ),
        (
            "type: oci, url: oci://harbor.local/models/",
            "name: org/a, version: v2, file: a.gguf",
            "/models/a.gguf",
            "image",
            {"reference": "harbor.local/models/org/a:v2"},
        ),
        (
            "type: oci, url: harbor.local:5000",
            "name: a, version: 'sha256:" + "a" * 64 + "', file: a.gguf",
            "/models/a.gguf",
            "image",
            {"reference": "harbor.local:5000/a@sha256:" + "a" * 64},
        ),
        ("type: oci, url: h.local", "name: a, file: a.gguf", "/models/a.gguf", "image", {"reference": "h.local/a:latest"}),
    ],
)
def test_a_registry_is_mounted_where_the_engine_looks(registry: str, model: str, path: str, kind: str, source: dict[str, str]) -> None:
    files = f"kind: ModelRegistry\nmetadata: {{name: files}}\nspec: {{{registry}}}\n"
    chat = CHAT_K8S.replace("name: smollm2, file: smollm2.gguf", model)

    assert model_of(*on(registry=files, endpoint=chat)) == (path, Volume("model", kind, source, "/models", read_only=True))


def test_a_model_without_a_file_is_its_folder_or_its_image() -> None:
    image = "kind: ModelRegistry\nmetadata: {name: files}\nspec: {type: oci, url: harbor.local}\n"

    assert workload(*on(endpoint=GPU_K8S)).command[2] == "/models/qwen"
    assert workload(*on(registry=image, endpoint=GPU_K8S)).command[2] == "/models"


def test_the_newest_image_of_a_model_is_warned_of() -> None:
    image = "kind: ModelRegistry\nmetadata: {name: files}\nspec: {type: oci, url: harbor.local}\n"

    assert [problem.code for problem in compiled(*on(registry=image))[1]] == ["W2"]


@pytest.mark.parametrize("model", ["name: Org/A, file: f", "name: a, version: 'a b', file: f", "name: a, version: 'sha256:1', file: f"])
def test_a_model_that_no_image_can_be_is_refused(model: str) -> None:
    image = "kind: ModelRegistry\nmetadata: {name: files}\nspec: {type: oci, url: harbor.local}\n"

    assert codes(*on(registry=image, endpoint=CHAT_K8S.replace("name: smollm2, file: smollm2.gguf", model))) == ["E75"]


ONE_NODE = CLUSTER_K8S.replace("{claim: weights}", "{size: 1Gi, accessModes: [ReadWriteOnce]}")


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("", ["E45"]),  # a rolling update starts another one beside it
        ("  rollout: {strategy: Recreate}\n", []),
        ("  rollout: {maxSurge: 0, maxUnavailable: 1}\n", []),
        ("  replicas: 2\n  rollout: {strategy: Recreate}\n", ["E45"]),
    ],
)
def test_a_cache_that_one_node_can_attach_is_for_one_replica_at_a_time(lines: str, code: list[str]) -> None:
    documents = (*(ONE_NODE if one is CLUSTER_K8S else one for one in BASE_K8S), CHAT_K8S + lines)

    assert [problem.code for problem in compiled(*documents)[1]] == code


def test_that_it_can_be_attached_all_the_same_may_be_said() -> None:
    chat = CHAT_K8S.replace("workspace: team-a}", 'workspace: team-a, annotations: {reconciler.dev/allow: "E45"}}')
    found, problems = compiled(*(ONE_NODE if one is CLUSTER_K8S else one for one in BASE_K8S), chat)

    assert found is not None
    assert [(problem.code, problem.severity) for problem in problems] == [("E45", Severity.WARNING)]


def test_a_relative_registry_needs_a_model_cache() -> None:
    cluster = CLUSTER_K8S.replace("  modelCaches: [{name: weights, pvc: {claim: weights}}]\n", "")
    _, problems = compiled(*on(cluster))

    assert [(problem.code, problem.todo) for problem in problems] == [
        ("E34", "set modelCaches of the cluster, or an absolute path of the registry")
    ]


@pytest.mark.parametrize("spec", ["type: nfs, server: nas, path: /m", "type: oci, url: harbor.local"])
def test_what_must_be_mounted_cannot_be_served_from_on_ray(spec: str) -> None:
    files = f"kind: ModelRegistry\nmetadata: {{name: files}}\nspec: {{{spec}}}\n"
    found = desired(*BASE[:-1], files, CHAT_K8S.replace("east", "lab"))

    assert [problem.code for problem in found.problems if problem.severity is Severity.ERROR] == ["E3"]


# --- probes and rollout


def test_the_probes_are_those_of_the_checklist() -> None:
    made = container(*BASE_K8S, CHAT_K8S)

    assert made.startup == Probe("/health", 5, 10, 5, 120)
    assert made.readiness == Probe("/health", 5, 5, 5, 10)
    assert made.liveness == Probe("/health", 0, 5, 5, 12)


def test_every_number_of_a_probe_is_taken() -> None:
    def numbers(path: str, *values: int) -> str:
        names = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold")
        return f"{{path: {path}, " + ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True)) + "}"

    probes = f"startup: {numbers('/a', 1, 2, 3, 4)}, readiness: {numbers('/b', 5, 6, 7, 8)}, liveness: {numbers('/c', 9, 10, 11, 12)}"
    made = container(*BASE_K8S, CHAT_K8S + f"  probes: {{{probes}, requireApproval: true}}\n")

    assert (made.startup, made.readiness, made.liveness) == (
        Probe("/a", 1, 2, 3, 4),
        Probe("/b", 5, 6, 7, 8),
        Probe("/c", 9, 10, 11, 12),
    )
    assert made.approval


@pytest.mark.parametrize(("lines", "failures"), [("", 120), ("timeoutSeconds: 61", 7), ("timeoutSeconds: 0.5", 1)])
def test_a_replica_has_the_time_of_the_rollout_to_start(lines: str, failures: int) -> None:
    assert container(*BASE_K8S, CHAT_K8S + f"  rollout: {{{lines}}}\n").startup.failures == failures


def test_a_shorter_period_leaves_the_time_to_start_as_it_is() -> None:
    chat = CHAT_K8S + "  probes: {startup: {periodSeconds: 2}}\n  rollout: {timeoutSeconds: 60}\n"

    assert container(*BASE_K8S, chat).startup.failures == 30


def test_a_path_of_the_endpoint_comes_before_that_of_the_engine() -> None:
    engine = LLAMA_K8S.replace("paths: {metrics: /metrics}", "paths: {startup: /s, readiness: /r, liveness: '', metrics: ''}")
    made = container(*on(engine=engine, endpoint=CHAT_K8S + "  probes: {startup: {path: /mine}}\n"))

    assert (made.startup.path, made.readiness.path, made.liveness.path, made.metrics_path) == ("/mine", "/r", "/health", "")


@pytest.mark.parametrize(
    ("lines", "surge", "unavailable", "beside"),
    [("", 1, 0, True), ("maxSurge: 2, maxUnavailable: 1", 2, 1, True), ("maxSurge: 0, maxUnavailable: 1", 0, 1, False)],
)
def test_a_rollout_is_taken_as_it_is(lines: str, surge: int, unavailable: int, beside: bool) -> None:
    made = workload(*BASE_K8S, CHAT_K8S + f"  rollout: {{{lines}}}\n")

    assert made.container is not None
    assert (made.container.max_surge, made.container.max_unavailable, made.surge) == (surge, unavailable, beside)


def test_recreate_moves_nothing_beside_and_leaves_nothing_up() -> None:
    made = workload(*BASE_K8S, CHAT_K8S + "  rollout: {strategy: Recreate, maxSurge: 3}\n")

    assert made.container is not None
    assert (made.container.max_surge, made.container.max_unavailable, made.surge) == (0, 0, False)


# --- resources, placement, environment


def test_sizes_are_bytes() -> None:
    made = container(*BASE_K8S, CHAT_K8S + "  resources: {memory: 16Gi, sharedMemory: 8Gi, ephemeralStorage: 1G}\n")

    assert (made.shared_memory, made.ephemeral_storage) == (8 * 1024**3, 10**9)


@pytest.mark.parametrize("memory", ["8Gi", "4Gi"])
def test_shared_memory_is_a_part_of_the_memory(memory: str) -> None:
    assert codes(*BASE_K8S, CHAT_K8S + f"  resources: {{memory: {memory}, sharedMemory: 8Gi}}\n") == ["E39"]


def test_placement_and_observability_come_along() -> None:
    lines = "  placement: {spread: Required, topologyKey: topology.kubernetes.io/zone, priorityClass: high}\n"
    made = workload(*BASE_K8S, CHAT_K8S + lines + "  observability: {metrics: {scrape: false}}\n  routing: {timeoutSeconds: 7200}\n")

    assert made.container is not None
    assert (made.container.topology_key, made.container.priority_class) == ("topology.kubernetes.io/zone", "high")
    assert (made.container.scrape, made.container.request_timeout, made.spread_required, made.grace) == (False, 7200, True, 7230)


def test_an_accelerator_carries_what_places_a_pod() -> None:
    cluster = CLUSTER_K8S.replace(
        "vendor: nvidia,", "vendor: nvidia, tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}, {key: team, value: a}],"
    )

    assert workload(*on(cluster, endpoint=GPU_K8S)).accelerator == Accelerator(
        "nvidia-h100",
        "nvidia.com/gpu",
        2.0,
        {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        "nvidia",
        ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, {"key": "team", "operator": "Equal", "value": "a"}),
    )


PART = "  resources: {cpu: 1, memory: 8Gi, accelerator: {type: nvidia-h100, count: 1, partition: 1g.10gb}}\n"


def test_a_partition_has_a_key_of_its_own() -> None:
    cluster = CLUSTER_K8S.replace("vendor: nvidia,", "vendor: nvidia, sharing: mig,")
    made = workload(*on(cluster, endpoint=CHAT_K8S + PART))

    assert made.accelerator is not None
    assert (made.accelerator.resource_key, made.accelerator.count) == ("nvidia.com/mig-1g.10gb", 1)


@pytest.mark.parametrize("offer", ["vendor: nvidia,", "vendor: nvidia, sharing: none,"])
def test_a_partition_of_what_is_not_partitioned_is_refused(offer: str) -> None:
    assert codes(*on(CLUSTER_K8S.replace("vendor: nvidia,", offer), endpoint=CHAT_K8S + PART)) == ["E5"]


@pytest.mark.parametrize(
    ("endpoint", "found"),
    [
        (CHAT_K8S + PART.replace("count: 1", "count: 2"), []),  # llama.cpp has no tensor argument: it uses what it sees
        (GPU_K8S.replace("count: 2", "count: 2, partition: 1g.10gb"), ["E65"]),
        (GPU_K8S.replace("count: 2", "count: 2, partition: 1g.10gb") + "  parallelism: {tensor: 1, pipeline: 2}\n", []),
    ],
)
def test_partitions_are_not_used_together(endpoint: str, found: list[str]) -> None:
    assert codes(*on(CLUSTER_K8S.replace("vendor: nvidia,", "vendor: nvidia, sharing: mig,"), endpoint=endpoint)) == found


@pytest.mark.parametrize(("count", "found"), [(1, []), (2, ["E66"])])
def test_a_shared_device_is_handed_out_once(count: int, found: list[str]) -> None:
    cluster = CLUSTER_K8S.replace("nvidia.com/gpu,", "nvidia.com/gpu.shared,")

    assert codes(*on(cluster, endpoint=GPU_K8S.replace("count: 2", f"count: {count}"))) == found


def test_an_accelerator_that_is_not_offered_is_one_mistake() -> None:
    assert codes(*on(endpoint=GPU_K8S.replace("nvidia-h100", "nvidia-h200"))) == ["E5"]


@pytest.mark.parametrize(
    ("parallelism", "words", "found"),
    [
        ("nodes: 2", ("--tensor-parallel-size", "4"), []),
        ("nodes: 2, pipeline: 2", ("--tensor-parallel-size", "2", "--pipeline-parallel-size", "2"), []),
        ("nodes: 2, tensor: 2", (), ["E15"]),
    ],
)
def test_degrees_multiply_to_the_accelerators_of_all_nodes(parallelism: str, words: tuple[str, ...], found: list[str]) -> None:
    documents = on(CLUSTER_K8S + "  capabilities: [lws]\n", endpoint=GPU_K8S + f"  parallelism: {{{parallelism}}}\n")
    made, problems = compiled(*documents)

    assert codes(*documents) == found
    if made is None:
        assert problems[0].why == "the replica has 2 accelerators x 2 nodes; the engine would hang or fail"
    else:
        assert made.container is not None
        assert (made.container.nodes, made.command[5 : 5 + len(words)]) == (2, words)


def test_a_secret_is_a_reference() -> None:
    made = workload(*on(SECRETS, endpoint=CHAT_K8S + "  env: [{name: A, value: b}, {name: T, secretRef: {name: hf, key: token}}]\n"))

    assert (made.env, made.secrets) == ({"A": "b"}, (SecretEnv("T", "hf", "token"),))


@pytest.mark.parametrize(
    ("cluster", "env", "found"),
    [
        (CLUSTER_K8S, "{name: T, secretRef: {name: hf, key: token}}", ["E32"]),
        (SECRETS, "{name: T, secretRef: {name: hf}}", ["E78"]),
        (SECRETS, "{name: T, secretRef: {name: HF_Token, key: token}}", ["E78"]),
        (SECRETS, "{name: T, secretRef: {name: hf, key: a/b}}", ["E78"]),
        (SECRETS, "{name: LLAMA_API_KEY, value: x}", ["E31"]),
        (SECRETS, "{name: NVIDIA_VISIBLE_DEVICES, value: all}", ["E31"]),
        (SECRETS, "{name: CUDA_VISIBLE_DEVICES, value: '0'}", ["E31"]),
        (SECRETS, "{name: RECONCILER_ENDPOINT, value: x}", ["E31"]),
    ],
)
def test_an_environment_that_cannot_be_is_refused(cluster: str, env: str, found: list[str]) -> None:
    assert codes(*on(cluster, endpoint=CHAT_K8S + f"  env: [{env}]\n")) == found


def test_volumes_come_after_the_model() -> None:
    volumes = (
        "{name: data, pvc: corpora, subPath: en, mountPath: /data/, readOnly: true}, "
        "{name: nas, nfs: {server: nas, path: /x}, mountPath: /mnt/nas}, {name: host, hostPath: /var/x, mountPath: /host}"
    )

    assert container(*BASE_K8S, CHAT_K8S + f"  volumes: [{volumes}]\n").volumes == (
        MODEL,
        Volume("data", "pvc", {"claim": "corpora"}, "/data", "en", True),
        Volume("nas", "nfs", {"server": "nas", "path": "/x"}, "/mnt/nas"),
        Volume("host", "hostPath", {"path": "/var/x"}, "/host"),
    )


# --- replicas and autoscaling


ABLE = CLUSTER_K8S.replace("  accelerators:", "  capabilities: [keda, activator]\n  accelerators:").replace(
    "{kubeconfigRef: {name: east}}", "{kubeconfigRef: {name: east}, prometheusUrl: 'http://prometheus:9090'}"
)
PLAIN = Autoscaling(1, 10, 1, "qpm", 60.0, 0, 300)


@pytest.mark.parametrize(
    ("lines", "wanted", "replicas"),
    [
        ("metric: {type: qpm, target: 60}", PLAIN, 1),
        ("minReplicas: 2, maxReplicas: 4, metric: {type: qpm, target: 60}", replace(PLAIN, minimum=2, maximum=4, initial=2), 2),
        ("minReplicas: 0, metric: {type: qpm, target: 60}", replace(PLAIN, minimum=0, idle=3600), 1),
        ("scaleToZero: {idleSeconds: 600}, metric: {type: qpm, target: 60}", replace(PLAIN, idle=600), 1),
        ("initialReplicas: 5, metric: {type: latency-p95}", replace(PLAIN, initial=5, metric="latency-p95", target=5000.0), 1),
        (
            "scaleUpDelaySeconds: 10, scaleDownDelaySeconds: 60, metric: {type: rps, target: 0.5}",
            replace(PLAIN, metric="rps", target=0.5, scale_up_delay=10, scale_down_delay=60),
            1,
        ),
    ],
)
def test_autoscaling_comes_along_with_its_defaults(lines: str, wanted: Autoscaling, replicas: int) -> None:
    made = workload(*on(ABLE, endpoint=CHAT_K8S + f"  autoscaling: {{{lines}}}\n"))

    assert made.container is not None
    assert (made.container.autoscaling, made.replicas) == (wanted, replicas)


def test_without_an_autoscaler_the_number_is_the_declared_one() -> None:
    made = workload(*BASE_K8S, CHAT_K8S + "  replicas: 3\n")

    assert made.container is not None
    assert (made.replicas, made.container.autoscaling) == (3, None)


# --- names


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("name: chat", "name: kubernetes", "'kubernetes' is taken"),
        ("name: chat", "name: default", "'default' is taken"),
        ("workspace: team-a", "workspace: kube-system", "namespace 'kube-system' on east"),
        ("workspace: team-a", "workspace: reconciler-system", "namespace 'reconciler-system' on east"),
    ],
)
def test_a_name_that_is_taken_in_the_cluster_is_refused(old: str, new: str, what: str) -> None:
    teams = tuple(f"kind: Workspace\nmetadata: {{name: {name}}}\n" for name in ("kube-system", "reconciler-system"))
    found = on_memory(*BASE_K8S, *teams, CHAT_K8S.replace(old, new))

    assert [(problem.code, what in problem.what) for problem in found.problems] == [("E2", True)]
    assert not found.resources


def test_a_prefix_takes_room_from_the_workspaces() -> None:
    prefixed = CLUSTER_K8S.replace("kubernetes: {", f"kubernetes: {{namespacePrefix: {'p' * 39}-, ")
    assert codes(*on(prefixed.replace("p" * 39, "p" * 38))) == []

    long = "team-" + "a" * 30
    found = on_memory(
        *on(prefixed.replace("p" * 39, "p" * 38), endpoint=CHAT_K8S.replace("team-a", long)),
        f"kind: Workspace\nmetadata: {{name: {long}}}\n",
    )
    assert [problem.code for problem in found.problems] == ["E2"]


# --- the target


def test_a_cluster_carries_what_its_folder_needs() -> None:
    cluster = """
kind: Cluster
metadata: {name: east}
spec:
  type: kubernetes
  kubernetes: {kubeconfigRef: {name: east, key: admin}, context: prod, namespacePrefix: llm-, namespace: gitops, prometheusUrl: http://p:9090}
  capabilities: [lws, keda, keda]
  accelerators: [{type: a, vendor: nvidia, resourceKey: nvidia.com/gpu, count: 8, sharing: mig, tolerations: [{key: k}]}]
  modelCaches: [{name: a, pvc: {size: 1Gi, storageClass: fast}}, {name: b, hostPath: /m}, {name: c, nfs: {server: n, path: /x}}]
  drainSeconds: 0
"""
    found = on_memory(*on(cluster)).targets["east"]

    assert found.drain_seconds == 0
    assert found.settings == {
        "kubeconfigRef": {"name": "east", "key": "admin"},
        "inCluster": False,
        "context": "prod",
        "namespacePrefix": "llm-",
        "namespace": "gitops",
        "prometheusUrl": "http://p:9090",
        "capabilities": ["keda", "lws"],
        "modelCaches": [
            {"name": "a", "claimName": "model-cache-a", "size": 1024**3, "storageClass": "fast", "accessModes": ["ReadWriteMany"]},
            {"name": "b", "hostPath": "/m"},
            {"name": "c", "nfs": {"server": "n", "path": "/x"}},
        ],
        "accelerators": [
            {
                "type": "a",
                "resourceKey": "nvidia.com/gpu",
                "nodeSelector": {},
                "count": 8.0,
                "vendor": "nvidia",
                "sharing": "mig",
                "tolerations": [{"key": "k", "operator": "Equal"}],
            }
        ],
    }


def test_inside_of_a_cluster_no_kubeconfig_is_needed() -> None:
    found = on_memory(*on(CLUSTER_K8S.replace("kubeconfigRef: {name: east}", "inCluster: true")))

    assert (found.targets["east"].settings["inCluster"], found.targets["east"].settings["kubeconfigRef"]) == (True, None)


def test_a_broken_kubernetes_cluster_is_kept_as_it_was() -> None:
    before = on_memory(*BASE_K8S, CHAT_K8S)
    remembered = Remembered(before.revision, targets=before.targets)
    found = on_memory(*on(CLUSTER_K8S + "  drainSeconds: -1\n"), remembered=remembered)

    assert found.targets["east"] == before.targets["east"]
    assert list(found.blocked) == ["Endpoint/team-a/chat"]


# --- paused, and moved


@pytest.mark.parametrize("cluster", ["lab", "east"])
def test_a_paused_workload_is_compiled_and_says_so(cluster: str) -> None:
    made = workload(*BASE_K8S, CLUSTER, CHAT_K8S.replace("east", cluster) + "  paused: true\n  replicas: 3\n")

    assert (made.paused, made.replicas) == (True, 3)


def test_what_is_paused_leaves_a_route_that_leads_nowhere() -> None:
    found = on_memory(*BASE_K8S, CHAT_K8S + "  paused: true\n")

    assert list(found.resources) == [ResourceKey("public", "Route", "team-a", "chat")]
    assert (found.resources[ResourceKey("public", "Route", "team-a", "chat")].needs, found.blocked) == ((), {})
