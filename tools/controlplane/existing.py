"""A cluster that is there already, in place of one of our own (`USE_EXISTING_CLUSTER=true`, the current kubeconfig).

It gets the rights of `deploy/kubernetes/rbac.yaml`, and the custom kinds that it lacks; both stay. The ordinary user is the service account
of these manifests, by a token of a day. It has no audit log that we could read, no processes of ours and no certificate for the user: what
needs one of these says NotAvailable.
"""

import base64
import json
from pathlib import Path
from typing import Any

import yaml

from tools.controlplane import access, assets
from tools.controlplane.audit import AuditLog
from tools.controlplane.cluster import ControlPlane
from tools.controlplane.kubectl import KubectlFailed, kubectl
from tools.controlplane.programs import NotAvailable


def use(folder: Path) -> ControlPlane:
    """Prepare the cluster of the current kubeconfig; our files go to `folder`. Raises NotAvailable when that cannot be done."""
    try:
        return prepare(folder.absolute())
    except KubectlFailed as error:
        raise NotAvailable(f"USE_EXISTING_CLUSTER: {error}") from None


def prepare(folder: Path) -> ControlPlane:
    view = json.loads(kubectl(None, folder, "config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    admin = folder / "admin.kubeconfig"
    admin.write_text(json.dumps(view))
    url, ca = view["clusters"][0]["cluster"]["server"], authority(view["clusters"][0]["cluster"], folder)
    kubectl(admin, folder, "apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(access.rights()))
    define(admin, folder)
    token = kubectl(admin, folder, "-n", "reconciler-system", "create", "token", access.USER, "--duration=24h").strip()
    return ControlPlane(
        folder=folder,
        url=url,
        ca=ca,
        admin_kubeconfig=admin,
        user_kubeconfig=access.kubeconfig(folder / "reconciler.kubeconfig", url, ca, {"token": token}),
        certificate=None,
        audit_log=AuditLog(None),
        running=None,
        tokens={access.USER: token},
    )


def authority(cluster: dict[str, Any], folder: Path) -> Path:
    """The file of the cluster's certificate authority."""
    data = cluster.get("certificate-authority-data")
    if not data:
        raise NotAvailable("USE_EXISTING_CLUSTER: the current kubeconfig names no certificate authority (certificate-authority-data)")
    (folder / "ca.crt").write_bytes(base64.b64decode(data))
    return folder / "ca.crt"


def define(admin: Path, folder: Path) -> None:
    """Create the custom kinds that are not there. One that is there is somebody's, whatever its version."""
    present = kubectl(admin, folder, "get", "customresourcedefinitions", "-o", "name").split()
    for file in assets.definitions():
        name = "customresourcedefinition.apiextensions.k8s.io/" + yaml.safe_load(file.read_text())["metadata"]["name"]
        if name not in present:
            kubectl(admin, folder, "apply", "--server-side", "-f", str(file))
            kubectl(admin, folder, "wait", "--for=condition=Established", "--timeout=60s", name)
