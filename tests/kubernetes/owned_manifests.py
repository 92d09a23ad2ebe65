"""Manifests as we apply them, one or two of each kind, rich enough that an edit finds every sort of field.

Maps, structs, lists by key, sets, atomic lists and maps, quantities, numbers, zeros.
"""

from typing import Any

Manifest = dict[str, Any]

LABELS = {"app.kubernetes.io/managed-by": "reconciler", "reconciler.dev/instance": "default", "reconciler.dev/owner-name": "chat"}
ANNOTATIONS = {"reconciler.dev/digest": "sha256:0001", "reconciler.dev/protect": "false"}
SELECTED = {"app.kubernetes.io/name": "chat", "reconciler.dev/workspace": "team-a"}


def _of(api_version: str, kind: str, **parts: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"labels": dict(LABELS), "annotations": dict(ANNOTATIONS)}, **parts}


def _probe(path: str, period: int, failures: int) -> Manifest:
    return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 5}


def _pod() -> Manifest:
    """A pod of the size of a real endpoint's."""
    engine = {
        "name": "engine",
        "image": "registry.example.com/vllm/vllm-openai:v0.11.0",
        "imagePullPolicy": "IfNotPresent",
        "command": ["vllm", "serve"],
        "args": ["/models/qwen", "--served-model-name=chat", "--max-model-len=8192", "--port=8000"],
        "env": [
            {"name": "HF_HUB_OFFLINE", "value": "1"},
            {"name": "VLLM_LOGGING_LEVEL", "value": "INFO"},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
            {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "chat-key", "key": "token"}}},
            {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"containerName": "engine", "resource": "limits.cpu", "divisor": "1"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "chat-env"}}],
        "ports": [
            {"name": "http", "containerPort": 8000, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9000, "protocol": "TCP"},
        ],
        "resources": {
            "limits": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "2"},
            "requests": {"cpu": "500m", "memory": "1536Mi", "nvidia.com/gpu": "2"},
        },
        "startupProbe": _probe("/health", 10, 60),
        "livenessProbe": _probe("/health", 10, 3),
        "readinessProbe": _probe("/health", 5, 1),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "models", "mountPath": "/models"}, {"name": "shm", "mountPath": "/dev/shm"}],
    }
    fetch = {
        "name": "fetch",
        "image": "registry.example.com/fetch:1",
        "args": ["qwen"],
        "env": [{"name": "TARGET", "value": "/models"}],
        "volumeMounts": [{"name": "models", "mountPath": "/models"}],
    }
    return {
        "automountServiceAccountToken": False,
        "serviceAccountName": "chat",
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"accelerator": "h100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "terminationGracePeriodSeconds": 65,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "runAsUser": 1000, "fsGroup": 1000},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(SELECTED)},
            }
        ],
        "initContainers": [fetch],
        "containers": [engine],
        "volumes": [
            {"name": "models", "persistentVolumeClaim": {"claimName": "models"}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }


def _template(annotations: bool = True) -> Manifest:
    metadata: Manifest = {"labels": dict(SELECTED)}
    return {"metadata": metadata | ({"annotations": {"prometheus.io/scrape": "true"}} if annotations else {}), "spec": _pod()}


def deployment() -> Manifest:
    return _of(
        "apps/v1",
        "Deployment",
        spec={
            "replicas": 2,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 1800,
            "selector": {"matchLabels": dict(SELECTED)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "25%"}},
            "template": _template(),
        },
    )


def small_deployment() -> Manifest:
    """With what a careless template makes: zeros, empty maps, a port without protocol, an empty list."""
    container = {
        "name": "engine",
        "image": "registry.example.com/llama:1",
        "env": [{"name": "EMPTY", "value": ""}, {"name": "ONE", "value": "1"}],
        "ports": [{"containerPort": 8080}],
        "resources": {"limits": {"cpu": 2, "memory": "1024Mi"}},
        "securityContext": {},
    }
    spec = {"containers": [container], "hostNetwork": False, "nodeSelector": {}, "securityContext": {}}
    return _of(
        "apps/v1",
        "Deployment",
        spec={
            "replicas": 0,
            "selector": {"matchLabels": dict(SELECTED)},
            "template": {"metadata": {"labels": dict(SELECTED)}, "spec": spec},
        },
    )


