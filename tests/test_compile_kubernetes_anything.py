"""Whatever somebody writes into the fields of Kubernetes: read and compile never raise, and say where it is wrong."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes_text import BASE_K8S, CHAT_K8S, CLUSTER_K8S, on_memory

from reconciler.resource import Json

pytestmark = pytest.mark.slow  # hundreds of cases: `make test` has them

ENDPOINT = "Endpoint/team-a/chat"
FIELDS = (
    "resources",
    "parallelism",
    "autoscaling",
    "probes",
    "volumes",
    "placement",
    "observability",
    "rollout",
    "routing",
    "env",
)
KEYS = (
    *("sharedMemory", "ephemeralStorage", "accelerator", "type", "count", "partition", "nodes", "tensor", "minReplicas", "maxReplicas"),
    *("metric", "target", "scaleToZero", "idleSeconds", "wake", "startup", "readiness", "liveness", "path", "periodSeconds"),
    *("failureThreshold", "successThreshold", "requireApproval", "name", "pvc", "nfs", "server", "hostPath", "mountPath", "subPath"),
    *("topologyKey", "priorityClass", "metrics", "scrape", "claim", "size", "accessModes", "key", "operator", "effect", "value"),
    *("secretRef", "kubeconfigRef", "inCluster", "namespacePrefix", "prometheusUrl", "sharing", "tolerations", "nodeSelector"),
)
words = st.sampled_from(
    ["", "a", "nvidia-h100", "mig", "qpm", "1Gi", "0", "/data", "/models", "/", "..", "Exists", "{value}", "$(A)", "a b"]
)
keys = st.sampled_from(KEYS)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 100) | st.floats(allow_nan=False, allow_infinity=False) | words | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)
values = anything | st.dictionaries(keys, anything, max_size=5) | st.lists(st.dictionaries(keys, anything, max_size=5), max_size=2)


def check(*documents: str) -> None:
    found = on_memory(*documents)
    compiled = {resource.owner for resource in found.resources.values()}

    assert (ENDPOINT in compiled) != (ENDPOINT in found.blocked)
    assert all(problem.where for problem in found.problems)


@pytest.mark.parametrize("field", FIELDS)
@settings(derandomize=True, max_examples=25, deadline=None)
@given(value=values)
def test_an_endpoint_compiles_or_says_why_not(field: str, value: Json) -> None:
    check(*BASE_K8S, f"{CHAT_K8S}  {field}: {json.dumps(value)}\n")


@pytest.mark.parametrize("field", ["kubernetes", "capabilities", "accelerators", "modelCaches", "secrets", "imageRegistry", "drainSeconds"])
@settings(derandomize=True, max_examples=25, deadline=None)
@given(value=values)
def test_a_cluster_compiles_or_blocks_its_endpoints(field: str, value: Json) -> None:
    lines = [line for line in CLUSTER_K8S.splitlines() if not line.startswith((f"  {field}:", "  - {"))]
    kept = [line for line in lines if line != "  accelerators:"]
    check(
        *(document for document in BASE_K8S if document != CLUSTER_K8S), "\n".join([*kept, f"  {field}: {json.dumps(value)}", ""]), CHAT_K8S
    )
