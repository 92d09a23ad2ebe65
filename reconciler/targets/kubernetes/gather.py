"""One reading of a cluster: a LIST per kind, side by side, complete or an error.

What carries our ApplySet's label comes with the LIST of its kind, for the whole cluster. A wanted name that is not among it may still be
held by somebody, so it is looked for: by GET, or, where many of one kind are missing, by one LIST of names per namespace. Nothing of a
namespace that does not exist is looked for. In a pass without changes the requests are the pages of the LISTs and nothing else, and a page
that says what it said last time is not decoded again.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeVar

from reconciler.errors import TargetError
from reconciler.resource import Mark, ResourceKey
from reconciler.targets.kubernetes.address import Address, address_of, key_of
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.api.failures import KIND_MISSING
from reconciler.targets.kubernetes.inventory import PART_OF, ApplySet, Parent
from reconciler.targets.kubernetes.kinds import KINDS, MANAGER, path_of
from reconciler.targets.kubernetes.labels import ENDPOINT, INSTANCE, MANAGED_BY
from reconciler.targets.kubernetes.mark import mark_of
from reconciler.targets.kubernetes.memo import Pages
from reconciler.targets.kubernetes.settings import KEDA, LWS, PROMETHEUS_OPERATOR, KubernetesSettings
from reconciler.targets.kubernetes.shapes import EVENTS, PODS, SLICES, EndpointSlice, Event, Item, Pod, fingerprint, item, items, rows
from reconciler.targets.protocol import Claim

CUSTOM: Final[Mapping[str, str]] = {"LeaderWorkerSet": LWS, "ScaledObject": KEDA, "PodMonitor": PROMETHEUS_OPERATOR}
PAGE: Final = 1000  # objects of a page: the server answers from memory, so a page costs a round trip and little else
MOST_NAMESPACES: Final = 32  # requests for events of groups in one pass
FEW: Final = 8  # missing names of one kind and namespace up to which each is asked for by itself
NAMES_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
SERVICE_NAME: Final = "kubernetes.io/service-name"
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Found:
    """An object that is there. whole: False where only its metadata was asked for. What follows from it is computed once, and as long as
    its page stays the same, once for all passes."""

    key: ResourceKey
    item: Item
    whole: bool = True

    @cached_property
    def mark(self) -> Mark | None:
        return mark_of(self.item.meta.labels, self.item.meta.annotations)

    @cached_property
    def fingerprint(self) -> bytes:
        """Of all that we have an opinion on."""
        return fingerprint(self.item, MANAGER)

    @cached_property
    def version(self) -> str:
        """`<uid> <resourceVersion> <fingerprint>`: which object, in which state, and what of that state we have an opinion on."""
        return f"{self.item.meta.uid} {self.item.meta.resource_version} {self.fingerprint.hex()}"


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that was seen. pods: by (namespace, endpoint); slices: by (namespace, service). missing_kinds: CRDs that a capability
    promises and the cluster lacks. by_lists: all of it came with the LISTs, nothing was looked for beside them."""

    objects: Mapping[ResourceKey, Found]
    parent: Parent
    pods: Mapping[tuple[str, str], tuple[Pod, ...]]
    slices: Mapping[tuple[str, str], tuple[EndpointSlice, ...]]
    missing_kinds: tuple[str, ...] = ()
    by_lists: bool = False

    def members(self, claim: Claim, set_id: str) -> Iterator[ResourceKey]:
        """The keys of what carries our mark, and is of this set: another declaration of the same server has a set of its own."""
        for key, found in self.objects.items():
            mark = found.mark
            ours = mark is not None and (mark.instance, mark.repo) == (claim.instance, claim.repo)
            if ours and found.item.meta.labels.get(PART_OF) == set_id:
                yield key


