"""Where the weights of a model lie on a node.

    <registry path>/<model.name>[/<model.version>][/<model.file>]

An absolute registry path stays; a relative one is below the cluster's `modelRoot`. On `ray: {local: true}` without a model root it begins
with the placeholder `{models}`, which each replica replaces by the model root of its box. So whoever has another GGUF puts it into a
folder below the model root and names folder and file. Nothing leads out of the registry, and a file is one exact name: what it matched
would otherwise depend on the node.
"""

from typing import Final

from reconciler.compile.engines import MODELS, Version
from reconciler.compile.findings import Findings
from reconciler.compile.source import Declaration
from reconciler.schema.cluster import ClusterSpec
from reconciler.schema.endpoint import EndpointSpec
from reconciler.schema.model_registry import ModelRegistrySpec

PATTERN: Final = frozenset("*?[")


def model_path(
    findings: Findings,
    spec: EndpointSpec,
    registry: Declaration[ModelRegistrySpec],
    cluster: Declaration[ClusterSpec],
    version: Version,
) -> str:
    """The path, complete only if nothing was found wrong (E7, E34, E78)."""
    model = spec.model
    for field, value in (("name", model.name), ("version", model.version), ("file", model.file)):
        if value and not _stays(value):
            what = f"'{value}' leads elsewhere"
            findings.error(
                "E78", f"/spec/model/{field}", what, "a model lies inside its registry", "write it without a leading / and without .."
            )
        if PATTERN & set(value):
            what, why = f"model.{field} '{value}' is a pattern", "what it matches would depend on the node; patterns are not supported yet"
            findings.error("E7", f"/spec/model/{field}", what, why, "give the exact name")
    if not model.file and version.table.from_file:
        what = "model.file is empty"
        findings.error("E7", "/spec/model", what, f"{version.engine.name} starts from exactly one file", "give the exact file")
    return "/".join((_root(findings, registry, cluster), *(part for part in (model.name, model.version, model.file) if part)))


def _root(findings: Findings, registry: Declaration[ModelRegistrySpec], cluster: Declaration[ClusterSpec]) -> str:
    path, ray = registry.spec.path.rstrip("/"), cluster.spec.ray
    if registry.spec.path.startswith("/"):
        return path
    below = "/".join(part for part in path.split("/") if part not in ("", "."))
    root = ray.model_root.rstrip("/") or (MODELS if ray.local else "")
    if not root:
        findings.error(
            "E34",
            "/spec/model/registry",
            f"model registry '{registry.name}' has the relative path '{registry.spec.path}', and cluster {cluster.name} has no model root",
            "nobody knows which folder on the nodes it is relative to",
            "set ray.modelRoot of the cluster, or an absolute path of the registry",
        )
    return f"{root}/{below}" if below else root


def _stays(path: str) -> bool:
    return (
        not path.startswith("/")
        and all(part not in ("", ".", "..") for part in path.split("/"))
        and path.isprintable()
        and "\\" not in path
    )
