"""Cluster: a target that serves: Ray, or Kubernetes.

What a type lacks is said at the field it concerns, so that one run shows every mistake: `type` stands first, and later fields see it.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from reconciler.schema.base import Bool, Declared, Later, Number, SecretRef, fault, refused
from reconciler.schema.kubernetes import Capability, KubernetesSettings, ModelCache, Toleration
from reconciler.schema.metadata import Document, GlobalMetadata, Name
from reconciler.schema.quantity import Bytes
from reconciler.schema.text import LABEL_KEY, LABEL_VALUE, Url, absolute_path

MIN_DRAIN_ON_RAY: Final = 5.0  # seconds: Serve's proxies and our own poll need as much to see that a route is gone
# What a type of cluster has not: type -> field -> how it is refused.
FOREIGN: Final[Mapping[str, Mapping[str, Later]]] = {
    "ray": {
        "kubernetes": Later("kubernetes with type: ray", code="E75", why="a cluster has the block of its own type", todo="remove it"),
        "capabilities": Later("capabilities of a Kubernetes cluster"),
        "model_caches": Later("model caches"),
        "image_registry": Later("an image mirror"),
    },
    "kubernetes": {
        "ray": Later("ray with type: kubernetes", code="E75", why="a cluster has the block of its own type", todo="remove it"),
    },
}
DRAIN: Final = {"ray": (MIN_DRAIN_ON_RAY, "at least 5 on Ray, at most 86400"), "kubernetes": (0.0, "at least 0, at most 86400")}
SHARING: Final = {
    ("ray", "mig"): Later("sharing by MIG"),
    ("kubernetes", "ray"): Later(
        "sharing: ray on Kubernetes",
        code="E75",
        why="Kubernetes hands out whole devices, or partitions of them",
        todo="write none or mig",
    ),
}
NO_RESOURCE: Final = Later(
    "a resourceKey that Kubernetes cannot count",
    code="E75",
    why="devices are extended resources, with the domain of their device plug-in",
    todo="write it like nvidia.com/gpu",
)
NO_LABELS: Final = Later(
    "a nodeSelector that no node can have",
    code="E75",
    why="a label is a name, perhaps with a domain and / before it, and a value: letters, digits, '-', '_', '.', at most 63 of them",
    todo="copy it from `kubectl get nodes --show-labels`",
)
TAINTS: Final = Later("tolerations on Ray", code="E75", why="it places replicas by resources and labels, not by taints", todo="remove them")


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
        "sharing=hami": Later("sharing by HAMi"),
        "sharing=timeslice": Later("sharing by time slicing"),
    }

    type: Annotated[str, Field(min_length=1)]
    """Our name of it, which endpoints ask for."""
    vendor: str = ""
    """Vendor: key of the engines' images."""
    resource_key: Annotated[str, Field(min_length=1)]
    """What the cluster counts: on Ray `GPU` or a custom resource, on Kubernetes an extended resource such as `nvidia.com/gpu`."""
    node_selector: Mapping[str, str] = Field(default_factory=dict)
    """Labels of the nodes that have it."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints of these nodes that replicas tolerate; Kubernetes only."""
    memory: Bytes | None = None
    """Memory of one."""
    count: Annotated[Number | None, Field(gt=0)] = None
    """How many the cluster has."""
    sharing: Literal["none", "ray", "mig"] = "none"
    """How one is shared: by Ray, or in partitions (MIG) on Kubernetes."""


def _misfits(type_: str, accelerator: ClusterAccelerator) -> Iterator[tuple[str, Later]]:
    """Field and refusal of what a type of cluster cannot offer so."""
    if (type_, accelerator.sharing) in SHARING:
        yield "sharing", SHARING[type_, accelerator.sharing]
    if type_ == "ray" and accelerator.tolerations:
        yield "tolerations", TAINTS
    if type_ == "kubernetes":
        if "/" not in accelerator.resource_key or not LABEL_KEY.fullmatch(accelerator.resource_key):
            yield "resourceKey", NO_RESOURCE
        labels = accelerator.node_selector.items()
        if not all(LABEL_KEY.fullmatch(key) and LABEL_VALUE.fullmatch(value) for key, value in labels):
            yield "nodeSelector", NO_LABELS


class SecretStore(Declared):
    """Where references of the endpoints on this cluster are looked up."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "environment": Later("secrets from the environment"),
        "sealed": Later("sealed secrets in the repo"),
    }

    kubernetes: Bool = False
    """Secrets of the endpoint's namespace; Kubernetes only."""
    directory: str = ""
    """Absolute folder on every node: `<directory>/<name>/<key>`, or `<directory>/<name>` for a secret of one value. Ray only."""

    @field_validator("directory")
    @classmethod
    def _absolute(cls, directory: str) -> str:
        if not absolute_path(directory):
            raise fault("E75", f"'{directory}' is not an absolute folder", "every node looks there", "start it with /, and without ..")
        return directory


