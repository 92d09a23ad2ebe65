"""The kinds, as a table: their models, and those that are known and not supported yet."""

from enum import StrEnum
from typing import Final

from reconciler.schema.api_key import ApiKey
from reconciler.schema.base import Later
from reconciler.schema.cluster import Cluster
from reconciler.schema.endpoint import Endpoint
from reconciler.schema.engine import Engine
from reconciler.schema.gateway import Gateway
from reconciler.schema.image_registry import ImageRegistry
from reconciler.schema.metadata import Document
from reconciler.schema.model_registry import ModelRegistry
from reconciler.schema.settings import Settings
from reconciler.schema.workspace import Workspace


class Scope(StrEnum):
    GLOBAL = "global"
    WORKSPACE = "workspace"
    EITHER = "either"


KINDS: Final[dict[str, type[Document]]] = {
    "Settings": Settings,
    "Workspace": Workspace,
    "Cluster": Cluster,
    "Gateway": Gateway,
    "Engine": Engine,
    "ModelRegistry": ModelRegistry,
    "ImageRegistry": ImageRegistry,
    "Endpoint": Endpoint,
    "ApiKey": ApiKey,
}
LATER_KINDS: Final[dict[str, Later]] = {
    "Catalog": Later("catalogs", todo="write the fields into the endpoints"),
    "ExternalEndpoint": Later("external endpoints"),
}
SCOPES: Final[dict[str, Scope]] = {
    "Settings": Scope.GLOBAL,
    "Workspace": Scope.GLOBAL,
    "Cluster": Scope.GLOBAL,
    "Gateway": Scope.GLOBAL,
    "Engine": Scope.GLOBAL,
    "ModelRegistry": Scope.EITHER,
    "ImageRegistry": Scope.EITHER,
    "Catalog": Scope.EITHER,
    "Endpoint": Scope.WORKSPACE,
    "ExternalEndpoint": Scope.WORKSPACE,
    "ApiKey": Scope.WORKSPACE,
}


def declaration_id(kind: str, workspace: str, name: str) -> str:
    """`Endpoint/team-a/chat`, `Cluster/gpu-east`: the identity of a declaration, and the id of an owner."""
    return f"{kind}/{workspace}/{name}" if workspace else f"{kind}/{name}"