def gather(client: KubeClient, applyset: ApplySet, wanted: Collection[ResourceKey], known: Pages, pool: Executor) -> Sight:
    """The reading. known: what the last one decoded. Raises TargetError: a LIST that failed, or stopped half-way, is an error and never a
    shorter list."""
    settings = applyset.settings
    kinds = [kind for kind, it in KINDS.items() if it.written and (not it.custom or settings.can(CUSTOM[kind]))]
    listed = {kind: pool.submit(_listed, client, applyset, kind, known) for kind in kinds}
    pods = pool.submit(_pods, client, known)
    slices = pool.submit(_slices, client, applyset, known)

    objects: dict[ResourceKey, Found] = {}
    absent: list[str] = []
    parent = Parent()
    for kind, future in listed.items():
        found = future.result()
        if found is None:
            absent.append(kind)
        for one in found or ():
            meta = one.item.meta
            if kind == "ConfigMap" and (meta.namespace, meta.name) == (settings.namespace, applyset.name):
                parent = applyset.parent_of(meta.annotations, meta.resource_version)
            else:
                objects[one.key] = one
    applyset.check(parent)
    for kind in _held(parent) - listed.keys():
        objects |= {one.key: one for one in _listed(client, applyset, kind, known) or ()}
    by_lists = not absent and all(key in objects for key in wanted)
    objects |= _looked_for(client, settings, objects, wanted, absent, pool)
    return Sight(objects, parent, pods.result(), slices.result(), tuple(absent), by_lists)


def _held(parent: Parent) -> frozenset[str]:
    """Kinds that have members, whatever the cluster's capabilities are now: what was made of a kind is still ours when nobody says any more
    that the cluster has it."""
    return parent.members.kinds & CUSTOM.keys() if parent.members is not None else frozenset()


def _place(kind: str, applyset: ApplySet) -> tuple[str, str]:
    """Path and selector of a kind's LIST. Namespaces are all listed: of those it is enough that they are there. Of ConfigMaps only the
    set's parent is ours, which is no member of its own set; those of others we have no right to see."""
    if kind == "Namespace":
        return path_of(kind), ""
    if kind == "ConfigMap":
        return path_of(kind, applyset.settings.namespace), f"{INSTANCE}={applyset.claim.instance}"
    return path_of(kind), f"{PART_OF}={applyset.id}"


def _listed(client: KubeClient, applyset: ApplySet, kind: str, known: Pages) -> list[Found] | None:
    """Every object of a kind; None where the cluster has no such kind, which only a CRD may lack."""
    settings = applyset.settings

    def found(page: bytes) -> Iterator[Found]:
        for one in items(page, f"the LIST of {kind}s"):
            yield Found(key_of(settings, kind, one.meta.namespace, one.meta.name), one)

    try:
        return known.decoded(kind, client.list_pages(*_place(kind, applyset), limit=PAGE), found)
    except TargetError as error:
        if KINDS[kind].custom and error.problem.code == KIND_MISSING:
            known.decoded(kind, (), found)  # what the last LIST said of it is no longer so
            return None
        raise


def _pages(pages: Iterator[bytes], decode: Callable[[bytes], Sequence[T]]) -> Iterator[T]:
    for page in pages:
        yield from decode(page)


def _pods(client: KubeClient, known: Pages) -> dict[tuple[str, str], tuple[Pod, ...]]:
    pages = client.list_pages(path_of("Pod"), f"{MANAGED_BY}=reconciler", limit=PAGE)
    return _grouped(known.decoded("Pod", pages, lambda page: rows(PODS, page, "the LIST of Pods")), ENDPOINT)


def _slices(client: KubeClient, applyset: ApplySet, known: Pages) -> dict[tuple[str, str], tuple[EndpointSlice, ...]]:
    """Slices carry their Service's labels, so that ours select them too."""
    pages = client.list_pages(path_of("EndpointSlice"), f"{PART_OF}={applyset.id}", limit=PAGE)
    return _grouped(known.decoded("EndpointSlice", pages, lambda page: rows(SLICES, page, "the LIST of EndpointSlices")), SERVICE_NAME)


Labelled = TypeVar("Labelled", Pod, EndpointSlice)


def _grouped(found: Iterable[Labelled], label: str) -> dict[tuple[str, str], tuple[Labelled, ...]]:
    groups: dict[tuple[str, str], list[Labelled]] = {}
    for one in found:
        groups.setdefault((one.metadata.namespace, one.metadata.labels.get(label, "")), []).append(one)
    return {place: tuple(group) for place, group in groups.items()}


