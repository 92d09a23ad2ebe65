"""Who trusts whom between the control plane and the nodes: two authorities, so that each side checks the other by its own."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tools.controlplane import ControlPlane, access
from tools.controlplane.certificates import Authority
from tools.node.cluster import Cluster


def of_kubelets(cluster: Cluster) -> Authority:
    """An authority for what kubelets serve, and for who may call them: the API server."""
    cluster.kubelets.mkdir(mode=0o700, exist_ok=True)
    authority = Authority.make(cluster.kubelets)
    authority.client("api", "api-server")
    return authority


def of_nodes(cluster: Cluster, plane: ControlPlane, kubelets: Authority) -> None:
    """For each node its certificates as a server and as a user of the API server, and one user for all kube-proxies."""
    users = authority_of(plane)
    for index in range(cluster.nodes):
        files = cluster.files(index)
        files.folder.mkdir(mode=0o700, exist_ok=True)
        dataclasses.replace(kubelets, folder=files.folder).server("served", [files.name, cluster.plan.node(index)])
        client(users, files.folder / "node.kubeconfig", f"system:node:{files.name}", ["system:nodes"], plane)
    client(users, cluster.proxy, "system:kube-proxy", [], plane)


def authority_of(plane: ControlPlane) -> Authority:
    """The control plane's own, as it left it in its folder."""
    key = serialization.load_pem_private_key((plane.folder / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Authority(plane.folder, key, x509.load_pem_x509_certificate(plane.ca.read_bytes()).subject)


def client(users: Authority, kubeconfig: Path, user: str, groups: Sequence[str], plane: ControlPlane) -> None:
    name = kubeconfig.stem
    dataclasses.replace(users, folder=kubeconfig.parent).client(name, user, groups)
    pair = {"client-certificate": str(kubeconfig.with_name(f"{name}.crt")), "client-key": str(kubeconfig.with_name(f"{name}.key"))}
    access.kubeconfig(kubeconfig, plane.url, plane.ca, pair)
