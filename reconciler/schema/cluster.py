"""Cluster: a target that serves. Only Ray so far."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from reconciler.schema.base import Bool, Declared, Later, Number, SecretRef, fault
from reconciler.schema.metadata import Document, GlobalMetadata
from reconciler.schema.quantity import Bytes
from reconciler.schema.text import Url, absolute_path

MIN_DRAIN_ON_RAY = 5.0  # seconds: Serve's proxies and our own poll need as much to see that a route is gone


class RaySettings(Declared):
    """Ray: one that we start here, or the address of a running one."""

    local: Bool = False
    """Start Ray on this box and keep it up."""
    dashboard_url: Url = ""
    """Address of the Ray dashboard, whose REST API takes the applications."""
    serve_url: Url = ""
    """Address of the Serve proxy."""
    token_ref: SecretRef | None = None
    """Ray's authentication token, in the reconciler's own store."""
    model_root: str = ""
    """Absolute folder, the same on every node, for relative paths of file-system models. Empty: `models` in the state folder (local)."""

    @model_validator(mode="after")
    def _local_or_an_address(self) -> Self:
        if self.local == bool(self.dashboard_url):
            what = "both local and dashboardUrl" if self.local else "neither local nor dashboardUrl"
            raise fault("E75", what, "a Ray cluster is one that we start here, or the address of a running one", "give exactly one of them")
        if self.local and (self.serve_url or self.token_ref):
            raise fault(
                "E75", "serveUrl or tokenRef with local: true", "we choose the ports and the token of a Ray that we start", "remove it"
            )
        if self.model_root and not absolute_path(self.model_root):
            raise fault(
                "E75",
                f"'{self.model_root}' is not an absolute folder",
                "relative model paths are below it",
                "start it with /",
                at=("modelRoot",),
            )
        return self


class ClusterAccelerator(Declared):
    """A type of accelerator that the cluster offers."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "sharing=mig": Later("sharing by MIG"),
        "sharing=hami": Later("sharing by HAMi"),
        "sharing=timeslice": Later("sharing by time slicing"),
    }

    type: Annotated[str, Field(min_length=1)]
    """Our name of it, which endpoints ask for."""
    vendor: str = ""
    """Vendor: key of the engines' images."""
    resource_key: Annotated[str, Field(min_length=1)]
    """What Ray counts: `GPU`, or the name of a custom resource."""
    node_selector: Mapping[str, str] = Field(default_factory=dict)
    """Labels of the nodes that have it."""
    memory: Bytes | None = None
    """Memory of one."""
    count: Annotated[Number | None, Field(gt=0)] = None
    """How many the cluster has."""
    sharing: Literal["none", "ray"] = "none"
    """How one is shared."""


class SecretStore(Declared):
    """Where references of the endpoints on this cluster are looked up."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "kubernetes": Later("secrets from Kubernetes"),
        "environment": Later("secrets from the environment"),
        "sealed": Later("sealed secrets in the repo"),
    }

    directory: str
    """Absolute folder on every node: `<directory>/<name>/<key>`, or `<directory>/<name>` for a secret of one value."""

    @field_validator("directory")
    @classmethod
    def _absolute(cls, directory: str) -> str:
        if not absolute_path(directory):
            raise fault("E75", f"'{directory}' is not an absolute folder", "every node looks there", "start it with /, and without ..")
        return directory


class ClusterSpec(Declared):
    LATER: ClassVar[Mapping[str, Later]] = {
        "type=kubernetes": Later("a Kubernetes cluster"),
        "kubernetes": Later("a Kubernetes cluster"),
        "capabilities": Later("capabilities of a Kubernetes cluster"),
        "shapes": Later("resource shapes", todo="give cpu, memory and accelerator in the endpoint"),
        "modelCaches": Later("model caches"),
        "imageRegistry": Later("an image mirror"),
    }

    type: Literal["ray"]
    """Kind of cluster."""
    ray: RaySettings
    """Which Ray."""
    accelerators: tuple[ClusterAccelerator, ...] = ()
    """The accelerators that it offers."""
    secrets: SecretStore | None = None
    """Where references of its endpoints are looked up."""
    drain_seconds: Number = 30.0
    """Seconds between a withdrawn route and the stop of its backend; at least 5."""

    @field_validator("drain_seconds")
    @classmethod
    def _long_enough(cls, seconds: float) -> float:
        if not MIN_DRAIN_ON_RAY <= seconds <= 86400:
            raise fault("E39", f"drainSeconds: {seconds:g}", "at least 5 on Ray, at most 86400", "5")
        return seconds

    @field_validator("accelerators")
    @classmethod
    def _each_type_once(cls, accelerators: tuple[ClusterAccelerator, ...]) -> tuple[ClusterAccelerator, ...]:
        types = [accelerator.type for accelerator in accelerators]
        for index, name in enumerate(types):
            if name in types[:index]:
                raise fault("E69", f"accelerator '{name}' twice", "one of them would be lost in silence", "remove one", at=(index, "type"))
        return accelerators


class Cluster(Document):
    """A target that serves."""

    kind: Literal["Cluster"]
    """Cluster."""
    metadata: GlobalMetadata
    """Identity."""
    spec: ClusterSpec
    """Which cluster, and what it offers."""
