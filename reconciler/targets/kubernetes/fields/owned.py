"""Would applying this manifest change anything? Decided here, from the live object and our own entry in its managedFields.

A forced server-side apply of a manifest by our manager changes nothing if our entry owns exactly the fields that the manifest has, and
every one of them has the manifest's value, in the manifest's order. Both halves are needed: another writer's change shows in the ownership
even after the value was put back, and a writer who uses our name shows only in the values. What cannot be decided without the schema
(a default inside a value that is owned as a whole, a zero that the server leaves out) is UNSURE: the server is asked once, by dry run.

The decision may be UNSURE too often. It is never NOOP where the server would change something: `tests/kubernetes/test_owned_real.py` lets
the server judge it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.resource import Json, Manifest, pointer
from reconciler.targets.kubernetes.fields.fieldset import Names, fields_of
from reconciler.targets.kubernetes.fields.fieldwalk import Decision, is_list, walk_names

if TYPE_CHECKING:
    from reconciler.targets.kubernetes.shapes import ManagedFields

APPLY: Final = "Apply"
GOING_AWAY: Final = "/metadata/deletionTimestamp"
OWNED_BY_NOBODY: Final = frozenset({"apiVersion", "kind"})  # identity and bookkeeping: in no manager's set (stripmeta.go)
STRIPPED: Final = frozenset(  # of metadata
    {"name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"}
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """path: JSON pointer into the manifest to the field that decided, "" for the whole object; why: in words. Both empty for NOOP."""

    decision: Decision
    path: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """What the live object says that our manager applied. fields: None where nothing counts as ours.

    doubt: why the entries, whatever we own, leave something for an apply to change; "" where they do not.
    """

    fields: Names | None = None
    doubt: str = ""


NOOP: Final = Verdict(Decision.NOOP)


def entry_of(entries: Iterable["ManagedFields"], manager: str, api_version: str) -> "ManagedFields | None":
    """Our entry, if there is exactly one of our name besides those of subresources, and it was applied at this apiVersion."""
    ours = [entry for entry in entries if entry.manager == manager and not entry.subresource]
    return ours[0] if len(ours) == 1 and ours[0].operation == APPLY and ours[0].api_version == api_version else None


def owned_by(entries: Iterable["ManagedFields"], manager: str, api_version: str) -> Owned:
    """What we own. A field set of another apiVersion counts for nothing: the next apply writes it anew."""
    entries = tuple(entries)
    ours = [entry for entry in entries if entry.manager == manager and not entry.subresource]
    applied = [entry for entry in ours if entry.operation == APPLY and entry.api_version == api_version]
    return Owned(fields_of(bytes(applied[0].fields_v1)) if len(applied) == 1 else None, _doubt(entries, len(ours) == 1))


def _doubt(entries: Sequence["ManagedFields"], alone: bool) -> str:
    if not alone:
        return "somebody else writes under our name"
    writers = {(entry.manager, entry.operation, entry.api_version, entry.subresource) for entry in entries}
    # a scale through the subresource by somebody who also writes the object: the server leaves two, and joins them at its next write
    return "" if len(writers) == len(entries) else "one writer has two entries, which an apply would join"


def verdict(wanted: Manifest, live: Mapping[str, Json], owned: Owned) -> Verdict:
    """Would a forced apply of `wanted` change `live`? wanted: the whole body as we apply it. live: the object that has its key."""
    metadata = live.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("deletionTimestamp"):
        return Verdict(Decision.DIFFERS, GOING_AWAY, "is on its way out")
    if owned.fields is None:
        return Verdict(Decision.DIFFERS, "", "was not applied by us")
    found = walk_names(body_of(wanted), live, owned.fields, is_typed(wanted))
    if found is not None:
        return Verdict(found.decision, pointer(found.path), found.why)
    return Verdict(Decision.UNSURE, "", owned.doubt) if owned.doubt else NOOP


def check(wanted: Manifest, live: Mapping[str, Json], entries: Iterable["ManagedFields"], manager: str) -> Verdict:
    """`verdict`, with the entries of the live object's managedFields."""
    return verdict(wanted, live, owned_by(entries, manager, str(wanted["apiVersion"])))


def unchanged(live: Mapping[str, Json], answer: Mapping[str, Json]) -> bool:
    """Does the answer to a dry run say that an apply would change nothing? Who owns what counts: an apply can restore no more than that.

    Status and the times in managedFields move by themselves; the versions only follow.
    """
    return _lasting(live) == _lasting(answer)


def _lasting(one: Mapping[str, Json]) -> dict[str, Json]:
    metadata = one.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    entries = metadata.get("managedFields", ())
    held: list[Json] = [
        {name: value for name, value in entry.items() if name != "time"}
        for entry in (entries if is_list(entries) else ())
        if isinstance(entry, Mapping) and entry.get("subresource") != "status"
    ]
    kept = {name: value for name, value in metadata.items() if name not in ("managedFields", "resourceVersion", "generation")}
    rest = {name: value for name, value in one.items() if name not in ("apiVersion", "kind", "metadata", "status")}
    return {**rest, "metadata": {**kept, "managedFields": held}}


def body_of(wanted: Manifest) -> dict[str, Json]:
    """What of a manifest is owned by who applies it."""
    body = {name: value for name, value in wanted.items() if name not in OWNED_BY_NOBODY}
    metadata = body.pop("metadata", None)
    kept = {name: value for name, value in metadata.items() if name not in STRIPPED} if isinstance(metadata, Mapping) else {}
    return {"metadata": kept, **body} if kept else body


def is_typed(wanted: Manifest) -> bool:
    """Is it a built-in kind with quantities? Those the server reads and writes out again; custom kinds it stores word by word."""
    group, slash, _ = str(wanted.get("apiVersion")).partition("/")
    return not slash or "." not in group
