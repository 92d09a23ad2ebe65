"""Identity: names, workspace, labels, annotations; and the shape of every document.

Names are RFC 1123 labels that start with a letter (serving-checklist, fact 2): they become Service names, path segments and parts of
longer names. An endpoint's name keeps room for what clusters append (11 characters: StatefulSets and LeaderWorkerSets add a hash).
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from reconciler.schema.base import GROUP, Declared, Later, fault

NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
MAX_NAME: Final = 63
MAX_ENDPOINT_NAME: Final = 52
RESERVED_WORKSPACES: Final = frozenset({"v1"})  # `/v1` of a gateway is the path of all workspaces
DRIFT: Final = f"{GROUP}/drift"
ALLOW: Final = f"{GROUP}/allow"
_NAME_SCHEMA: Final = {"type": "string", "pattern": r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"}


def suggest_name(name: str, longest: int = MAX_NAME) -> str:
    """The nearest valid name: what E2 proposes."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not plain:
        return "my-endpoint"
    return (plain if plain[0].isalpha() else f"x-{plain}")[:longest].rstrip("-")


def check_name(name: str, longest: int = MAX_NAME) -> str:
    """Raises a fault (E2) with a suggestion."""
    if NAME.fullmatch(name) and len(name) <= longest:
        return name
    raise fault(
        "E2",
        f"'{name[:100]}' is not a valid name",
        f"names become service names and paths: lower-case letters, digits and '-', a letter first, at most {longest} characters",
        f"try '{suggest_name(name, longest)}'",
    )


def _endpoint_name(name: str) -> str:
    return check_name(name, MAX_ENDPOINT_NAME)


def _workspace_name(name: str) -> str:
    if name in RESERVED_WORKSPACES:
        raise fault(
            "E2", f"'{name}' is not a valid workspace name", f"/{name} at a gateway belongs to all workspaces", f"try 'team-{name}'"
        )
    return check_name(name)


Name = Annotated[str, AfterValidator(check_name), WithJsonSchema(_NAME_SCHEMA)]
EndpointName = Annotated[str, AfterValidator(_endpoint_name), WithJsonSchema({**_NAME_SCHEMA, "maxLength": MAX_ENDPOINT_NAME})]
WorkspaceName = Annotated[str, AfterValidator(_workspace_name), WithJsonSchema(_NAME_SCHEMA)]


def _annotations(value: Mapping[str, str]) -> Mapping[str, str]:
    for key, text in value.items():
        if key == DRIFT and text not in ("heal", "report", "off"):
            raise fault("E75", f"'{text}' is not a way to treat drift", "known are heal, report and off", "write one of these", at=(key,))
        if key.startswith(f"{GROUP}/") and key not in (DRIFT, ALLOW):
            raise fault(
                "E69",
                f"unknown annotation '{key}'",
                "annotations of our own group are settings",
                f"known are {ALLOW} and {DRIFT}",
                at=(key,),
            )
    return value


Annotations = Annotated[Mapping[str, str], AfterValidator(_annotations)]


class GlobalMetadata(Declared):
    """Identity of what belongs to no workspace."""

    LATER: ClassVar[Mapping[str, Later]] = {
        "workspace": Later("this kind has no workspace", code="E75", why="it belongs to the whole repo", todo="remove the workspace")
    }

    name: Name
    """Identity of the declaration, with its kind. Changing it deletes the old one and creates a new one."""
    labels: Mapping[str, str] = Field(default_factory=dict)
    """Free labels, for people and tools."""
    annotations: Annotations = Field(default_factory=dict)
    """Settings of ours (`reconciler.dev/drift`, `reconciler.dev/allow`) and notes of yours."""


class SettingsMetadata(GlobalMetadata):
    name: Name = "default"
    """The instance: this repo's claim on its targets."""


class WorkspaceMetadata(GlobalMetadata):
    name: WorkspaceName
    """The workspace's name: path segment and key scope at the gateways."""


class ScopedMetadata(GlobalMetadata):
    """Identity of what belongs to a workspace."""

    workspace: WorkspaceName = "default"
    """The workspace; every one but `default` must be declared."""


class EndpointMetadata(ScopedMetadata):
    name: EndpointName
    """Name of the endpoint: with the workspace its identity, its path at the gateway, and its model name."""


class EitherMetadata(GlobalMetadata):
    """Identity of what is global, or belongs to a workspace where one is given."""

    workspace: WorkspaceName | None = None
    """The workspace that may use it; absent: every workspace."""


class Document(Declared):
    """What every kind has beside its spec."""

    api_version: Literal["reconciler.dev/v1alpha1"]
    """Group and version of these declarations."""
    kind: str
    """What is declared."""
    metadata: GlobalMetadata
    """Identity."""
    spec: Any = Field()
    """What is wanted."""

    @property
    def workspace(self) -> str:
        """The workspace, or "" for what is global."""
        return getattr(self.metadata, "workspace", None) or ""