class ClusterSpec(Declared):
    LATER: ClassVar[Mapping[str, Later]] = {
        "shapes": Later("resource shapes", todo="give cpu, memory and accelerator in the endpoint"),
    }

    type: Literal["ray", "kubernetes"]
    """Kind of cluster."""
    ray: Annotated[RaySettings | None, Field(validate_default=True)] = None
    """Which Ray; of type ray."""
    kubernetes: Annotated[KubernetesSettings | None, Field(validate_default=True)] = None
    """Which Kubernetes cluster; of type kubernetes."""
    capabilities: tuple[Capability, ...] = ()
    """What is installed in the cluster beside Kubernetes itself."""
    accelerators: tuple[ClusterAccelerator, ...] = ()
    """The accelerators that it offers."""
    model_caches: tuple[ModelCache, ...] = ()
    """Where models lie; relative paths of registries are below the first."""
    image_registry: Name | None = None
    """Name of the ImageRegistry from which images are pulled; absent: from where the engine says."""
    secrets: SecretStore | None = None
    """Where references of its endpoints are looked up."""
    drain_seconds: Number = 30.0
    """Seconds between a withdrawn route and the stop of its backend; at least 5 on Ray."""

    @field_validator("ray", "kubernetes", "capabilities", "model_caches", "image_registry")
    @classmethod
    def _of_its_type(cls, value: object, info: ValidationInfo) -> object:
        type_, field = info.data.get("type"), str(info.field_name)
        if type_ == field and value is None:
            raise fault("E76", f"'{field}' is missing", "there is no default for it", "add it", at=(field,))
        foreign = FOREIGN.get(str(type_), {}).get(field)
        if foreign and value:
            raise refused(foreign)
        return value

    @field_validator("secrets")
    @classmethod
    def _a_store_of_its_type(cls, secrets: SecretStore | None, info: ValidationInfo) -> SecretStore | None:
        if secrets is None or info.data.get("type") not in ("ray", "kubernetes"):
            return secrets
        if info.data["type"] == "ray" and secrets.kubernetes:
            raise refused(Later("secrets from Kubernetes"), at=("kubernetes",))
        if info.data["type"] == "kubernetes" and secrets.directory:
            why = "pods refer to Secrets of their namespace; a folder of the nodes is not mounted"
            raise fault("E75", "secrets.directory on Kubernetes", why, "write kubernetes: true", at=("directory",))
        wanted = "directory" if info.data["type"] == "ray" else "kubernetes"
        if not (secrets.directory or secrets.kubernetes):
            raise fault("E76", f"'{wanted}' is missing", "there is no default for it", "add it", at=(wanted,))
        return secrets

    @field_validator("drain_seconds")
    @classmethod
    def _long_enough(cls, seconds: float, info: ValidationInfo) -> float:
        least, rule = DRAIN[info.data.get("type", "ray")]
        if not least <= seconds <= 86400:
            raise fault("E39", f"drainSeconds: {seconds:g}", rule, f"{least:g}")
        return seconds

    @field_validator("accelerators")
    @classmethod
    def _each_type_once(cls, accelerators: tuple[ClusterAccelerator, ...]) -> tuple[ClusterAccelerator, ...]:
        types = [accelerator.type for accelerator in accelerators]
        for index, name in enumerate(types):
            if name in types[:index]:
                raise fault("E69", f"accelerator '{name}' twice", "one of them would be lost in silence", "remove one", at=(index, "type"))
        return accelerators

    @field_validator("accelerators")
    @classmethod
    def _offered_by_its_type(cls, accelerators: tuple[ClusterAccelerator, ...], info: ValidationInfo) -> tuple[ClusterAccelerator, ...]:
        for index, accelerator in enumerate(accelerators):
            for field, refusal in _misfits(str(info.data.get("type")), accelerator):
                raise refused(refusal, at=(index, field))
        return accelerators

    @field_validator("model_caches")
    @classmethod
    def _each_cache_once(cls, caches: tuple[ModelCache, ...]) -> tuple[ModelCache, ...]:
        names = [cache.name for cache in caches]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise fault("E69", f"cache '{name}' twice", "one of them would be lost in silence", "remove one", at=(index, "name"))
        return caches


class Cluster(Document):
    """A target that serves."""

    kind: Literal["Cluster"]
    """Cluster."""
    metadata: GlobalMetadata
    """Identity."""
    spec: ClusterSpec
    """Which cluster, and what it offers."""
