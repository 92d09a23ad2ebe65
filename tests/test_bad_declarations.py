"""Bad input, one row each: what is written, and what is said about it: where, code, what, and what to do.

None of them raises, each concerns its own declaration only, and nothing is deleted because of it.
"""

from dataclasses import dataclass
from typing import Final

import pytest

from reconciler.errors import Severity
from reconciler.repo.memory import MemorySource
from reconciler.repo.read import read_repo
from reconciler.repo.snapshot import Snapshot

HEAD: Final = "apiVersion: reconciler.dev/v1alpha1\n"
CHAT: Final = f"""{HEAD}kind: Endpoint
metadata:
  name: chat
  workspace: team-a
spec:
  cluster: lab
  model: {{registry: local, name: smol}}
  engine: {{name: llama-cpp}}
"""
GOOD: Final = {"good.yaml": f"{HEAD}kind: Workspace\nmetadata: {{name: team-a}}\n"}


@dataclass(frozen=True)
class Bad:
    """A file `bad.yaml` and what is said: where (`bad.yaml:<line>`), code, words of what, of what to do; whom it blocks ("" = unknown)."""

    story: str
    text: str | bytes
    line: int
    code: str
    what: str
    todo: str = ""
    blocks: str = "Endpoint/team-a/chat"


def spec(lines: str) -> str:
    """The chat endpoint with more lines below its spec; the first of them is line 10."""
    return CHAT + "".join(f"  {line}\n" for line in lines.splitlines())


def volumes(entries: str) -> str:
    """The chat endpoint with volumes; the first of them is line 11."""
    return spec(f"volumes:\n- {entries}")


def document(kind: str, body: str, name: str = "lab") -> str:
    """A global document: its spec begins in line 4."""
    return f"{HEAD}kind: {kind}\nmetadata: {{name: {name}}}\nspec: {body}\n"


BOMB: Final = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
KEY: Final = "rcl_abcdefghij_" + "A" * 49
HASH: Final = "0" * 64
METRIC: Final = "metric: {type: qpm, target: 60}"
RAY: Final = "ray: {local: true}"

