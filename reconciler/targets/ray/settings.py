"""A Ray cluster's settings, out of the plain data of a TargetSpec.

local: we start Ray on this box; address: the dashboard of somebody else's. token: the entry of our own store that opens it.
model_root and secrets_directory are paths on the nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.desired import TargetSpec
from reconciler.errors import CompileError
from reconciler.resource import Json


@dataclass(frozen=True, slots=True)
class RaySettings:
    """token: (name, key) of the store's entry, or None for a cluster without a token. Paths and address are "" when not set."""

    local: bool
    address: str = ""
    token: tuple[str, str] | None = None
    model_root: str = ""
    secrets_directory: str = ""


def settings_of(spec: TargetSpec) -> RaySettings:
    """Raises CompileError where neither or both of `local` and `dashboardUrl` are given."""
    given = spec.settings
    local, address = given.get("local") is True, _text(given, "dashboardUrl")
    if local == bool(address):
        raise CompileError(f"cluster {spec.name}: exactly one of ray.local and ray.dashboardUrl is needed", code="E2", where=spec.source)
    return RaySettings(local, address, _token(given), _text(given, "modelRoot"), _text(given, "secretsDirectory"))


def _text(given: Mapping[str, Json], name: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) else ""


def _token(given: Mapping[str, Json]) -> tuple[str, str] | None:
    reference = given.get("tokenRef")
    if not isinstance(reference, Mapping):
        return None
    return _text(reference, "name"), _text(reference, "key")
