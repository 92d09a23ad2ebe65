"""Whose document is it? As soon as kind, workspace and name can be read, a mistake blocks this declaration and no other."""

from collections.abc import Mapping

from reconciler.repo.scalars import Value
from reconciler.repo.yaml_faults import Mark
from reconciler.schema.base import API_VERSION, GROUP
from reconciler.schema.explain import Refusal, later, nearest, some, unknown
from reconciler.schema.kinds import KINDS, LATER_KINDS, SCOPES, Scope, declaration_id
from reconciler.schema.metadata import NAME


def identity_of(value: Value) -> str | None:
    """The id of a declaration, as soon as its kind, name and workspace are readable; else None."""
    if not isinstance(value, dict):
        return None
    kind, metadata = value.get("kind"), value.get("metadata", {})
    if not isinstance(kind, str) or kind not in SCOPES or not isinstance(metadata, dict) or not _meant_for_us(value.get("apiVersion", "")):
        return None
    name = metadata.get("name", "default" if kind == "Settings" else None)
    return _id(kind, metadata.get("workspace"), name)


def _meant_for_us(version: Value) -> bool:
    """Ours, ours with a typing mistake, or none: other groups have kinds of the same names (Gateway, Cluster)."""
    return version == "" or (isinstance(version, str) and (version.split("/")[0] == GROUP or bool(nearest(version, [API_VERSION]))))


def _id(kind: str, workspace: Value, name: Value) -> str | None:
    if SCOPES[kind] is Scope.GLOBAL:
        workspace = None
    elif SCOPES[kind] is Scope.WORKSPACE and workspace is None:
        workspace = "default"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return None
    if workspace is not None and not (isinstance(workspace, str) and NAME.fullmatch(workspace)):
        return None
    return declaration_id(kind, workspace or "", name)


def identity_of_marks(marks: Mapping[str, Mark]) -> str | None:
    """The identity of a document that breaks off later: only once its metadata is closed by a further key."""
    top = [pointer for pointer in marks if pointer.count("/") == 1]
    if "/metadata" not in top or top[-1] == "/metadata" or "/kind" not in marks or "/apiVersion" not in marks:
        return None
    kind = marks["/kind"].text
    workspace, name = marks.get("/metadata/workspace"), marks.get("/metadata/name")
    if kind not in SCOPES or name is None or marks["/apiVersion"].text != API_VERSION:
        return None
    return _id(kind, workspace.text if workspace else None, name.text)


def could_be_ours(value: Value) -> bool:
    """Could it be a declaration, as far as anybody can see?"""
    if not isinstance(value, dict):
        return False
    if "apiVersion" in value:
        return _meant_for_us(value["apiVersion"])
    return bool(nearest(str(value.get("kind", "")), SCOPES))


def heading(value: Mapping[str, Value]) -> list[Refusal]:
    """What is wrong with apiVersion and kind."""
    version, kind = value.get("apiVersion"), value.get("kind")
    refusals = []
    if version is None:
        refusals.append(
            Refusal(
                ("apiVersion",),
                "E77",
                "no apiVersion",
                "every YAML document outside hidden folders is a declaration",
                f"add apiVersion: {API_VERSION}, or move it",
            )
        )
    elif version != API_VERSION:
        todo = f"write {API_VERSION}" if nearest(str(version), [API_VERSION]) else "move it into a hidden folder, or out of the repo"
        refusals.append(
            Refusal(("apiVersion",), "E77", f"apiVersion '{str(version)[:60]}' is not ours", f"declarations here are {API_VERSION}", todo)
        )
    elif kind is None:
        refusals.append(Refusal(("kind",), "E76", "'kind' is missing", f"known are {some(KINDS)}", "add it"))
    elif isinstance(kind, str) and kind in LATER_KINDS:
        refusals.append(later(LATER_KINDS[kind], ("kind",)))
    elif not isinstance(kind, str) or kind not in KINDS:
        refusals.append(unknown("kind", str(kind), SCOPES, ("kind",)))
    return refusals


def subject_of(id_: str | None) -> str:
    return f"{id_[0].lower()}{id_[1:].replace('/', ' ', 1)}" if id_ else ""