TEXT: Final = (
    Bad("a list that is not closed", CHAT + "  env: [{name: A\n", 11, "E74", "not YAML", "correct the line"),
    Bad("a wrong indent", CHAT.replace("  cluster: lab", "    cluster: lab"), 8, "E74", "wrong indent", "indent it as its neighbours"),
    Bad("a second colon", CHAT.replace("cluster: lab", "cluster: a: b"), 7, "E74", "second ': '", "quote the value"),
    Bad("a tab", CHAT + "\treplicas: 1\n", 10, "E74", "a tab", "spaces"),
    Bad("a quote that is not closed", CHAT + "  description: 'never ends\n", 11, "E74", "not YAML"),
    Bad("a key given twice", CHAT + "  cluster: other\n", 10, "E69", "key 'cluster' twice, first at bad.yaml:7", "remove one"),
    Bad("two documents without ---", CHAT + CHAT, 10, "E69", "key 'apiVersion' twice", "separate two documents by ---", ""),
    Bad("a merge key", CHAT + "  <<: {replicas: 2}\n", 10, "E74", "merge key", "write the keys"),
    Bad("a tag", CHAT + "  env: !!python/object/apply:os.system [x]\n", 10, "E74", "tag", "remove it"),
    Bad("an alias of nothing", CHAT + "  env: *nowhere\n", 10, "E74", "alias *nowhere", "write the value"),
    Bad("an alias bomb", BOMB, 5, "E74", "aliases that expand too far", "write the values", ""),
    Bad("nested a thousand deep", "[" * 1000 + "]" * 1000, 1, "E74", "nested too deeply", "flatter", ""),
    Bad("a key that is a list", CHAT + "  ? [a]\n  : b\n", 10, "E74", "a key that is no text", "write a name"),
    Bad("a file of 50 MB", b"#" + b" " * 50 * 1024 * 1024, 1, "E74", "50.0 MiB", "split it", ""),
    Bad("too many documents", "--- {a: 1}\n" * 1001, 1, "E74", "too many documents", "split the file", ""),
    Bad("not UTF-8", CHAT.replace("smol", "sm\u00f6l").encode("latin-1"), 8, "E74", "not UTF-8", "UTF-8", ""),
    Bad("UTF-16", CHAT.encode("utf-16"), 1, "E74", "NUL byte", "UTF-8", ""),
    Bad("a NUL byte", CHAT.encode() + b"  description: a\0b\n", 10, "E74", "a NUL byte", "UTF-8 text", ""),
    Bad("a NUL written as an escape", CHAT + '  description: "a\\0b"\n', 10, "E74", "NUL character", "remove it"),
)
IDENTITY: Final = (
    Bad("no mapping at all", "- just\n- a list\n", 1, "E77", "no declaration", blocks="none"),
    Bad("no apiVersion", CHAT.replace(HEAD, ""), 1, "E77", "no apiVersion", "add apiVersion"),
    Bad(
        "an apiVersion with a typing mistake", CHAT.replace("v1alpha1", "v1alfa1"), 1, "E77", "is not ours", "write reconciler.dev/v1alpha1"
    ),
    Bad(
        "somebody else's YAML",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n",
        1,
        "E77",
        "'apps/v1' is not ours",
        "hidden folder",
        "none",
    ),
    Bad(
        "somebody else's kind of the same name",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: x}\n",
        1,
        "E77",
        "is not ours",
        "out of the repo",
        "none",
    ),
    Bad("no kind", f"{HEAD}metadata: {{name: chat}}\n", 1, "E76", "'kind' is missing", "add it", ""),
    Bad(
        "an unknown kind", CHAT.replace("kind: Endpoint", "kind: Endpont"), 2, "E69", "unknown kind 'Endpont'", "did you mean Endpoint?", ""
    ),
    Bad(
        "a kind that is not supported yet",
        document("Catalog", "{}"),
        2,
        "E73",
        "catalogs: not supported yet",
        "write the fields",
        "Catalog/lab",
    ),
    Bad("no name", CHAT.replace("  name: chat\n", ""), 3, "E76", "'name' is missing", "add it", ""),
    Bad("a bad name", CHAT.replace("name: chat", "name: My_Chat"), 4, "E2", "'My_Chat' is not a valid name", "try 'my-chat'", ""),
    Bad("a name that YAML reads as a number", CHAT.replace("name: chat", "name: 1.10"), 4, "E75", "the number 1.1", 'quotes: "1.10"', ""),
    Bad(
        "a name that is too long",
        CHAT.replace("name: chat", "name: c" + "h" * 52),
        4,
        "E2",
        "is not a valid name",
        "try 'ch",
        "Endpoint/team-a/c" + "h" * 52,
    ),
    Bad("a reserved workspace", CHAT.replace("team-a", "v1"), 5, "E2", "'v1' is not a valid workspace", "team-v1", "Endpoint/v1/chat"),
    Bad(
        "a workspace on a global kind",
        document("Engine", "{}").replace("name: lab", "name: lab, workspace: a"),
        3,
        "E75",
        "no workspace",
        "remove",
        "Engine/lab",
    ),
    Bad(
        "a misspelt annotation of ours",
        CHAT.replace("workspace:", "annotations: {reconciler.dev/drfit: off}\n  workspace:"),
        5,
        "E69",
        "drfit",
        "known are",
    ),
)
FIELDS: Final = (
    Bad("an unknown key", CHAT.replace("engine:", "engin:"), 9, "E69", "unknown key 'engin'", "did you mean engine?"),
    Bad("snake case", spec("restarted_at: now"), 10, "E69", "unknown key 'restarted_at'", "did you mean restartedAt?"),
    Bad("a key that means nothing", spec("zzz: 1"), 10, "E69", "unknown key 'zzz'", "known are description"),
    Bad("a missing field", CHAT.replace("  cluster: lab\n", ""), 6, "E76", "'cluster' is missing", "add it"),
    Bad("a number as text", spec('replicas: "2"'), 10, "E75", "'2' is not a whole number", "without quotes"),
    Bad("a text as number", spec("description: 12"), 10, "E75", "the number 12 is not a text", 'quotes: "12"'),
    Bad("yes for true", spec("paused: yes"), 10, "E75", "'yes' is not true or false", "write true"),
    Bad(
        "a version that lost its zero",
        CHAT.replace("llama-cpp}", "llama-cpp, version: 1.10}"),
        9,
        "E75",
        "the number 1.1",
        'quotes: "1.10"',
    ),
    Bad("a mapping that is empty", spec("resources:"), 10, "E75", "nothing (null) is not a mapping", "leave the key out"),
    Bad("a list that is a text", spec("env: A=b"), 10, "E75", "'A=b' is not a list", "[A=b]"),
    Bad("zero replicas", spec("replicas: 0"), 10, "E17", "replicas: 0", "set paused: true"),
    Bad("too many replicas", spec("replicas: 20000"), 10, "E39", "replicas: 20000"),
    Bad("a bad quantity", spec("resources: {memory: 1GB}"), 10, "E75", "'1GB' is not an amount of memory", "16Gi"),
    Bad("more memory than anything has", spec("resources: {memory: 16384Pi}"), 10, "E39", "16384Pi", "16Gi"),
    Bad("bytes where gigabytes are meant", spec("resources: {memory: 16}"), 10, "E39", "16 bytes", "16Gi"),
    Bad("no CPU", spec("resources: {cpu: 0}"), 10, "E39", "no CPU at all"),
    Bad("half an accelerator too much", spec("resources: {accelerator: {type: a, count: 1.5}}"), 10, "E39", "count: 1.5", "2"),
    Bad("an unknown strategy", spec("routing: {strategy: round_robin}"), 10, "E75", "'round_robin' is not", "did you mean round-robin?"),
    Bad("a strategy that is not supported yet", spec("routing: {strategy: consistent-hash}"), 10, "E73", "not supported yet"),
    Bad("a time-out of a week", spec("routing: {timeoutSeconds: 604800}"), 10, "E39", "timeoutSeconds: 604800", "3600"),
    Bad(
        "a field that is not supported yet",
        spec("catalog: {name: qwen}"),
        10,
        "E73",
        "catalogs: not supported yet",
        "write the fields into the endpoint",
    ),
    Bad("replicas and an autoscaler", spec(f"replicas: 2\nautoscaling: {{{METRIC}}}"), 10, "E62", "replicas and autoscaling", "remove one"),
    Bad("a metric without a target", spec("autoscaling: {metric: {type: qpm}}"), 10, "E76", "'target' is missing", "add it"),
    Bad("a metric that is none", spec("autoscaling: {metric: {type: qps, target: 1}}"), 10, "E75", "'qps' is not", "did you mean"),
    Bad("a target of nothing", spec("autoscaling: {metric: {type: qpm, target: 0}}"), 10, "E39", "target: 0", "1"),
    Bad(
        "more use than all of it",
        spec("autoscaling: {metric: {type: accelerator-utilization, target: 120}}"),
        10,
        "E39",
        "target: 120",
        "99",
    ),
    Bad("bounds the wrong way round", spec(f"autoscaling: {{minReplicas: 5, maxReplicas: 2, {METRIC}}}"), 10, "E39", "minReplicas: 5", "2"),
    Bad("a beginning out of bounds", spec(f"autoscaling: {{initialReplicas: 11, {METRIC}}}"), 10, "E39", "initialReplicas: 11", "10"),
    Bad("a delay of a day", spec(f"autoscaling: {{scaleDownDelaySeconds: 86400, {METRIC}}}"), 10, "E39", "86400", "3600"),
    Bad("a nap too short", spec(f"autoscaling: {{scaleToZero: {{idleSeconds: 30}}, {METRIC}}}"), 10, "E39", "idleSeconds: 30", "60"),
    Bad("autoscaling by schedule", spec(f"autoscaling: {{schedules: [], {METRIC}}}"), 10, "E73", "by schedule: not supported yet"),
    Bad("a metric of some paths", spec("autoscaling: {metric: {type: rps, target: 1, paths: [/v1]}}"), 10, "E73", "some paths only"),
    Bad("logs", spec("observability: {logs: {collect: true}}"), 10, "E73", "collection of logs: not supported yet"),
    Bad("a probe of a part of a second", spec("probes: {startup: {periodSeconds: 0.5}}"), 10, "E75", "0.5 is not"),
    Bad("a probe that never fails", spec("probes: {readiness: {failureThreshold: 0}}"), 10, "E39", "the number 0 is not allowed"),
    Bad("a partition that is none", spec("resources: {accelerator: {type: a, partition: 1g 10gb}}"), 10, "E75", "'1g 10gb' is not allowed"),
    Bad("a topology key that is no label", spec("placement: {topologyKey: a b}"), 10, "E75", "'a b' is not a name of a label"),
    Bad("a priority class that is no name", spec("placement: {priorityClass: High_Prio}"), 10, "E2", "'High_Prio' is not a name"),
    Bad("a volume over system files", volumes("{name: a, pvc: c, mountPath: /usr/lib}"), 11, "E44", "mountPath '/usr/lib'", "below /data"),
    Bad("a volume at the root", volumes("{name: a, pvc: c, mountPath: //}"), 11, "E44", "mountPath '//'", "below /data"),
    Bad("a relative mount", volumes("{name: a, pvc: c, mountPath: data}"), 11, "E44", "mountPath 'data'", "below /data"),
    Bad("a mount that climbs", volumes("{name: a, pvc: c, mountPath: /data/../etc}"), 11, "E44", "mountPath '/data/../etc'", "below /data"),
    Bad("a volume over the model", volumes("{name: a, pvc: c, mountPath: /models/lora}"), 11, "E53", "mountPath '/models/lora'", "/data"),
    Bad("a volume over shared memory", volumes("{name: a, pvc: c, mountPath: /dev/shm}"), 11, "E53", "mountPath '/dev/shm'", "/data"),
    Bad("a volume of ours", volumes("{name: dshm, pvc: c, mountPath: /data}"), 11, "E53", "volume 'dshm'", "rename it"),
    Bad("a volume of nothing", volumes("{name: a, mountPath: /data}"), 11, "E75", "no source for volume 'a'", "exactly one"),
    Bad(
        "a volume of two things", volumes("{name: a, pvc: c, hostPath: /d, mountPath: /data}"), 11, "E75", "several sources", "exactly one"
    ),
    Bad(
        "two volumes in one place",
        volumes("{name: a, pvc: c, mountPath: /data}\n- {name: b, pvc: c, mountPath: /data/}"),
        12,
        "E44",
        "mountPath '/data'",
        "elsewhere",
    ),
    Bad(
        "two volumes of one name",
        volumes("{name: a, pvc: c, mountPath: /data}\n- {name: a, pvc: d, mountPath: /more}"),
        12,
        "E69",
        "volume 'a' twice",
        "remove one",
    ),
    Bad("a folder of a volume that climbs", volumes("{name: a, pvc: c, subPath: ../x, mountPath: /data}"), 11, "E78", "leads elsewhere"),
    Bad("a claim that is no name", volumes("{name: a, pvc: My_Claim, mountPath: /data}"), 11, "E2", "'My_Claim' is not a name"),
    Bad("a host path that is relative", volumes("{name: a, hostPath: d, mountPath: /data}"), 11, "E75", "'d' is not an absolute folder"),
    Bad("a reserved variable", spec("env:\n- {name: RECONCILER_X, value: a}"), 11, "E31", "env 'RECONCILER_X'", "rename it"),
    Bad("a variable twice", spec("env:\n- {name: A, value: a}\n- {name: A, value: b}"), 12, "E69", "env 'A' twice", "remove one"),
    Bad("a variable without a value", spec("env:\n- {name: A}"), 11, "E75", "neither value nor secretRef", "give one"),
    Bad("a rollout that cannot move", spec("rollout: {maxSurge: 0}"), 10, "E39", "maxSurge: 0", "maxUnavailable: 1"),
    Bad("tensor parallel of zero", spec("parallelism: {tensor: 0}"), 10, "E75", "the number 0 is not auto"),
    Bad("a model outside its root", CHAT.replace("name: smol", "name: ../../etc"), 8, "E78", "leads elsewhere", "without .."),
    Bad(
        "a token in clear",
        spec(f"env:\n- {{name: T, value: hf_{'a' * 34}}}"),
        11,
        "E70",
        "looks like a Hugging Face token",
        "use a secretRef",
    ),
    Bad("a key of ours in clear", spec(f"description: {KEY}"), 10, "E70", "looks like an API key of ours", "secretRef"),
)
KINDS: Final = (
    Bad(
        "a cluster of no known type",
        document("Cluster", "{type: nomad, " + RAY + "}"),
        4,
        "E75",
        "'nomad' is not ray or kubernetes",
        blocks="Cluster/lab",
    ),
    Bad(
        "Ray nowhere", document("Cluster", "{type: ray, ray: {}}"), 4, "E75", "neither local nor dashboardUrl", "exactly one", "Cluster/lab"
    ),
    Bad(
        "a drain too short",
        document("Cluster", "{type: ray, " + RAY + ", drainSeconds: 1}"),
        4,
        "E39",
        "drainSeconds: 1",
        "5",
        "Cluster/lab",
    ),
    Bad(
        "a password in a URL",
        document("Cluster", "{type: ray, ray: {dashboardUrl: 'http://u:hush@h:1'}}"),
        4,
        "E70",
        "user or password",
        "remove it",
        "Cluster/lab",
    ),
    Bad(
        "a Kong gateway",
        document("Gateway", "{type: kong, clusters: [lab]}"),
        4,
        "E73",
        "a Kong gateway: not supported yet",
        blocks="Gateway/lab",
    ),
    Bad(
        "a gateway that listens on a name",
        document("Gateway", "{type: envoy, clusters: [lab], listen: {address: localhost}}"),
        4,
        "E75",
        "'localhost' is not an IP address",
        "127.0.0.1",
        "Gateway/lab",
    ),
    Bad(
        "a gateway to nowhere",
        document("Gateway", "{type: envoy, clusters: []}"),
        4,
        "E75",
        "no clusters",
        "name the clusters",
        "Gateway/lab",
    ),
    Bad(
        "an output outside",
        document("Gateway", "{type: envoy, clusters: [lab], output: {directory: /etc}}"),
        4,
        "E78",
        "leads elsewhere",
        "without",
        "Gateway/lab",
    ),
    Bad(
        "a port that is none",
        document("Gateway", "{type: envoy, clusters: [lab], listen: {port: 70000}}"),
        4,
        "E39",
        "70000 is not allowed",
        "",
        "Gateway/lab",
    ),
    Bad("an engine without versions", document("Engine", "{versions: []}"), 4, "E75", "a list is not allowed", "", "Engine/lab"),
    Bad(
        "a registry elsewhere",
        document("ModelRegistry", "{type: huggingface}"),
        4,
        "E73",
        "Hugging Face: not supported",
        "type: filesystem",
        "ModelRegistry/lab",
    ),
    Bad("a guard above everything", document("Settings", "{guards: {maxDeletes: 200%}}"), 4, "E39", "'200%'", "100%", "Settings/lab"),
    Bad(
        "a key with a bad hash",
        document("ApiKey", "{credentials: [{id: abcd, sha256: xyz}]}"),
        4,
        "E75",
        "'xyz' is not allowed",
        "",
        "ApiKey/default/lab",
    ),
    Bad(
        "a key that never was a time",
        document("ApiKey", f"{{credentials: [{{id: abcd, sha256: '{HASH}', expiresAt: soon}}]}}"),
        4,
        "E72",
        "'soon'",
        "2026-",
        "ApiKey/default/lab",
    ),
    Bad(
        "limits of a key",
        document("ApiKey", "{limits: {rps: 5}}"),
        4,
        "E73",
        "rate and token limits: not supported",
        blocks="ApiKey/default/lab",
    ),
)


