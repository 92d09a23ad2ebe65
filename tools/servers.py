"""Build what the Kubernetes tests start, before pytest does: so that a first run shows progress, and each test starts in seconds.

    python3 tools/environment.py -m tools.servers

The control plane needs Go; the real node needs Go, root and Debian packages besides. What cannot be had is said in one loud line, and is a
failure where all must be there (CI=true).
"""

import os
import sys

from tools.controlplane import NotAvailable, assets, programs
from tools.node.build import build
from tools.node.images import all_images
from tools.node.layout import Store
from tools.node.start import check_machine


def main() -> int:
    missing = [text for text in (_control_plane(), _node()) if text]
    for text in missing:
        sys.stderr.write(f"SKIPPED: {text}\n")
    return 1 if missing and os.environ.get("CI") == "true" else 0


def _control_plane() -> str:
    """Why its tests cannot run, or ""."""
    if assets.existing_cluster():
        return ""
    try:
        if not assets.built():
            programs.build(programs.CONTROL_PLANE)
        assets.definitions()
        assets.kubectl()
    except NotAvailable as error:
        return f"tests on a Kubernetes control plane: {error}"
    return ""


def _node() -> str:
    try:
        check_machine()
        all_images(Store(), build())
    except NotAvailable as error:
        return f"tests on real Kubernetes nodes: {error}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
