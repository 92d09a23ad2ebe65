"""What a Cluster of type kubernetes says beside what every cluster says: how it is reached, tolerations, model caches.

Names and paths end up in objects of an API server, so they are checked by its rules here, before any server is asked.
"""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from reconciler.schema.base import Bool, Declared, SecretRef, fault
from reconciler.schema.metadata import Name
from reconciler.schema.quantity import Bytes
from reconciler.schema.text import AbsolutePath, KubernetesName, LabelKey, LabelValue, Url

PREFIX: Final = re.compile(r"([a-z]([-a-z0-9]{0,38})?)?")
CLAIM_PREFIX: Final = "model-cache-"  # of claims that we make: one per cache and namespace

Capability = Literal[
    "keda", "lws", "gatewayApi", "hami", "metricsAdapter", "acceleratorExporter", "activator", "prometheusOperator"
]  # fmt: skip


class KubernetesSettings(Declared):
    """How the API server is reached, and where we work in the cluster."""

    kubeconfig_ref: SecretRef | None = None
    """A kubeconfig, in the reconciler's own store."""
    in_cluster: Bool = False
    """Use the service account of the pod in which the reconciler runs."""
    context: str = ""
    """Context of the kubeconfig; empty: its current one."""
    namespace_prefix: str = ""
    """Before each workspace's name: `<prefix><workspace>` is its namespace."""
    namespace: Name = "reconciler-system"
    """Namespace of our own objects: the inventory of what we own in the cluster."""
    prometheus_url: Url = ""
    """Prometheus as KEDA reaches it, for autoscaling; empty: none."""

    @field_validator("namespace_prefix")
    @classmethod
    def _begins_a_name(cls, prefix: str) -> str:
        if not PREFIX.fullmatch(prefix):
            why = "namespaces are lower-case letters, digits and '-', a letter first; a prefix has at most 39 characters"
            raise fault("E2", f"'{prefix[:100]}' is not the beginning of a namespace", why, "write it like team-")
        return prefix

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.in_cluster == bool(self.kubeconfig_ref):
            what = "both kubeconfigRef and inCluster" if self.in_cluster else "neither kubeconfigRef nor inCluster"
            raise fault("E75", what, "a cluster is reached by a kubeconfig, or from inside of it", "give exactly one of them")
        if self.in_cluster and self.context:
            raise fault("E75", "context with inCluster: true", "there is no kubeconfig to choose it from", "remove it", at=("context",))
        return self


class Toleration(Declared):
    """A taint of the accelerator's nodes that its replicas tolerate."""

    key: LabelKey = ""
    """Key of the taint; empty with operator Exists: every taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal: key and value; Exists: the key."""
    value: LabelValue = ""
    """Value of the taint."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """Effect of the taint; empty: every one."""

    @model_validator(mode="after")
    def _as_the_server_wants_it(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise fault("E75", "a value with operator: Exists", "the API server refuses it", "remove the value", at=("value",))
        if self.operator == "Equal" and not self.key:
            raise fault(
                "E75", "a toleration without a key", "the API server takes none with operator: Equal", "set key, or operator: Exists"
            )
        return self

    def as_text(self) -> dict[str, str]:
        """Only what is set, as a pod spells it."""
        fields = {"key": self.key, "operator": self.operator, "value": self.value, "effect": self.effect}
        return {name: value for name, value in fields.items() if value}


class Nfs(Declared):
    """A folder of an NFS server."""

    server: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._:\[\]-]+$")]
    """Name or address of the server."""
    path: Annotated[AbsolutePath, Field(min_length=1)]
    """Folder that it exports."""


class CacheClaim(Declared):
    """A PersistentVolumeClaim: one that stands in every namespace, or the measures of one that we make in each."""

    claim: KubernetesName = ""
    """Name of a claim that stands in each namespace already."""
    size: Bytes | None = None
    """Size of the claim that we make."""
    storage_class: KubernetesName = ""
    """Its storage class; empty: the cluster's default."""
    access_modes: tuple[Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"], ...] = ("ReadWriteMany",)
    """How nodes may mount it."""

    @model_validator(mode="after")
    def _there_or_made(self) -> Self:
        if bool(self.claim) == bool(self.size):
            what = "both claim and size" if self.claim else "neither claim nor size"
            raise fault("E75", what, "a claim stands there already, or we make one of this size", "give exactly one of them")
        if self.claim and {"storage_class", "access_modes"} & self.model_fields_set:
            raise fault("E75", "storageClass or accessModes with claim", "they are of a claim that we make", "remove them")
        if not self.access_modes:
            raise fault("E75", "no accessModes", "a claim has at least one", "write [ReadWriteMany]", at=("accessModes",))
        return self


class ModelCache(Declared):
    """Where a cluster keeps models: relative paths of file-system registries are below the first one."""

    name: Annotated[Name, Field(max_length=63 - len(CLAIM_PREFIX))]
    """Its name."""
    pvc: CacheClaim | None = None
    """A PersistentVolumeClaim."""
    host_path: AbsolutePath = ""
    """A folder, the same on every node."""
    nfs: Nfs | None = None
    """A folder of an NFS server."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [place for place in (self.pvc, self.host_path, self.nfs) if place]
        if len(given) != 1:
            what = "no place" if not given else "several places"
            raise fault("E75", f"{what} for cache '{self.name}'", "a cache is pvc, hostPath or nfs", "give exactly one of them")
        return self

    @property
    def claim(self) -> str:
        """Name of its claim in each namespace; "" where it is none."""
        return "" if self.pvc is None else self.pvc.claim or f"{CLAIM_PREFIX}{self.name}"
