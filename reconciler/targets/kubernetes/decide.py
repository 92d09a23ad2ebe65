"""What is live, said in the words of what is wanted: the manifest that the plan compares.

The decision "nothing to do" is made in process, from our entry in managedFields (owned.py). Only what cannot be decided so is asked of the
server, by a dry run, which writes nothing; and what was decided once is remembered by the fingerprint of the live object and the digest
of what is wanted, so that the next pass asks and computes nothing.

A field of ours that somebody in the server rewrites at every apply (a mutating webhook) would be a change for ever. It shows as: differs
although nothing new was declared, and a dry run of our apply changes nothing. That is told in a note and not fought.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

import msgspec

from reconciler.errors import TargetError
from reconciler.resource import Json, LiveResource, Manifest, Observation, Resource, ResourceKey
from reconciler.targets.kubernetes.address import address_of
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.body import encoded
from reconciler.targets.kubernetes.fields.authors import additions, writers
from reconciler.targets.kubernetes.fields.fieldwalk import Decision
from reconciler.targets.kubernetes.fields.owned import check, owned_by, unchanged
from reconciler.targets.kubernetes.fields.projection import live_view
from reconciler.targets.kubernetes.gather import Found
from reconciler.targets.kubernetes.inventory import ApplySet
from reconciler.targets.kubernetes.kinds import HANDOVER_MANAGER, KINDS, MANAGER, path_of
from reconciler.targets.kubernetes.labels import APPLYSET_PART_OF, DIGEST
from reconciler.targets.kubernetes.mark import marked, unmarked
from reconciler.targets.kubernetes.memo import Memo, Pages
from reconciler.targets.kubernetes.shapes import EndpointSlice, Item, Pod

# Write what is theirs, or what we hand over to an autoscaler.
QUIET: Final = frozenset({MANAGER, HANDOVER_MANAGER, "kube-controller-manager", "kube-scheduler", "kubelet", "keda-operator", "lws"})

REWRITES: Final = 600.0  # seconds until the server is asked again whether it still rewrites a field: the webhook may be gone


class Same(Enum):
    """How the live object stands to what we want."""

    EQUAL = auto()
    DIFFERENT = auto()
    REWRITTEN = auto()  # different, and the server keeps it so


@dataclass(slots=True)
class Verified:
    """What was found equal before: key -> (fingerprint of the live object, digest of what was wanted, when the server was found to rewrite
    it, 0.0 where it does not). And what this process made before: pages, told, live."""

    known: dict[ResourceKey, tuple[bytes, str, float]] = field(default_factory=dict)
    changed: bool = False
    pages: Pages = field(default_factory=Pages)
    told: Memo[tuple[Found, Resource], "Told"] = field(default_factory=Memo)
    live: Memo["Seen", LiveResource] = field(default_factory=Memo)
    settled: "Settled | None" = None

    def same(self, key: ResourceKey, live: bytes, wanted: str, now: float) -> Same | None:
        when = self._when(key, live, wanted)
        if not when:
            return None if when is None else Same.EQUAL
        return Same.REWRITTEN if 0 <= now - when < REWRITES else None

    def remember(self, key: ResourceKey, live: bytes, wanted: str, same: Same, now: float) -> None:
        self.known[key] = (live, wanted, now if same is Same.REWRITTEN else 0.0)
        self.changed = True

    def rewrote(self, key: ResourceKey, live: bytes, wanted: str) -> bool:
        """Was it found to be rewritten, however long ago?"""
        return bool(self._when(key, live, wanted))

    def _when(self, key: ResourceKey, live: bytes, wanted: str) -> float | None:
        """When this pair was found to be rewritten, 0.0 where it was found equal; None where it was not compared."""
        found = self.known.get(key)
        return found[2] if found is not None and found[:2] == (live, wanted) else None

    @property
    def rewritten(self) -> bool:
        """Is anything rewritten by the server? That may end without a trace in the object."""
        return any(when for _, _, when in self.known.values())

    def keep(self, keys: Iterable[ResourceKey]) -> None:
        """Forget everything else that was compared."""
        gone = self.known.keys() - set(keys)
        for key in gone:
            del self.known[key]
        self.told.keep(keys)
        self.changed = self.changed or bool(gone)


@dataclass(frozen=True, slots=True)
class Told:
    """The live manifest in the words of the wanted one, who wrote what differs, and what a person should know."""

    manifest: Manifest
    writers: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """An object with everything that is looked at beside it, but for the clock and events."""

    found: Found
    told: Told
    pods: tuple[Pod, ...] = ()
    slices: tuple[EndpointSlice, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """A whole reading in which nothing was left to the clock, to events, or to an answer of the server beside its LISTs."""

    pages: object
    wanted: Mapping[ResourceKey, Resource]
    observation: Observation

    def still(self, pages: object, wanted: Mapping[ResourceKey, Resource]) -> bool:
        return self.pages is pages and self.wanted == wanted


class Decider:
    """One pass's comparisons at one cluster. asked: was one of them not decided before?"""

    def __init__(self, client: KubeClient, applyset: ApplySet, verified: Verified, pool: Executor, now: float) -> None:
        self._client, self._applyset, self._verified, self._pool, self._now = client, applyset, verified, pool, now
        self.asked = False

    def tell(self, wanted: Mapping[ResourceKey, Resource], found: Mapping[ResourceKey, Found]) -> dict[ResourceKey, Told]:
        """For every wanted resource that is there, whoever has it."""
        here = {key: (wanted[key], found[key]) for key in wanted if key in found}
        known = {key: self._known(*pair) for key, pair in here.items()}
        open_questions = {key: here[key] for key, told in known.items() if told is None}
        self.asked = bool(open_questions)
        decided = self._pool.map(lambda pair: self._decide(*pair), open_questions.values())
        return {key: told for key, told in known.items() if told} | dict(zip(open_questions, decided, strict=True))

    def body(self, resource: Resource) -> dict[str, Json]:
        """What is applied: the manifest with our mark."""
        claim = self._applyset.claim
        return marked(resource.manifest, resource.mark(claim.instance, claim.repo), self._applyset.id)

    def _known(self, resource: Resource, found: Found) -> Told | None:
        """What was decided before; None for what was never equal, or is not any more."""
        if (told := self._verified.told.recall(resource.key, (found, resource))) is not None:
            return told
        same = self._verified.same(resource.key, found.fingerprint, self._name(resource), self._now) if found.whole else None
        if same is None:
            return None
        if same is Same.REWRITTEN:
            return self._as_wanted(resource, found, same)
        return self._verified.told.remember(resource.key, (found, resource), self._as_wanted(resource, found, same))

    def _name(self, resource: Resource) -> str:
        claim = self._applyset.claim
        return f"{resource.digest} {resource.owner} {resource.protect} {claim.instance} {claim.repo} {self._applyset.id}"

    def _decide(self, resource: Resource, found: Found) -> Told:
        body = self.body(resource)
        document = whole_of(found)
        same = self._same(resource, found, body, document)
        if same is Same.DIFFERENT:
            return _differing(resource, found, body, document)
        self._verified.remember(resource.key, found.fingerprint, self._name(resource), same, self._now)
        return self._as_wanted(resource, found, same, document)

    def _same(self, resource: Resource, found: Found, body: Mapping[str, Json], document: Mapping[str, Json]) -> Same:
        decision = check(body, document, found.item.meta.managed_fields, MANAGER).decision
        if decision is Decision.NOOP:
            return Same.EQUAL
        claim = self._applyset.claim
        declared = found.mark != resource.mark(claim.instance, claim.repo)
        if found.item.meta.deletion_timestamp or (decision is Decision.DIFFERS and declared):
            return Same.DIFFERENT
        stays = self._would_stay(resource, found, body, document)
        if stays is None:  # a server in trouble makes no drift of what it is known to rewrite; else what cannot be asked is a change
            stays = self._verified.rewrote(resource.key, found.fingerprint, self._name(resource))
        if not stays:
            return Same.DIFFERENT
        return Same.EQUAL if decision is Decision.UNSURE else Same.REWRITTEN

    def _would_stay(self, resource: Resource, found: Found, body: Mapping[str, Json], document: Mapping[str, Json]) -> bool | None:
        """Ask the server: would our apply leave the object as it is? None where it cannot be asked."""
        address = address_of(self._applyset.settings, resource.key)
        mine = {**body, "metadata": {**_mapping(body["metadata"]), "uid": found.item.meta.uid}}
        path = path_of(address.kind, address.namespace, address.name)
        try:
            answer = self._client.patch_apply(path, encoded(mine), manager=MANAGER, force=True, dry_run=True)
        except TargetError:
            return None
        return unchanged(document, msgspec.json.decode(answer.body))

    def _as_wanted(self, resource: Resource, found: Found, same: Same, document: Mapping[str, Json] | None = None) -> Told:
        notes = []
        if same is Same.REWRITTEN:
            notes.append(f"{resource.key}: something in the cluster (an admission webhook or policy) rewrites a field of it; not fought")
        if _has_others(found.item):
            notes += _others(resource, found, document or whole_of(found))
        return Told(resource.manifest, notes=tuple(notes))


