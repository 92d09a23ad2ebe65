"""A real Kubernetes node for tests: kubelet, containerd, runc, CNI and kube-proxy in namespaces of their own, without Docker.

`start` starts and is what to read first; `nodes` is what a test then does with them. `build` makes the programs, `layout` and `images` the
images, `registry` serves these. `network`, `cgroups`, `files` and `credentials` are what a node is made of, `cluster` how its processes
know it, `box` (with `box.sh`) the one process that a node is.
"""

from tools.controlplane import NotAvailable, ProcessFailed
from tools.node.nodes import BROKEN, DENIED, MISSING, Nodes
from tools.node.start import start

__all__ = ["BROKEN", "DENIED", "MISSING", "Nodes", "NotAvailable", "ProcessFailed", "start"]
