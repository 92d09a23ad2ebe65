"""The mark on an object's own metadata: who owns it, in labels that a LIST can select and annotations that explain.

It is put on late, by the writer: a manifest, its digest and a plan's digest know nothing of it. It never stands in a pod template, where
a change of it would restart replicas (facts/kubernetes.md 9.3).
"""

from collections.abc import Mapping
from typing import Final

from reconciler.packed import plain
from reconciler.resource import BY, Json, Manifest, Mark
from reconciler.targets.kubernetes.labels import (
    APPLYSET_PART_OF,
    DIGEST,
    INSTANCE,
    MANAGED_BY,
    OWNER_KIND,
    OWNER_NAME,
    OWNER_WORKSPACE,
    PROTECT,
    REPO,
)

MARK_LABELS: Final = frozenset({MANAGED_BY, INSTANCE, OWNER_KIND, OWNER_WORKSPACE, OWNER_NAME, APPLYSET_PART_OF})
MARK_ANNOTATIONS: Final = frozenset({DIGEST, PROTECT, REPO})


def marked(manifest: Manifest, mark: Mark, applyset: str) -> dict[str, Json]:
    """The manifest as it is applied: with the mark, and as a member of the ApplySet of that id ("" = of none)."""
    manifest = plain(manifest)
    metadata = _mapping(manifest.get("metadata"))
    labels = {**_mapping(metadata.get("labels")), **labels_of(mark)}
    if applyset:
        labels[APPLYSET_PART_OF] = applyset
    annotations = {**_mapping(metadata.get("annotations")), **annotations_of(mark)}
    return {**manifest, "metadata": {**metadata, "labels": labels, "annotations": annotations}}


def labels_of(mark: Mark) -> dict[str, Json]:
    kind, workspace, name = _parts(mark.owner)
    labels: dict[str, Json] = {MANAGED_BY: BY, INSTANCE: mark.instance, OWNER_KIND: kind, OWNER_NAME: name}
    return labels | ({OWNER_WORKSPACE: workspace} if workspace else {})


def annotations_of(mark: Mark) -> dict[str, Json]:
    found: dict[str, Json] = {DIGEST: mark.digest, PROTECT: "true" if mark.protect else "false"}
    return found | ({REPO: mark.repo} if mark.repo else {})


def mark_of(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Mark | None:
    """The mark that an object carries, or None: whatever lacks an instance or an owner is not ours to change or delete."""
    instance, kind, name = (labels.get(label, "") for label in (INSTANCE, OWNER_KIND, OWNER_NAME))
    if labels.get(MANAGED_BY) != BY or not (instance and kind and name):
        return None
    owner = "/".join(part for part in (kind, labels.get(OWNER_WORKSPACE, ""), name) if part)
    return Mark(instance, annotations.get(REPO, ""), owner, annotations.get(DIGEST, ""), annotations.get(PROTECT) == "true")


def lost(labels: Mapping[str, str], mark: Mark) -> dict[str, str]:
    """The labels of this mark that an object lacks or has otherwise, with their values."""
    return {name: str(value) for name, value in labels_of(mark).items() if labels.get(name) != value}


def unmarked(manifest: Manifest) -> dict[str, Json]:
    """The manifest without its mark: what `marked` was given, where the mark's labels are all that stood beside it."""
    metadata = _mapping(manifest.get("metadata"))
    kept: dict[str, Json] = {name: value for name, value in metadata.items() if name not in ("labels", "annotations")}
    for name, ours in (("labels", MARK_LABELS), ("annotations", MARK_ANNOTATIONS)):
        if left := {key: value for key, value in _mapping(metadata.get(name)).items() if key not in ours}:
            kept[name] = left
    return {**manifest, "metadata": kept}


def _parts(owner: str) -> tuple[str, str, str]:
    """`Endpoint/team-a/chat` -> its three parts; `Cluster/gpu-east` has no workspace."""
    kind, _, rest = owner.partition("/")
    workspace, _, name = rest.rpartition("/")
    return kind, workspace, name


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
