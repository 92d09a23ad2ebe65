"""Settings: whose targets these are and what one revision may do. A broken Settings keeps the last good one."""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.compile.findings import Findings
from reconciler.compile.references import Declared
from reconciler.desired import Guards, Remembered
from reconciler.errors import Problem
from reconciler.resource import DriftMode
from reconciler.schema.settings import SettingsSpec


@dataclass(frozen=True, slots=True)
class Policy:
    instance: str
    guards: Guards
    drift: DriftMode
    status_branch: str
    problems: tuple[Problem, ...] = ()


def policy_of(declared: Declared, remembered: Remembered) -> Policy:
    """The declared Settings, else the defaults; the remembered ones where what is declared is broken or not one."""
    found = [item for item in declared.of(SettingsSpec) if item.id not in declared.broken]
    broken = declared.names("Settings") - {item.name for item in found}
    if len(found) + len(broken) > 1:
        return _remembered(remembered, min(declared.names("Settings")), _too_many(declared))
    if broken:
        return _remembered(remembered, min(broken), {})
    if not found:
        return Policy("default", Guards(), DriftMode.HEAL, SettingsSpec().status.branch)
    spec = found[0].spec
    guards = Guards(spec.guards.max_deletes, spec.guards.max_restarts, spec.guards.max_key_removals)
    return Policy(found[0].name, guards, DriftMode(spec.drift), spec.status.branch)


def _remembered(remembered: Remembered, name: str, problems: Mapping[str, Findings]) -> Policy:
    """On a first pass nothing is remembered: the name still says whose targets these will be."""
    instance = remembered.instance if remembered.revision else name
    found = tuple(problem for findings in problems.values() for problem in findings.problems)
    return Policy(instance, remembered.guards or Guards(), remembered.drift, remembered.status_branch, found)


def _too_many(declared: Declared) -> dict[str, Findings]:
    every = {item.id: Findings(item) for item in declared.of(SettingsSpec)}
    for id_, findings in every.items():
        others = ", ".join(sorted(f"Settings/{name}" for name in declared.names("Settings") if f"Settings/{name}" != id_))
        findings.error(
            "E69",
            "/metadata/name",
            f"{others} is declared too",
            "a repo has one Settings: its name is the instance, whose mark stands on everything",
            "remove one",
        )
        declared.settle(findings)
    return every
