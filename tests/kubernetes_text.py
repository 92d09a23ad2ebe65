"""The declarations of `declarations_text` with a Kubernetes cluster beside `lab`, and what an endpoint becomes before it is rendered."""

from typing import Any

from declarations_text import GATEWAY, GPU_CHAT, LLAMA, REGISTRY, TEAM, VLLM, desired, snapshot

from reconciler.compile.endpoints import compile_endpoint
from reconciler.compile.engines import Engines
from reconciler.compile.findings import Findings
from reconciler.compile.references import Declared
from reconciler.compile.targets import targets_of
from reconciler.desired import Desired, Remembered
from reconciler.engine_schemas import engine_schemas
from reconciler.errors import Problem
from reconciler.repo.snapshot import Snapshot
from reconciler.resource import DriftMode
from reconciler.schema.endpoint import EndpointSpec
from reconciler.targets.rendering import Container, Workload

IMAGES = "    images: {cpu: 'ghcr.io/ggml-org/llama.cpp:server-b11549', nvidia: 'ghcr.io/ggml-org/llama.cpp:server-cuda-b11549'}\n"
LLAMA_K8S = LLAMA + IMAGES
VLLM_K8S = VLLM + "    images: {nvidia: 'vllm/vllm-openai:v0.33.0'}\n"
CLUSTER_K8S = """
kind: Cluster
metadata: {name: east}
spec:
  type: kubernetes
  kubernetes: {kubeconfigRef: {name: east}}
  accelerators:
  - {type: nvidia-h100, vendor: nvidia, resourceKey: nvidia.com/gpu, nodeSelector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}}
  modelCaches: [{name: weights, pvc: {claim: weights}}]
"""
GATEWAY_K8S = GATEWAY.replace("[lab]", "[east]")
BASE_K8S = (LLAMA_K8S, VLLM_K8S, CLUSTER_K8S, GATEWAY_K8S, TEAM, REGISTRY)
CHAT_K8S = """
kind: Endpoint
metadata: {name: chat, workspace: team-a}
spec:
  cluster: east
  model: {registry: files, name: smollm2, file: smollm2.gguf}
  engine: {name: llama-cpp, version: b11549}
"""
GPU_K8S = GPU_CHAT.replace("cluster: lab", "cluster: east")


def compiled(*documents: str, name: str = "team-a/chat") -> tuple[Workload | None, list[Problem]]:
    return compiled_of(snapshot(*documents), name)


def compiled_of(found: Snapshot, name: str) -> tuple[Workload | None, list[Problem]]:
    """The workload of one endpoint as renderers get it, and what was found wrong with it (and with what it refers to)."""
    declared = Declared(found)
    targets = targets_of(declared, Remembered(), {})
    engines = Engines(declared, engine_schemas())
    problems = [*found.problems, *targets.problems, *engines.problems]
    endpoint = next((endpoint for endpoint in declared.of(EndpointSpec) if f"{endpoint.workspace}/{endpoint.name}" == name), None)
    if endpoint is None:
        return None, problems
    findings = Findings(endpoint)
    made = compile_endpoint(findings, endpoint, declared, engines, targets, DriftMode.HEAL)
    return made.workload if made and not findings.broken else None, [*problems, *findings.problems]


def workload(*documents: str) -> Workload:
    """Of an endpoint that compiles without a mistake."""
    made, problems = compiled(*documents)
    assert made is not None, [problem.text() for problem in problems]
    return made


def container(*documents: str) -> Container:
    made = workload(*documents).container
    assert made is not None
    return made


def on_memory(*documents: str, **more: Any) -> Desired:
    """The whole compile, with memory in the place of every kind of target."""
    return desired(*documents, kinds={"ray": "memory", "kubernetes": "memory", "envoy": "memory"}, **more)