def _looked_for(
    client: KubeClient,
    settings: KubernetesSettings,
    known: Mapping[ResourceKey, Found],
    wanted: Iterable[ResourceKey],
    absent: Sequence[str],
    pool: Executor,
) -> dict[ResourceKey, Found]:
    """What holds a wanted name without being of our set: somebody else's, or ours with its label stripped."""
    groups: dict[tuple[str, str], list[Address]] = {}
    for key in wanted:
        if key in known or key.kind in absent or key.kind == "Namespace":
            continue
        address = address_of(settings, key)
        if not address.namespace or _namespace_key(settings, address.namespace) in known:
            groups.setdefault((address.kind, address.namespace), []).append(address)
    asked = [
        pool.submit(_by_list if len(group) > FEW else _one_by_one, client, settings, kind, namespace, [one.name for one in group])
        for (kind, namespace), group in groups.items()
    ]
    return {found.key: found for future in asked for found in future.result()}


def _namespace_key(settings: KubernetesSettings, namespace: str) -> ResourceKey:
    return key_of(settings, "Namespace", "", namespace)


def _one_by_one(client: KubeClient, settings: KubernetesSettings, kind: str, namespace: str, names: Sequence[str]) -> list[Found]:
    found = []
    for name in names:
        if (body := client.find(path_of(kind, namespace, name))) is not None:
            found.append(Found(key_of(settings, kind, namespace, name), item(body, f"{kind} {namespace}/{name}")))
    return found


def _by_list(client: KubeClient, settings: KubernetesSettings, kind: str, namespace: str, names: Sequence[str]) -> list[Found]:
    """Names first; of the few that are there the whole object is asked for."""
    pages = client.list_pages(path_of(kind, namespace), limit=PAGE, accept=NAMES_ONLY)
    there = {one.meta.name for one in _pages(pages, lambda page: items(page, f"the LIST of {kind}s in {namespace}"))}
    return _one_by_one(client, settings, kind, namespace, sorted(there & set(names)))


def events_of(client: KubeClient, pods: Iterable[tuple[str, str]], pool: Executor) -> dict[str, tuple[Event, ...]]:
    """Warnings about these pods (namespace, uid), which tell why they fail. What cannot be had is left out: a message is never worth an
    error."""
    asked = {uid: pool.submit(_events, client, namespace, uid) for namespace, uid in pods}
    return {uid: future.result() for uid, future in asked.items()}


def refusals_of(client: KubeClient, groups: Collection[tuple[str, str, str]], pool: Executor) -> dict[str, tuple[Event, ...]]:
    """Why pods of these LeaderWorkerSets (namespace, name, uid) could not be made, by the set's uid. The controller makes StatefulSets of
    its name, `<set>` for leaders and `<set>-<group>` for workers, and what refuses pods is told about these."""
    namespaces = sorted({namespace for namespace, _, _ in groups})[:MOST_NAMESPACES]
    asked = {namespace: pool.submit(_warnings, client, namespace, "reason=FailedCreate,type=Warning") for namespace in namespaces}
    told = {namespace: future.result() for namespace, future in asked.items()}
    return {uid: tuple(one for one in told.get(namespace, ()) if _is_about(one, name)) for namespace, name, uid in groups}


def _is_about(event: Event, name: str) -> bool:
    about = event.involved_object
    if about.kind not in ("LeaderWorkerSet", "StatefulSet"):
        return False
    beginning, _, group = about.name.rpartition("-")
    return about.name == name or (beginning == name and group.isdecimal())


def _events(client: KubeClient, namespace: str, uid: str) -> tuple[Event, ...]:
    return _warnings(client, namespace, f"involvedObject.uid={uid},type=Warning")


def _warnings(client: KubeClient, namespace: str, fields: str) -> tuple[Event, ...]:
    try:
        pages = client.list_pages(path_of("Event", namespace), fields=fields, limit=PAGE)
        return tuple(_pages(pages, lambda page: rows(EVENTS, page, "the LIST of Events")))
    except TargetError:
        return ()
