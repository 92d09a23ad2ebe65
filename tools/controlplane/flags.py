"""The flags of each process, as literal tables. Why each stands there: the API server trusts two kinds of credentials (tokens, our
certificate authority) and decides by RBAC, so that a missing right is found; nothing waits for a disk; nothing is slowed down by a
client-side limit; nothing needs a route, a cloud, or a port that was not given to it (etcd's peers: any; controllers: none).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

Flags = Mapping[str, str]

LOOPBACK: Final = "127.0.0.1"
SERVICES: Final = "10.0.0.0/16"  # the first address, 10.0.0.1, stands in the API server's certificate

# What rolls a Deployment, fills an EndpointSlice, ends a namespace, counts a quota. No node lifecycle: simulated nodes send no heartbeat.
CONTROLLERS: Final = (
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "job-controller",
    "endpointslice-controller",
    "namespace-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "disruption-controller",
    "pod-garbage-collector-controller",
    "persistentvolume-binder-controller",
    "resourcequota-controller",
)

# Their defaults (20 and 50 requests a second) would be what a test of 1,000 Deployments measures.
UNLIMITED: Final[Flags] = {"kube-api-qps": "2000", "kube-api-burst": "4000"}
COMPONENT: Final[Flags] = {
    "leader-elect": "false",
    "authentication-skip-lookup": "true",
    "secure-port": "0",  # nobody asks them for metrics
    **UNLIMITED,
}


def etcd(folder: Path, port: int) -> Flags:
    client, peer = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:0"
    return {
        "name": "n0",
        "data-dir": str(folder / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"n0={peer}",
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }


def api_server(folder: Path, address: str, port: int, etcd_port: int) -> Flags:
    return {
        "etcd-servers": f"http://{LOOPBACK}:{etcd_port}",
        "bind-address": address,
        "advertise-address": address,  # without a default route it has none of its own
        "secure-port": str(port),
        "tls-cert-file": "api.crt",
        "tls-private-key-file": "api.key",
        "cert-dir": str(folder / "api"),
        "client-ca-file": "ca.crt",
        "token-auth-file": "tokens.csv",
        "authorization-mode": "RBAC",
        "audit-policy-file": "audit.yaml",
        "audit-log-path": "audit.log",
        "audit-log-maxsize": "8192",  # MB: never turned over while a test counts in it
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": "service-accounts.pub",
        "service-account-signing-key-file": "service-accounts.key",
        "service-cluster-ip-range": SERVICES,
        # ServiceAccount: no controller here makes the default accounts. TaintNodesByCondition: nor lifts the taint of a new node.
        "disable-admission-plugins": "ServiceAccount,TaintNodesByCondition",
        "allow-privileged": "true",
        "endpoint-reconciler-type": "none",
        "profiling": "false",
        "shutdown-delay-duration": "0s",
    }


def controller_manager() -> Flags:
    wide = ("deployment", "replicaset", "service-endpoint", "gc")
    return {
        "kubeconfig": "admin.kubeconfig",
        **COMPONENT,
        "use-service-account-credentials": "false",
        "controllers": ",".join(CONTROLLERS),
        **{f"concurrent-{name}-syncs": "20" for name in wide},
    }


def scheduler() -> Flags:
    return {"kubeconfig": "admin.kubeconfig", **COMPONENT}


def kwok() -> Flags:
    return {
        "kubeconfig": "admin.kubeconfig",
        "config": str(Path(__file__).with_name("kwok.yaml")),
        "manage-all-nodes": "true",
        "node-lease-duration-seconds": "0",
        "node-ip": LOOPBACK,
    }


def command(program: Path, flags: Flags) -> list[str]:
    return [str(program), *(f"--{name}={value}" for name, value in flags.items())]
