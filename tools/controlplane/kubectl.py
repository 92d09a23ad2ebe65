"""kubectl, the official client, as the tests use it: for set-up, and as the second writer."""

import os
import subprocess
from pathlib import Path

from tools.controlplane import assets


class KubectlFailed(Exception):
    """kubectl ended with an error; the text is what it said."""


def kubectl(kubeconfig: Path | None, folder: Path, *words: str, text: str = "") -> str:
    """What kubectl prints. It keeps its cache in `folder` and heeds no preferences of the one who runs it. Without a kubeconfig it takes
    the current one. Raises KubectlFailed, and NotAvailable when there is no kubectl."""
    who = [f"--kubeconfig={kubeconfig}"] if kubeconfig else []
    command = [str(assets.kubectl()), *who, f"--cache-dir={folder / 'kubectl'}", *words]
    environment = os.environ | {"KUBECTL_KUBERC": "false"}
    done = subprocess.run(command, env=environment, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KubectlFailed(f"kubectl {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
