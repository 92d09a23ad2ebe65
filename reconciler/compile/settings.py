"""Settings: whose targets these are and what one revision may do. A broken Settings keeps the last good one."""

from dataclasses import dataclass

from reconciler.compile.references import Declared
from reconciler.desired import Guards, Remembered
from reconciler.resource import DriftMode
from reconciler.schema.settings import SettingsSpec


@dataclass(frozen=True, slots=True)
class Policy:
    instance: str
    guards: Guards
    drift: DriftMode
    status_branch: str


def policy_of(declared: Declared, remembered: Remembered) -> Policy:
    """The declared Settings, or the defaults; the remembered ones where what is declared is broken.

    On a first pass nothing is remembered: then the name of the broken one still says whose targets these will be. The instance stays
    when Settings leave the repo: its mark stands on everything, and an emptied repo must know what is its own.
    """
    broken = sorted(id_ for id_ in declared.broken if id_.startswith("Settings/"))
    if broken:
        instance = remembered.instance if remembered.revision else broken[0].split("/")[1]
        return Policy(instance, remembered.guards or Guards(), remembered.drift, remembered.status_branch)
    found = declared.of(SettingsSpec)
    name, spec = (found[0].name, found[0].spec) if found else (remembered.instance, SettingsSpec())
    guards = Guards(spec.guards.max_deletes, spec.guards.max_restarts, spec.guards.max_key_removals)
    return Policy(name, guards, DriftMode(spec.drift), spec.status.branch)