def as_applied(found: Found) -> Manifest:
    """What we last applied of an object that nobody wants now, as it is."""
    kind, meta = KINDS[found.key.kind], found.item.meta
    identity: dict[str, Json] = {"name": meta.name, **({"namespace": meta.namespace} if meta.namespace else {})}
    nothing: dict[str, Json] = {"apiVersion": kind.api_version, "kind": found.key.kind, "metadata": identity}
    return unmarked(live_view(nothing, whole_of(found), owned_by(meta.managed_fields, MANAGER, kind.api_version)))


def whole_of(found: Found) -> dict[str, Json]:
    """The live object as a value."""
    value: dict[str, Json] = msgspec.json.decode(found.item.whole())
    return value


def _differing(resource: Resource, found: Found, body: Mapping[str, Json], document: Mapping[str, Json]) -> Told:
    entries = found.item.meta.managed_fields
    view = live_view(body, document, owned_by(entries, MANAGER, KINDS[resource.key.kind].api_version))
    written = {pointer: str(who) for pointer, who in writers(body, view, entries, MANAGER).items()}
    shown = unmarked(view)
    if shown == resource.manifest and (torn := _torn(body, view)):
        shown = {**shown, "mark": {"not as written": torn}}
    return Told(shown, written, tuple(_others(resource, found, document)))


def _torn(body: Mapping[str, Json], view: Mapping[str, Json]) -> list[Json]:
    """What of our mark somebody changed although the rest is as it was. Without the set's label the object would be lost to us."""
    pairs = (("labels", APPLYSET_PART_OF), ("annotations", DIGEST))
    wanted, live = _mapping(body["metadata"]), _mapping(view.get("metadata"))
    return [name for place, name in pairs if _mapping(wanted[place]).get(name) != _mapping(live.get(place)).get(name)]


def _has_others(one: Item) -> bool:
    """A quick look: does anybody else but us and the cluster's own controllers hold fields beside status?"""
    return any(entry.manager not in QUIET and entry.subresource != "status" for entry in one.meta.managed_fields)


def _others(resource: Resource, found: Found, document: Mapping[str, Json]) -> list[str]:
    said = additions(document, found.item.meta.managed_fields, MANAGER, QUIET)
    return [f"{resource.key}: {pointer} was set by {who}; it is not declared, and left as it is" for pointer, who in said]


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