def service() -> Manifest:
    ports = [
        {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"},
        {"name": "metrics", "port": 9000, "targetPort": 9000, "protocol": "TCP"},
    ]
    return _of("v1", "Service", spec={"type": "ClusterIP", "selector": dict(SELECTED), "ports": ports})


def headless_service() -> Manifest:
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": dict(SELECTED), "ports": [{"port": 8000, "protocol": "TCP"}]}
    return _of("v1", "Service", spec=spec)


def config_map() -> Manifest:
    """With names that mean quantities elsewhere."""
    return _of("v1", "ConfigMap", data={"run.sh": "exec vllm serve\n", "LEVEL": "INFO", "sizeLimit": "1024Mi", "value": "1000m"})


def autoscaler() -> Manifest:
    resource = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    pods = {"type": "Pods", "pods": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "2500m"}}}
    outside = {"type": "External", "external": {"metric": {"name": "requests"}, "target": {"type": "Value", "value": "2k"}}}
    return _of(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"},
            "minReplicas": 1,
            "maxReplicas": 8,
            "metrics": [resource, pods, outside],
            "behavior": {
                "scaleDown": {"stabilizationWindowSeconds": 300, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
            },
        },
    )


def disruption_budget() -> Manifest:
    return _of("policy/v1", "PodDisruptionBudget", spec={"maxUnavailable": 1, "selector": {"matchLabels": dict(SELECTED)}})


def network_policy() -> Manifest:
    gateway = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}, "podSelector": {}}
    return _of(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        spec={
            "podSelector": {"matchLabels": dict(SELECTED)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [gateway], "ports": [{"port": 8000, "protocol": "TCP"}, {"port": "http", "protocol": "TCP"}]}],
        },
    )


def service_account() -> Manifest:
    return _of("v1", "ServiceAccount", automountServiceAccountToken=False, imagePullSecrets=[{"name": "registry"}, {"name": "mirror"}])


def volume_claim() -> Manifest:
    spec = {"accessModes": ["ReadWriteMany"], "storageClassName": "models", "resources": {"requests": {"storage": "200Gi"}}}
    return _of("v1", "PersistentVolumeClaim", spec=spec)


def resource_quota() -> Manifest:
    return _of("v1", "ResourceQuota", spec={"hard": {"requests.cpu": "16", "limits.memory": "512Gi", "pods": "40"}})


def pod_monitor() -> Manifest:
    endpoint = {"port": "metrics", "path": "/metrics", "interval": "15s", "honorLabels": False}
    spec = {"selector": {"matchLabels": dict(SELECTED)}, "podTargetLabels": ["app"], "podMetricsEndpoints": [endpoint], "sampleLimit": 0}
    return _of("monitoring.coreos.com/v1", "PodMonitor", spec=spec)


def leader_worker_set() -> Manifest:
    """A custom kind with a pod template: nothing of it is made canonical or left out by the server."""
    return _of(
        "leaderworkerset.x-k8s.io/v1",
        "LeaderWorkerSet",
        spec={
            "replicas": 1,
            "startupPolicy": "LeaderReady",
            "rolloutStrategy": {"type": "RollingUpdate", "rollingUpdateConfiguration": {"maxSurge": 1, "maxUnavailable": 0}},
            "leaderWorkerTemplate": {
                "size": 2,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": _template(annotations=False),
                "workerTemplate": _template(annotations=False),
            },
        },
    )


def scaled_object() -> Manifest:
    trigger = {"type": "prometheus", "metadata": {"serverAddress": "http://prometheus:9090", "query": "sum(queue)", "threshold": "4"}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"},
        "minReplicaCount": 0,
        "maxReplicaCount": 4,
        "cooldownPeriod": 300,
        "advanced": {"restoreToOriginalReplicaCount": False, "horizontalPodAutoscalerConfig": {"behavior": {}}},
        "triggers": [trigger],
    }
    return _of("keda.sh/v1alpha1", "ScaledObject", spec=spec)


EVERY = (
    deployment,
    small_deployment,
    service,
    headless_service,
    config_map,
    autoscaler,
    disruption_budget,
    network_policy,
    service_account,
    volume_claim,
    resource_quota,
    pod_monitor,
    leader_worker_set,
    scaled_object,
)
PLURALS = {
    "Deployment": "deployments",
    "Service": "services",
    "ConfigMap": "configmaps",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "NetworkPolicy": "networkpolicies",
    "ServiceAccount": "serviceaccounts",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "ResourceQuota": "resourcequotas",
    "PodMonitor": "podmonitors",
    "LeaderWorkerSet": "leaderworkersets",
    "ScaledObject": "scaledobjects",
}
