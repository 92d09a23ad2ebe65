"""Workspace: a team. Prefix on Ray, path and key scope at the gateway."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from reconciler.schema.base import Declared, Later
from reconciler.schema.metadata import Document, WorkspaceMetadata


class WorkspaceSpec(Declared):
    LATER: ClassVar[Mapping[str, Later]] = {
        "visibility": Later("visibility of a workspace"),
        "logs": Later("collection of logs"),
        "limits": Later("limits of a workspace"),
    }

    display_name: str = ""
    """Name for people."""


class Workspace(Document):
    """A team."""

    kind: Literal["Workspace"]
    """Workspace."""
    metadata: WorkspaceMetadata
    """Identity."""
    spec: WorkspaceSpec = WorkspaceSpec()
    """What the workspace is."""
