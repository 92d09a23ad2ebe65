"""YAML text -> Snapshot, for tests of what comes after reading. One file, `repo.yaml`; lines count from 1."""

from collections.abc import Mapping

from reconciler.compile import compile_declarations
from reconciler.desired import Desired, Remembered
from reconciler.engine_schemas import engine_schemas
from reconciler.repo.memory import MemorySource
from reconciler.repo.read import read_repo
from reconciler.repo.snapshot import Snapshot

PATH = "repo.yaml"

LLAMA = """
kind: Engine
metadata: {name: llama-cpp}
spec:
  versions:
  - version: b11549
    argsSchema: builtin:engines/llama.cpp-b11549.json
    tasks: [text-generation, text-embedding]
    argStyle: {as: flags, case: kebab, bool: flag, list: comma, object: json}
    taskArgs: {text-embedding: {embedding: true}}
    paths: {metrics: /metrics}
    command: [llama-server, -m, "{{ model.path }}", --host, "{{ host }}", --port, "{{ ports.http }}", --alias, "{{ model.servedName }}"]
"""
VLLM = """
kind: Engine
metadata: {name: vllm}
spec:
  versions:
  - version: v0.33.0
    argsSchema: builtin:engines/vllm-v0.33.0.json
    tasks: [text-generation, text-embedding]
    argStyle: {as: flags, case: kebab, bool: negate, list: space, object: json}
    taskArgs: {text-embedding: {runner: pooling, convert: embed}}
    parallelArgs: {tensor: tensor_parallel_size, pipeline: pipeline_parallel_size}
    memoryFractionArg: gpu_memory_utilization
    paths: {metrics: /metrics}
    command: [vllm, serve, "{{ model.path }}", --port, "{{ ports.http }}"]
    shutdown: {args: [--shutdown-timeout, "{{ shutdown.graceSeconds - 30 }}"]}
"""
CLUSTER = """
kind: Cluster
metadata: {name: lab}
spec:
  type: ray
  ray: {local: true}
  accelerators: [{type: nvidia-h100, vendor: nvidia, resourceKey: GPU, count: 8}]
  drainSeconds: 5
"""
GATEWAY = "kind: Gateway\nmetadata: {name: public}\nspec: {type: envoy, clusters: [lab]}\n"
TEAM = "kind: Workspace\nmetadata: {name: team-a}\n"
REGISTRY = "kind: ModelRegistry\nmetadata: {name: files}\nspec: {type: filesystem, path: .}\n"
BASE = (LLAMA, VLLM, CLUSTER, GATEWAY, TEAM, REGISTRY)

CHAT = """
kind: Endpoint
metadata: {name: chat, workspace: team-a}
spec:
  cluster: lab
  model: {registry: files, name: smollm2, file: smollm2.gguf}
  engine: {name: llama-cpp, version: b11549}
"""
GPU_CHAT = """
kind: Endpoint
metadata: {name: chat, workspace: team-a}
spec:
  cluster: lab
  model: {registry: files, name: qwen}
  engine: {name: vllm, version: v0.33.0}
  resources: {cpu: 4, memory: 32Gi, accelerator: {type: nvidia-h100, count: 2}}
"""
KEY = (
    "kind: ApiKey\nmetadata: {name: ci, workspace: team-a}\nspec: {owner: ci@example.com, credentials: [{id: aaaa, sha256: "
    + "ab" * 32
    + "}]}\n"
)


def text_of(*documents: str) -> str:
    """One file of all documents, each with its apiVersion on the first line."""
    return "---\n".join("apiVersion: reconciler.dev/v1alpha1\n" + document.strip("\n") + "\n" for document in documents)


def snapshot(*documents: str, known: Mapping[str, tuple[str, ...]] | None = None, **files: str) -> Snapshot:
    """What the reader makes of `repo.yaml` and of further files (`broken="..."` is broken.yaml)."""
    source = MemorySource()
    source.commit({PATH: text_of(*documents)} | {f"{name}.yaml": text for name, text in files.items()})
    return read_repo(source, known or {})


def desired(*documents: str, remembered: Remembered | None = None, kinds: Mapping[str, str] | None = None, **files: str) -> Desired:
    memory = remembered or Remembered()
    return compile_declarations(snapshot(*documents, known=memory.declared, **files), memory, engine_schemas(), kinds or {})