def cluster(story: str, body: str, code: str, what: str, todo: str = "") -> Bad:
    """A Cluster that is wrong; its spec is line 4."""
    return Bad(story, document("Cluster", f"{{{body}}}"), 4, code, what, todo, "Cluster/lab")


def registry(story: str, body: str, code: str, what: str, todo: str = "", kind: str = "ModelRegistry") -> Bad:
    return Bad(story, document(kind, f"{{{body}}}"), 4, code, what, todo, f"{kind}/lab")


K8S: Final = "type: kubernetes, kubernetes: {inCluster: true}"
GPU: Final = "type: a, resourceKey: nvidia.com/gpu"
CLUSTERS: Final = (
    cluster("a Kubernetes cluster nowhere", "type: kubernetes", "E76", "'kubernetes' is missing", "add it"),
    cluster("Ray without a block", "type: ray", "E76", "'ray' is missing", "add it"),
    cluster("Kubernetes with a Ray block", f"{K8S}, {RAY}", "E75", "ray with type: kubernetes", "remove it"),
    cluster(
        "Ray with a Kubernetes block", f"type: ray, {RAY}, kubernetes: {{inCluster: true}}", "E75", "kubernetes with type: ray", "remove"
    ),
    cluster("no way in", "type: kubernetes, kubernetes: {context: a}", "E75", "neither kubeconfigRef nor inCluster", "exactly one"),
    cluster(
        "two ways in",
        "type: kubernetes, kubernetes: {inCluster: true, kubeconfigRef: {name: a}}",
        "E75",
        "both kubeconfigRef and inCluster",
        "exactly one",
    ),
    cluster(
        "a context of nothing", "type: kubernetes, kubernetes: {inCluster: true, context: a}", "E75", "context with inCluster", "remove"
    ),
    cluster("a prefix that is none", "type: kubernetes, kubernetes: {inCluster: true, namespacePrefix: A_}", "E2", "'A_' is not the beg"),
    cluster("an unknown capability", f"{K8S}, capabilities: [Keda]", "E75", "'Keda' is not keda", "did you mean keda?"),
    cluster("capabilities of Ray", f"type: ray, {RAY}, capabilities: [keda]", "E73", "capabilities of a Kubernetes cluster: not supported"),
    cluster("a mirror of Ray", f"type: ray, {RAY}, imageRegistry: harbor", "E73", "an image mirror: not supported yet"),
    cluster("model caches of Ray", f"type: ray, {RAY}, modelCaches: [{{name: a, hostPath: /m}}]", "E73", "model caches: not supported yet"),
    cluster("a drain before it begins", f"{K8S}, drainSeconds: -1", "E39", "drainSeconds: -1", "0"),
    cluster("partitions on Ray", f"type: ray, {RAY}, accelerators: [{{{GPU}, sharing: mig}}]", "E73", "sharing by MIG: not supported yet"),
    cluster("shares on Kubernetes", f"{K8S}, accelerators: [{{{GPU}, sharing: ray}}]", "E75", "sharing: ray on Kubernetes", "none or mig"),
    cluster(
        "taints on Ray", f"type: ray, {RAY}, accelerators: [{{{GPU}, tolerations: [{{key: k}}]}}]", "E75", "tolerations on Ray", "remove"
    ),
    cluster(
        "a toleration of nothing", f"{K8S}, accelerators: [{{{GPU}, tolerations: [{{}}]}}]", "E75", "a toleration without a key", "Exists"
    ),
    cluster(
        "a toleration that is refused",
        f"{K8S}, accelerators: [{{{GPU}, tolerations: [{{key: k, operator: Exists, value: v}}]}}]",
        "E75",
        "a value with operator: Exists",
        "remove the value",
    ),
    cluster(
        "a resource of Ray", f"{K8S}, accelerators: [{{type: a, resourceKey: GPU}}]", "E75", "a resourceKey that Kubernetes", "nvidia.com"
    ),
    cluster(
        "a label of no node", f"{K8S}, accelerators: [{{{GPU}, nodeSelector: {{a b: c}}}}]", "E75", "a nodeSelector that no node", "kubectl"
    ),
    cluster(
        "a taint of no node", f"{K8S}, accelerators: [{{{GPU}, tolerations: [{{key: a b}}]}}]", "E75", "'a b' is not a name of a label"
    ),
    cluster("a cache of nothing", f"{K8S}, modelCaches: [{{name: a}}]", "E75", "no place for cache 'a'", "exactly one"),
    cluster("a cache in two places", f"{K8S}, modelCaches: [{{name: a, hostPath: /m, pvc: {{claim: c}}}}]", "E75", "several places"),
    cluster("a cache twice", f"{K8S}, modelCaches: [{{name: a, hostPath: /m}}, {{name: a, hostPath: /n}}]", "E69", "cache 'a' twice"),
    cluster("a claim of no size", f"{K8S}, modelCaches: [{{name: a, pvc: {{storageClass: x}}}}]", "E75", "neither claim nor size"),
    cluster(
        "a claim that is there and made", f"{K8S}, modelCaches: [{{name: a, pvc: {{claim: c, size: 1Gi}}}}]", "E75", "both claim and size"
    ),
    cluster("secrets of Kubernetes on Ray", f"type: ray, {RAY}, secrets: {{kubernetes: true}}", "E73", "secrets from Kubernetes: not"),
    cluster(
        "a folder of secrets in pods", f"{K8S}, secrets: {{directory: /s}}", "E75", "secrets.directory on Kubernetes", "kubernetes: true"
    ),
    cluster("no store at all", f"{K8S}, secrets: {{}}", "E76", "'kubernetes' is missing", "add it"),
    cluster("no store on Ray", f"type: ray, {RAY}, secrets: {{}}", "E76", "'directory' is missing", "add it"),
)
REGISTRIES: Final = (
    registry("models on a server of no name", "type: nfs, path: /m", "E76", "'server' is missing", "add it"),
    registry("models on a server somewhere", "type: nfs, server: n, path: m", "E75", "'m' is not an absolute folder", "/"),
    registry("images of models nowhere", "type: oci", "E76", "'url' is missing", "add it"),
    registry("files with an address", "type: filesystem, url: harbor.local", "E75", "url with type: filesystem", "remove it"),
    registry("a password in a registry", "type: oci, url: 'https://u:hush@h'", "E70", "user or password", "reference"),
    registry("a registry that is none", "type: oci, url: 'ftp://harbor'", "E75", "is not a registry", "https://harbor.local"),
    registry("a mirror that is none", "url: Harbor_Local", "E75", "'Harbor_Local' is not a registry", "https://", "ImageRegistry"),
    registry("a path that no image has", "url: h.local, repository: A B", "E75", "'A B' is not a path", "inference", "ImageRegistry"),
    registry("a login without a name", "url: h.local, credentialsRef: {}", "E76", "'name' is missing", "add it", "ImageRegistry"),
    registry("a login with a key", "url: h.local, credentialsRef: {name: h, key: k}", "E69", "unknown key 'key'", "", "ImageRegistry"),
)
ALL: Final = TEXT + IDENTITY + FIELDS + KINDS + CLUSTERS + REGISTRIES


