"""ModelRegistry: where weights come from: files on the nodes, an NFS server, or images of an OCI registry."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Self

from pydantic import field_validator, model_validator

from reconciler.schema.base import Declared, Later, fault
from reconciler.schema.metadata import Document, EitherMetadata
from reconciler.schema.text import RegistryUrl, absolute_path

FIELDS: Final[Mapping[str, frozenset[str]]] = {  # of each type
    "filesystem": frozenset({"path"}),
    "nfs": frozenset({"server", "path"}),
    "oci": frozenset({"url"}),
}
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {"filesystem": (), "nfs": ("server", "path"), "oci": ("url",)}


class ModelRegistrySpec(Declared):
    LATER: ClassVar[Mapping[str, Later]] = {
        "type=huggingface": Later("models from Hugging Face", todo="put the files below the model root and use type: filesystem"),
        "type=s3": Later("models from S3"),
        "tokenRef": Later("a registry with a token"),
    }

    type: Literal["filesystem", "nfs", "oci"]
    """Kind of registry; nfs and oci only on Kubernetes."""
    path: str = "."
    """Folder of the models: absolute on every node (on the server of type nfs), or below the cluster's model root or first model cache."""
    server: str = ""
    """NFS server; of type nfs."""
    url: RegistryUrl | None = None
    """OCI registry, `oci://harbor.local/models`: each model is an image, mounted as a volume; of type oci."""

    @field_validator("path")
    @classmethod
    def _stays(cls, path: str) -> str:
        if not path or ".." in path.split("/"):
            raise fault(
                "E78", f"'{path}' leads elsewhere", "a registry is a folder, absolute or below the model root", "write it without .."
            )
        return path

    @model_validator(mode="after")
    def _fields_of_its_type(self) -> Self:
        given = self.model_fields_set - {"type"}
        for field in sorted(given - FIELDS[self.type]):
            raise fault("E75", f"{field} with type: {self.type}", "it would be ignored, so it is refused", "remove it", at=(field,))
        for field in NEEDED[self.type]:
            if field not in given:
                raise fault("E76", f"'{field}' is missing", "there is no default for it", "add it", at=(field,))
        if self.type == "nfs" and not (absolute_path(self.path) and self.path.isprintable()):
            raise fault("E75", f"'{self.path}' is not an absolute folder", "the server exports it", "start it with /", at=("path",))
        return self


class ModelRegistry(Document):
    """Where weights come from."""

    kind: Literal["ModelRegistry"]
    """ModelRegistry."""
    metadata: EitherMetadata
    """Identity."""
    spec: ModelRegistrySpec
    """Which registry."""
