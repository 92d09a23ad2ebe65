"""The environment of an engine: names that the platform sets (E31), and where the values of secrets come from (E32, E78)."""

import re
from collections.abc import Mapping
from typing import Final

from reconciler.compile.capabilities import KUBERNETES, RAY
from reconciler.compile.engines import Version
from reconciler.compile.findings import Findings
from reconciler.compile.source import Declaration
from reconciler.schema.base import SecretRef
from reconciler.schema.cluster import ClusterSpec
from reconciler.schema.endpoint import EndpointSpec
from reconciler.schema.text import KUBERNETES_NAME

# What a kind of cluster sets itself, beside what every one of them does (`schema.endpoint.OURS`): the device plug-in says what a pod sees.
RESERVED: Final[Mapping[str, frozenset[str]]] = {
    RAY: frozenset(),
    KUBERNETES: frozenset({"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"}),
}
# Why a secret needs a store, and how the cluster gets one.
STORES: Final[Mapping[str, tuple[str, str]]] = {
    RAY: ("Ray gives back what is in its configuration in clear", "set secrets.directory of the cluster"),
    KUBERNETES: ("pods read Secrets of their namespace only where the cluster says so", "set secrets: {kubernetes: true} of the cluster"),
}
SECRET_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)


def check_env(findings: Findings, spec: EndpointSpec, version: Version, cluster: Declaration[ClusterSpec]) -> None:
    on = cluster.spec.type
    for index, variable in enumerate(spec.env):
        what, pointer = f"env '{variable.name}'", f"/spec/env/{index}"
        if variable.name in RESERVED[on]:
            findings.error("E31", f"{pointer}/name", what, "the platform sets it", "remove it")
        if variable.name in version.table.reserved_env:
            why = f"{version.engine.name} would change what the platform sets"
            findings.error("E31", f"{pointer}/name", what, why, "remove it")
        if variable.secret_ref is None:
            continue
        if cluster.spec.secrets is None:
            what = f"a secret in env '{variable.name}', and cluster {cluster.name} has no secret store"
            findings.error("E32", f"{pointer}/secretRef", what, *STORES[on])
        _CHECKS[on](findings, f"{pointer}/secretRef", variable.secret_ref)


def _a_file(findings: Findings, pointer: str, reference: SecretRef) -> None:
    for part, text in (("name", reference.name), ("key", reference.key)):
        if text in (".", "..") or "/" in text or not (text or part == "key") or not text.isprintable():
            what, why = f"'{text}' is not an entry of a secret store", "an entry is one name, not a path"
            findings.error("E78", f"{pointer}/{part}", what, why, "name an entry of secrets.directory")


def _a_secret(findings: Findings, pointer: str, reference: SecretRef) -> None:
    if not KUBERNETES_NAME.fullmatch(reference.name[:254]) or len(reference.name) > 253:
        why = "names of Secrets are lower-case letters, digits, '-' and '.'"
        findings.error("E78", f"{pointer}/name", f"'{reference.name[:100]}' is not the name of a Secret", why, "correct it")
    if not SECRET_KEY.fullmatch(reference.key):
        what = f"'{reference.key[:100]}' is not a key of a Secret" if reference.key else "a secretRef without a key"
        why = "a Secret of Kubernetes has named entries, and a variable gets one of them"
        findings.error("E78", f"{pointer}/key" if reference.key else pointer, what, why, "name the entry in key")


_CHECKS: Final = {RAY: _a_file, KUBERNETES: _a_secret}
