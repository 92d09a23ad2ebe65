"""Words for pods on real nodes: deployments as plain manifests, waits for conditions, and requests by pod address."""

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

import yaml

from tools.node import Nodes

T = TypeVar("T")
LLAMA = "ghcr.io/ggml-org/llama.cpp:server-b11549"
TOOLS = "node.invalid/tools:1"
MODEL = "registry.example/models/smollm2-135m-instruct:1"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
PORT = 8080
ENDING = {"terminationGracePeriodSeconds": 1}  # a shell is the first process of its pod, and deaf to SIGTERM
PATIENCE = 60.0

Manifest = dict[str, Any]


def until(condition: Callable[[], T], seconds: float = PATIENCE, every: float = 0.1) -> T:
    """What `condition` says as soon as it is true. An assertion error with its last word when it never is."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s; last: {value!r}"
        time.sleep(every)
    return value


def deployment(name: str, container: Manifest, replicas: int = 1, **pod: object) -> Manifest:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", **container}], **ENDING, **pod}},
        },
    }


def llama(name: str, replicas: int = 1, image: str = LLAMA) -> Manifest:
    """llama.cpp's server with its options, its model out of an image volume, under the restrictions that we render."""
    words = ["-m", f"/models/{FILE}", "--host", "0.0.0.0", "--port", str(PORT), "--alias", name, "-c", "1024", "-t", "1", "--metrics"]
    health = {"httpGet": {"path": "/health", "port": PORT}}
    container = {
        "image": image,
        "command": ["/app/llama-server", *words],
        "startupProbe": {**health, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {**health, "periodSeconds": 2},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "100m", "memory": "300Mi"}, "limits": {"memory": "1Gi"}},
        "volumeMounts": [{"name": "model", "mountPath": "/models", "readOnly": True}],
    }
    volume = {"name": "model", "image": {"reference": MODEL, "pullPolicy": "IfNotPresent"}}
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    spread["labelSelector"] = {"matchLabels": {"app": name}}
    return deployment(name, container, replicas, volumes=[volume], securityContext=security, topologySpreadConstraints=[spread])


def apply(nodes: Nodes, namespace: str, *manifests: Manifest) -> None:
    nodes.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", input=yaml.safe_dump_all(manifests))


def pods(nodes: Nodes, namespace: str, name: str) -> list[Manifest]:
    found: list[Manifest] = nodes.json("pods", "-n", namespace, "-l", f"app={name}")["items"]
    return found


def ready(nodes: Nodes, namespace: str, name: str, replicas: int = 1) -> list[Manifest]:
    """The Ready pods as soon as there are so many."""

    def enough() -> list[Manifest]:
        found = [pod for pod in pods(nodes, namespace, name) if condition(pod, "Ready")]
        return found if len(found) >= replicas else []

    return until(enough)


def condition(pod: Manifest, kind: str) -> bool:
    return any(one["type"] == kind and one["status"] == "True" for one in pod["status"].get("conditions", []))


def container_state(pod: Manifest) -> Manifest:
    """What stands in the status of its only container; empty until there is one."""
    return next(iter(pod["status"].get("containerStatuses", [])), {})


def complete(address: str, model: str, seconds: float = 30.0) -> Manifest:
    """A short completion by the pod's address. Raises OSError."""
    body = {"model": model, "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{address}:{PORT}/v1/chat/completions", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=seconds) as answer:
        said: Manifest = json.load(answer)
    return said
