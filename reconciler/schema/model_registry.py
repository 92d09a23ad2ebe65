"""ModelRegistry: where weights come from. Only a file system so far."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import field_validator

from reconciler.schema.base import Declared, Later, fault
from reconciler.schema.metadata import Document, EitherMetadata


class ModelRegistrySpec(Declared):
    LATER: ClassVar[Mapping[str, Later]] = {
        "type=huggingface": Later("models from Hugging Face", todo="put the files below the model root and use type: filesystem"),
        "type=nfs": Later("models from NFS", todo="mount it on every node and use type: filesystem"),
        "type=oci": Later("models from an OCI registry"),
        "type=s3": Later("models from S3"),
        "url": Later("a registry with an address"),
        "tokenRef": Later("a registry with a token"),
        "server": Later("models from NFS"),
    }

    type: Literal["filesystem"]
    """Kind of registry."""
    path: str = "."
    """Folder of the models: absolute, or below the cluster's model root."""

    @field_validator("path")
    @classmethod
    def _stays(cls, path: str) -> str:
        if not path or ".." in path.split("/"):
            raise fault(
                "E78", f"'{path}' leads elsewhere", "a registry is a folder, absolute or below the model root", "write it without .."
            )
        return path


class ModelRegistry(Document):
    """Where weights come from."""

    kind: Literal["ModelRegistry"]
    """ModelRegistry."""
    metadata: EitherMetadata
    """Identity."""
    spec: ModelRegistrySpec
    """Which registry."""
