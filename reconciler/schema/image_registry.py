"""ImageRegistry: the mirror that a Kubernetes cluster pulls the engines' images from, and the Secret that opens it."""

from typing import Annotated, Literal

from pydantic import Field

from reconciler.schema.base import Declared
from reconciler.schema.metadata import Document, EitherMetadata
from reconciler.schema.text import KubernetesName, RegistryPath, RegistryUrl


class PullSecret(Declared):
    """Names a Secret of type `kubernetes.io/dockerconfigjson` in the namespace of each endpoint; the value never stands in the repo."""

    name: Annotated[KubernetesName, Field(min_length=1)]
    """Name of the Secret."""


class ImageRegistrySpec(Declared):
    url: RegistryUrl
    """Address: `https://harbor.local`, or only `harbor.local:5000`."""
    repository: RegistryPath = ""
    """Path below it; empty: none."""
    credentials_ref: PullSecret | None = None
    """The Secret with its login; absent: anybody may pull."""


class ImageRegistry(Document):
    """A mirror of images."""

    kind: Literal["ImageRegistry"]
    """ImageRegistry."""
    metadata: EitherMetadata
    """Identity."""
    spec: ImageRegistrySpec
    """Where it is, and who may pull."""
