"""A real control plane for tests and benchmarks, as the project's own: built from pinned Go modules, started in seconds, gone for certain.

    python3 tools/environment.py -m tools.controlplane build            once, some minutes; then it is in the cache
    python3 tools/environment.py -m tools.controlplane start FOLDER     then KUBECONFIG=FOLDER/admin.kubeconfig kubectl get nodes
    python3 tools/environment.py -m tools.controlplane stop FOLDER

`programs` builds, `assets` decides where each part comes from, `cluster` starts, `guard` ends, `audit` counts what was asked for.
"""

from tools.controlplane.assets import binaries, binary
from tools.controlplane.audit import AuditLog, Entry
from tools.controlplane.cluster import ControlPlane, Mode, start
from tools.controlplane.kubectl import KubectlFailed
from tools.controlplane.processes import ProcessFailed
from tools.controlplane.programs import NotAvailable, build

__all__ = [
    "AuditLog",
    "ControlPlane",
    "Entry",
    "KubectlFailed",
    "Mode",
    "NotAvailable",
    "ProcessFailed",
    "binaries",
    "binary",
    "build",
    "start",
]
