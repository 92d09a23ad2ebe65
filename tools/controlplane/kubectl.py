"""kubectl, the official client, as the tests use it: for set-up, and as the second writer."""

import os
import subprocess
from pathlib import Path
from typing import Final

from tools.controlplane import assets

PATIENCE: Final = 180.0  # seconds; what it waits for by itself, a deletion for example, may never come


class KubectlFailed(Exception):
    """kubectl ended with an error; the text is what it said."""


def kubectl(kubeconfig: Path | None, folder: Path, *words: str, text: str = "") -> str:
    """What kubectl prints. It keeps its cache in `folder` and heeds no preferences of the one who runs it. Without a kubeconfig it takes
    the current one. Raises KubectlFailed, also when it has not ended after three minutes, and NotAvailable when there is no kubectl."""
    who = [f"--kubeconfig={kubeconfig}"] if kubeconfig else []
    command = [str(assets.kubectl()), *who, f"--cache-dir={folder / 'kubectl'}", *words]
    environment = os.environ | {"KUBECTL_KUBERC": "false"}
    try:
        done = subprocess.run(command, env=environment, input=text, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired as late:
        said = late.stderr.decode(errors="replace").strip() if isinstance(late.stderr, bytes) else ""
        raise KubectlFailed(f"kubectl {' '.join(words)}: not done after {PATIENCE:.0f} s; so far it said: {said or 'nothing'}") from None
    if done.returncode != 0:
        raise KubectlFailed(f"kubectl {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
