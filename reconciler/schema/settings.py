"""Settings: how this repo is reconciled. One per repo, optional."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import field_validator

from reconciler.schema.base import Declared, Later, fault
from reconciler.schema.metadata import Document, SettingsMetadata
from reconciler.schema.quantity import Share


class GuardSettings(Declared):
    """Shares that one revision may touch without an acknowledgement; one is always allowed."""

    max_deletes: Share = 0.20
    """Share of the endpoints that may be deleted or paused."""
    max_restarts: Share = 0.50
    """Share of the endpoints that may be restarted or migrated."""
    max_key_removals: Share = 0.20
    """Share of the API keys that may be removed."""


class StatusSettings(Declared):
    """Where status is written back to."""

    branch: str = "status/{target}"
    """Branch per target; `{target}` is the name of the cluster or gateway."""

    @field_validator("branch")
    @classmethod
    def _one_branch_per_target(cls, branch: str) -> str:
        rest = branch.replace("{target}", "")
        if "{target}" not in branch or any(mark in rest for mark in "{} ~^:?*[\\") or ".." in branch or branch.startswith(("-", "/")):
            raise fault(
                "E75",
                f"'{branch}' is not a branch per target",
                "each target has a status branch of its own",
                "write it like status/{target}",
            )
        return branch


class SettingsSpec(Declared):
    LATER: ClassVar[Mapping[str, Later]] = {"require": Later("requirements on commits, versions and plans")}

    guards: GuardSettings = GuardSettings()
    """What one revision may change without an acknowledgement."""
    drift: Literal["heal", "report", "off"] = "heal"
    """What happens to fields of ours that somebody else changed."""
    status: StatusSettings = StatusSettings()
    """Where status is written back to."""


class Settings(Document):
    """How this repo is reconciled."""

    kind: Literal["Settings"]
    """Settings."""
    metadata: SettingsMetadata = SettingsMetadata()
    """Identity: the name is the instance."""
    spec: SettingsSpec = SettingsSpec()
    """How this repo is reconciled."""