def read(text: str | bytes, known: dict[str, tuple[str, ...]] | None = None) -> Snapshot:
    source = MemorySource()
    source.commit({**GOOD, "bad.yaml": text})
    return read_repo(source, known or {})


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.story)
def test_a_mistake_is_said_with_its_place_and_its_cure(bad: Bad) -> None:
    problems = [problem for problem in read(bad.text).problems if problem.code == bad.code and bad.what in problem.what]

    assert problems, read(bad.text).problems
    assert f"bad.yaml:{bad.line}" in {problem.where for problem in problems}
    assert bad.todo in problems[0].todo
    assert problems[0].what
    assert problems[0].severity is Severity.ERROR


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.story)
def test_a_mistake_blocks_its_own_declaration_or_every_delete(bad: Bad) -> None:
    snapshot = read(bad.text)

    assert list(snapshot.declarations) == ["Workspace/team-a"]
    if bad.blocks not in ("", "none"):
        assert bad.blocks in snapshot.blocked
        assert not snapshot.unknown
        assert snapshot.declared["bad.yaml"] == (bad.blocks,)
    else:
        assert not snapshot.blocked
        assert bool(snapshot.unknown) == (bad.blocks == "")


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.story)
def test_what_stood_in_the_file_keeps_what_it_has(bad: Bad) -> None:
    snapshot = read(bad.text, {"bad.yaml": ("Endpoint/team-a/rank",)})

    if bad.blocks in ("", "none"):
        assert "Endpoint/team-a/rank" in snapshot.blocked
        assert snapshot.declared["bad.yaml"] == ("Endpoint/team-a/rank",)
    assert not snapshot.unknown


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.story)
def test_no_message_holds_a_secret_or_a_control_character(bad: Bad) -> None:
    text = "".join(problem.text() for problem in read(bad.text).problems)

    assert "hush" not in text
    assert KEY not in text
    assert "hf_aaaa" not in text
    assert text.replace("\n", "").isprintable()
