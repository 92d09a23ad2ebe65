"""Endpoints as compile hands them to the Kubernetes renderer: the stories of the golden manifests, applied for real as well."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from hypothesis import strategies as st

from reconciler.desired import TargetSpec
from reconciler.resource import Json
from reconciler.targets.rendering import Accelerator, Autoscaling, Container, Meta, Probe, SecretEnv, Volume, Workload

GIB: Final = 2**30

LLAMA = Container(
    engine="llama-cpp",
    version="b11549",
    image="ghcr.io/ggml-org/llama.cpp:server-b11549",
    http_port=8080,
    startup=Probe("/health", 5, 10, 5, 120),
    readiness=Probe("/health", 5, 5, 5, 10),
    liveness=Probe("/health", 0, 5, 5, 12),
    metrics_path="/metrics",
    volumes=(Volume("model-cache", "pvc", {"claim": "models"}, "/models", read_only=True),),
)
CHAT = Workload(
    meta=Meta("Endpoint/team-a/chat", "endpoints/chat.yaml:1"),
    workspace="team-a",
    name="chat",
    command=("/app/llama-server", "-m", "{models}/smollm2.gguf", "--host", "{host}", "--port", "{port}", "--alias", "chat", "--metrics"),
    env={},
    secrets=(),
    replicas=1,
    cpu=0.5,
    memory=GIB,
    accelerator=None,
    health_path="/health",
    startup_timeout=1200,
    health_period=5,
    health_timeout=5,
    grace=330,
    surge=True,
    spread_required=False,
    restarted_at="",
    container=LLAMA,
)
VLLM = replace(
    LLAMA,
    engine="vllm",
    version="v0.33.0",
    image="harbor.local/inference/vllm/vllm-openai:v0.33.0",
    http_port=8000,
    management_port=8001,
    metrics_port=8002,
    pull_secret="harbor",
    volumes=(
        Volume("model-cache", "pvc", {"claim": "model-cache-hf"}, "/models", read_only=True),
        Volume("data", "nfs", {"server": "nfs.local", "path": "/export/data"}, "/data", sub_path="chat"),
        Volume("scratch", "hostPath", {"path": "/mnt/scratch"}, "/scratch"),
        Volume("adapters", "image", {"reference": "registry.example/adapters/law:1"}, "/adapters", read_only=True),
    ),
    ephemeral_storage=50 * GIB,
    max_surge=2,
    max_unavailable=1,
    topology_key="topology.kubernetes.io/zone",
    priority_class="serving-high",
    approval=True,
)
RECREATED = replace(LLAMA, max_surge=0, max_unavailable=0)
BIG = replace(
    CHAT,
    meta=Meta("Endpoint/team-a/qwen-chat", "endpoints/qwen-chat.yaml:1", protect=True),
    name="qwen-chat",
    command=("vllm", "serve", "{models}/Qwen3-8B", "--host", "{host}", "--port", "{port}", "--chat-template", "costs $(PRICE)"),
    env={"VLLM_LOGGING_LEVEL": "INFO", "EMPTY": "", "NUMBER": "8080"},
    secrets=(SecretEnv("HF_TOKEN", "hf", "token"),),
    replicas=3,
    cpu=4,
    memory=32 * GIB,
    accelerator=Accelerator(
        "nvidia-h100",
        "nvidia.com/gpu",
        2,
        {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        "nvidia",
        ({"key": "dedicated", "operator": "Equal", "value": "inference", "effect": "NoSchedule"},),
    ),
    spread_required=True,
    restarted_at="2026-08-01T10:00:00Z",
    container=VLLM,
)
FOLLOWS_REQUESTS = Autoscaling(minimum=0, maximum=4, initial=2, metric="qpm", target=60, scale_up_delay=30, scale_down_delay=300, idle=3600)
SCALED = replace(CHAT, container=replace(LLAMA, autoscaling=FOLLOWS_REQUESTS))
BY_ADAPTER = replace(
    CHAT, container=replace(LLAMA, autoscaling=replace(FOLLOWS_REQUESTS, minimum=1, idle=None, initial=0, metric="concurrency", target=0.5))
)
GROUPED = replace(
    BIG, name="giant", meta=Meta("Endpoint/team-a/giant", "endpoints/giant.yaml:1"), container=replace(VLLM, nodes=2, approval=False)
)
PAUSED = replace(SCALED, paused=True)


def cluster(*capabilities: str, **settings: Json) -> TargetSpec:
    return TargetSpec("gpu-east", "kubernetes", {"capabilities": list(capabilities), **settings}, source="clusters/gpu-east.yaml:1")


CACHE: Final[Json] = [
    {"name": "hf", "claimName": "model-cache-hf", "size": 500 * GIB, "storageClass": "fast", "accessModes": ["ReadOnlyMany"]}
]
PLAIN = cluster()
EQUIPPED = cluster("keda", "lws", "prometheusOperator", prometheusUrl="http://prometheus.monitoring:9090", modelCaches=CACHE)


@dataclass(frozen=True, slots=True)
class Story:
    workload: Workload
    target: TargetSpec


STORIES: Final[Mapping[str, Story]] = {
    "llama-cpp-plain": Story(CHAT, PLAIN),
    "vllm-with-everything": Story(BIG, EQUIPPED),
    "vllm-annotated": Story(replace(BIG, container=replace(VLLM, metrics_port=None, management_port=None, approval=False)), PLAIN),
    "recreate": Story(replace(CHAT, replicas=2, surge=False, container=RECREATED), PLAIN),
    "autoscaled-by-keda": Story(SCALED, EQUIPPED),
    "autoscaled-by-hpa": Story(BY_ADAPTER, cluster("metricsAdapter")),
    "two-machines-per-replica": Story(GROUPED, EQUIPPED),
    "paused": Story(PAUSED, EQUIPPED),
}


# Whatever may be declared

TEXTS = st.text(max_size=8)
SCALINGS = st.builds(
    Autoscaling,
    minimum=st.integers(0, 2),
    maximum=st.integers(2, 5),
    initial=st.integers(0, 3),
    metric=st.sampled_from(["qpm", "latency-p95", "queue-depth"]),
    target=st.sampled_from([0.5, 1, 60, 5000]),
    scale_up_delay=st.sampled_from([0, 30]),
    scale_down_delay=st.sampled_from([0, 300]),
    idle=st.sampled_from([None, 60]),
)
CONTAINERS = st.builds(
    replace,
    st.sampled_from([LLAMA, VLLM, replace(VLLM, nodes=3)]),
    pull_secret=st.sampled_from(["", "harbor"]),
    metrics_path=st.sampled_from(["", "/metrics"]),
    metrics_port=st.sampled_from([None, 8000, 8080, 9000]),
    management_port=st.sampled_from([None, 8000, 9000, 9001]),
    scrape=st.booleans(),
    shared_memory=st.sampled_from([0, 1, 3 * 2**29, 2**33]),
    ephemeral_storage=st.sampled_from([0, 1500, 10**10]),
    max_surge=st.integers(0, 2),
    max_unavailable=st.integers(0, 2),
    approval=st.booleans(),
    request_timeout=st.sampled_from([0.1, 15, 3600.5]),
    autoscaling=st.none() | SCALINGS,
)
WORKLOADS = st.builds(
    replace,
    st.sampled_from([CHAT, BIG]),
    command=st.lists(TEXTS, max_size=4).map(tuple),
    env=st.dictionaries(st.sampled_from(["A", "B", "RECONCILER_ENDPOINT"]), TEXTS),
    replicas=st.integers(1, 3),
    cpu=st.sampled_from([0.001, 0.5, 1, 2.75]),
    memory=st.sampled_from([1, 10**9, 2**30, 3 * 2**29]),
    accelerator=st.sampled_from([None, BIG.accelerator, Accelerator("mig", "nvidia.com/mig-1g.10gb", 1)]),
    restarted_at=st.sampled_from(["", "2026-08-01T10:00:00Z"]),
    spread_required=st.booleans(),
    paused=st.booleans(),
    container=CONTAINERS,
)
CLUSTERS = st.sets(st.sampled_from(["keda", "metricsAdapter", "prometheusOperator"])).map(
    lambda words: cluster("lws", *sorted({"keda", *words}), prometheusUrl="http://p", modelCaches=CACHE)
)
