"""Who is declared, by kind and name, and who is broken: what refers to somebody broken is blocked with that cause, not with E67."""

from collections.abc import Mapping
from typing import TypeVar, cast

from reconciler.compile.findings import Findings, did_you_mean, listed, spoken
from reconciler.compile.source import Declaration, Snapshot
from reconciler.errors import Problem

Spec = TypeVar("Spec")


class Declared:
    """An index over a snapshot. `broken` grows while compile finds more: targets first, then engines, then what refers to them."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.broken: dict[str, tuple[Problem, ...]] = dict(snapshot.blocked)
        self._all: Mapping[str, Declaration[object]] = {id_: snapshot.declarations[id_] for id_ in sorted(snapshot.declarations)}
        self._names: dict[str, set[str]] = {}
        unread = sorted({problem.where.rpartition(":")[0] or problem.where for problem in snapshot.unknown})
        self._unread = f"; what stands in {listed(unread)} is not known" if unread else ""
        for id_ in (*self._all, *self.broken):
            kind, _, name = id_.partition("/")
            self._names.setdefault(kind, set()).add(name)

    def of(self, spec: type[Spec]) -> list[Declaration[Spec]]:
        """The valid declarations of a kind, in order of their ids."""
        return [cast("Declaration[Spec]", found) for found in self._all.values() if isinstance(found.spec, spec)]

    def names(self, kind: str) -> set[str]:
        """Names (`team-a/chat` in a workspace) of a kind, broken ones too."""
        return self._names.get(kind, set())

    def find(self, kind: str, name: str) -> Declaration[object] | None:
        """A declaration that is valid and not broken, or None."""
        id_ = f"{kind}/{name}"
        return None if id_ in self.broken else self._all.get(id_)

    def refer(self, findings: Findings, spec: type[Spec], kind: str, name: str, pointer: str) -> Declaration[Spec] | None:
        """What `findings.declaration` refers to at `pointer`; None after saying why not (E67, or the cause of its being broken)."""
        id_ = f"{kind}/{name}"
        if id_ in self.broken:
            findings.blame(kind, name, self.broken[id_], pointer)
            return None
        found = self._all.get(id_)
        if found is None or not isinstance(found.spec, spec):
            known = self.names(kind)
            todo = did_you_mean(name, known, "correct the name, or declare it")
            findings.error("E67", pointer, f"{spoken(kind)} '{name}' is not declared", f"declared are {listed(known)}{self._unread}", todo)
            return None
        return cast("Declaration[Spec]", found)

    def workspace(self, findings: Findings) -> None:
        """Every workspace but `default` must be declared."""
        name = findings.declaration.workspace
        if name in ("", "default"):
            return
        if f"Workspace/{name}" in self.broken:
            findings.blame("Workspace", name, self.broken[f"Workspace/{name}"], "/metadata/workspace")
        elif f"Workspace/{name}" not in self._all:
            known = {*self.names("Workspace"), "default"}
            todo = did_you_mean(name, known, "correct the name, or declare it")
            findings.error(
                "E67", "/metadata/workspace", f"workspace '{name}' is not declared", f"declared are {listed(known)}{self._unread}", todo
            )

    def settle(self, findings: Findings) -> None:
        """Whoever refers to this one from now on learns that it is broken."""
        if findings.broken:
            self.broken[findings.declaration.id] = findings.errors
