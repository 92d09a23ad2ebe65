"""A reading as the pass sees it: every member of ours, and whoever else holds a wanted name, each as a LiveResource.

A workload brings its replicas, their reasons and their addresses; everything else is there or not. Kinds that are never deleted unless
somebody asks (a Namespace; a claim, which holds models) are shown only where they are wanted, and, when somebody asked, once nothing of
ours needs them any more: guards and protection are about endpoints, and know nothing of what endpoints stand on. What carries our labels
without ever having been written by us (a copy, a restored backup) is kept.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from concurrent.futures import Executor
from dataclasses import replace
from typing import Final

import msgspec

from reconciler.errors import Problem
from reconciler.resource import BY, LiveResource, Observation, Resource, ResourceKey, Serving
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.api.failures import KIND_MISSING
from reconciler.targets.kubernetes.decide import Decider, Seen, Settled, Told, Verified, as_applied
from reconciler.targets.kubernetes.fields.authors import last_writer
from reconciler.targets.kubernetes.gather import CUSTOM, Found, Sight, events_of, gather, refusals_of
from reconciler.targets.kubernetes.health.serving import addresses_of, lacks_pods, needs_events, serving_of
from reconciler.targets.kubernetes.inventory import PART_OF, ApplySet
from reconciler.targets.kubernetes.kinds import MANAGER
from reconciler.targets.kubernetes.labels import MANAGED_BY, OWNER_NAME
from reconciler.targets.kubernetes.mark import lost
from reconciler.targets.kubernetes.shapes import EndpointSlice, Event, Pod, deployment, leader_worker_set

PORT: Final = "http"  # name of the Service's port that routes use
ASKED: Final = "reconciler.dev/prune"  # annotation: "enabled" lets a kept kind go, "disabled" keeps anything
KEPT_KINDS: Final = frozenset({"Namespace", "PersistentVolumeClaim"})
KEEPING: Final[Mapping[str, frozenset[str]]] = {  # annotations, ours and others', that say "never delete this"
    ASKED: frozenset({"disabled"}),
    "helm.sh/resource-policy": frozenset({"keep"}),
    "argocd.argoproj.io/sync-options": frozenset({"Prune=false"}),
    "cli-utils.sigs.k8s.io/on-remove": frozenset({"keep"}),
    "client.lifecycle.config.k8s.io/deletion": frozenset({"detach"}),
}
GROUP: Final = "leaderworkerset.sigs.k8s.io/name"
WORKLOADS: Final = frozenset({"Deployment", "LeaderWorkerSet"})


def read(
    client: KubeClient, applyset: ApplySet, wanted: Mapping[ResourceKey, Resource], verified: Verified, pool: Executor, now: float
) -> tuple[Observation, Sight]:
    """The observation, and the sight that the writer goes on from: the observation of before, where nothing that it was made of has moved.
    Raises TargetError."""
    sight = gather(client, applyset, wanted, verified.pages, pool)
    if sight.by_lists and verified.settled is not None and verified.settled.still(verified.pages.state, wanted):
        return verified.settled.observation, sight
    decider = Decider(client, applyset, verified, pool, now)
    told = decider.tell(wanted, sight.objects)
    verified.keep(wanted)
    seen, notes, lingers = _shown(applyset, wanted, sight, told)
    live = _live(client, verified, seen, sight, pool, now)
    for key, one in live.items():
        if one.mark is None and key in wanted and _written_by_us(seen[key].found):
            live[key] = replace(one, lost=_lost(seen[key].found, wanted[key], applyset))
        elif one.mark is None or one.mark.instance != applyset.claim.instance:
            live[key] = replace(one, holder=_holder(seen[key].found))
        elif _of_another_set(seen[key].found, applyset):
            live[key] = replace(one, mark=replace(one.mark, digest=""))  # what was declared of it was declared there
    observation = Observation(applyset.settings.name, live, problems=_lacking(sight, wanted), notes=notes, lingers=lingers)
    same_again = sight.by_lists and not decider.asked and not verified.rewritten and all(map(_settled, live.values()))
    verified.settled = Settled(verified.pages.state, dict(wanted), observation) if same_again else None
    return observation, sight


def _shown(
    applyset: ApplySet, wanted: Mapping[ResourceKey, Resource], sight: Sight, told: Mapping[ResourceKey, Told]
) -> tuple[dict[ResourceKey, Seen], tuple[str, ...], bool]:
    """Members, and what holds a wanted name; what a person should know of them; and whether something goes once nothing needs it."""
    ours, set_id = applyset.claim.instance, applyset.id
    members = (
        key
        for key, found in sight.objects.items()
        if found.mark and found.mark.instance == ours and found.item.meta.labels.get(PART_OF) == set_id
    )
    shown = {*members, *(wanted.keys() & sight.objects.keys())}  # all namespaces are listed: those of another set are not ours
    seen: dict[ResourceKey, Seen] = {}
    notes: list[str] = []
    lingers = False
    inhabited = _inhabited(shown, sight)
    for key, found in sight.objects.items():
        if key not in shown:
            continue
        if key not in wanted and key.kind in KEPT_KINDS:
            needed = found.item.meta.name in inhabited if key.kind == "Namespace" else _is_mounted(found, sight)
            if needed or not _is_asked(found):
                notes += _staying(found, needed)
                lingers = lingers or _is_asked(found)
                continue
        seen[key] = _seen(found, told.get(key) or Told(as_applied(found)), sight)
        notes += seen[key].told.notes
        if found.item.meta.deletion_timestamp is not None:
            notes.append(f"{key} is being deleted by the cluster")
    return seen, tuple(notes), lingers


def _inhabited(shown: Set[ResourceKey], sight: Sight) -> Set[str]:
    """Namespaces in which something of ours is, a claim or a pod that still ends too."""
    held = (sight.objects[key].item.meta.namespace for key in shown if key.kind != "Namespace")
    return {*held, *(namespace for namespace, endpoint in sight.pods if endpoint)}


def _is_mounted(claim: Found, sight: Sight) -> bool:
    """By a workload that lives, declared or blocked: its next pod would not start. The same name elsewhere in it counts, too."""
    meta = claim.item.meta
    name = msgspec.json.encode(meta.name)
    beside = (one.item for key, one in sight.objects.items() if key.kind in WORKLOADS and one.item.meta.namespace == meta.namespace)
    return any(name in one.whole() for one in beside)


def _is_asked(found: Found) -> bool:
    return found.item.meta.annotations.get(ASKED) == "enabled"


def _staying(found: Found, needed: bool) -> Iterator[str]:
    """What a person should know of one that nobody declares, and that stays."""
    if _is_asked(found):
        yield f"{found.key} is not declared any more: it goes, as its annotation {ASKED} asks, when nothing of ours needs it"
    elif found.key.kind != "Namespace" or not needed:  # what is blocked by a mistake lives on in it
        yield f"{found.key} is not declared any more and stays: annotate it {ASKED}=enabled to have it deleted"


def _live(
    client: KubeClient, verified: Verified, seen: Mapping[ResourceKey, Seen], sight: Sight, pool: Executor, now: float
) -> dict[ResourceKey, LiveResource]:
    """Each as a LiveResource: the one of the last pass, where nothing that it was made of has changed and time changes nothing either."""
    known = {key: verified.live.recall(key, one) for key, one in seen.items()}
    settled = {pod.metadata.uid for key, one in seen.items() if known[key] for pod in one.pods}
    events = events_of(client, _puzzling(seen, settled, now), pool)
    events |= refusals_of(client, [one for key, one in _short_groups(seen) if known[key] is None], pool)
    live = {key: known[key] or live_of(one, events, now) for key, one in seen.items()}
    for key, one in live.items():
        if known[key] is None and _settled(one):
            verified.live.remember(key, seen[key], one)
    verified.live.keep(live)
    return live


def _seen(found: Found, told: Told, sight: Sight) -> Seen:
    if found.key.kind not in WORKLOADS:
        return Seen(found, told)
    meta = found.item.meta
    place = meta.namespace, meta.labels.get(OWNER_NAME, meta.name)
    return Seen(found, told, sight.pods.get(place, ()), sight.slices.get(place, ()))


def _settled(live: LiveResource) -> bool:
    """Nothing of it depends on the clock or on events: all replicas are there and serve, or it has none."""
    facts = live.serving
    if facts is None:
        return True
    return facts.ready == facts.desired == len(facts.replicas) and not (facts.rollout or facts.deleting)


def live_of(seen: Seen, events: Mapping[str, tuple[Event, ...]], now: float) -> LiveResource:
    found, told, meta = seen.found, seen.told, seen.found.item.meta
    facts = _serving(seen, events, now) if found.key.kind in WORKLOADS else None
    return LiveResource(
        key=found.key,
        manifest=told.manifest,
        mark=found.mark,
        version=found.version,
        addresses=_addresses(seen) if facts else (),
        serving=facts,
        message=facts.message if facts else "",
        writers=told.writers,
        kept=_kept(found),
        leaving=meta.deletion_timestamp is not None,
        identity=meta.uid,
    )


def _serving(seen: Seen, events: Mapping[str, tuple[Event, ...]], now: float) -> Serving:
    found, kind = seen.found.item, seen.found.key.kind
    workload = deployment(found) if kind == "Deployment" else leader_worker_set(found)
    return serving_of(workload, _of_kind(seen.pods, kind), events, now)


def _addresses(seen: Seen) -> tuple[str, ...]:
    """Of the ready replicas of this workload. While a Deployment and a group follow each other, their Service has the pods of both."""
    others = {pod.metadata.uid for pod in seen.pods} - {pod.metadata.uid for pod in _of_kind(seen.pods, seen.found.key.kind)}
    return addresses_of((_without(one, others) for one in seen.slices) if others else seen.slices, PORT)


def _of_kind(pods: Iterable[Pod], kind: str) -> tuple[Pod, ...]:
    """Those of a Deployment, or those of a LeaderWorkerSet, whose controller labels them."""
    grouped = kind == "LeaderWorkerSet"
    return tuple(pod for pod in pods if (GROUP in pod.metadata.labels) is grouped)


def _without(found: EndpointSlice, pods: Set[str]) -> EndpointSlice:
    left = tuple(one for one in found.endpoints or () if one.target_ref is None or one.target_ref.uid not in pods)
    return msgspec.structs.replace(found, endpoints=left)


def _kept(found: Found) -> str:
    """Why it is never deleted, or ""."""
    meta = found.item.meta
    if found.key.kind in KEPT_KINDS and not _is_asked(found):
        return f"a {found.key.kind} is never deleted unless it is annotated {ASKED}=enabled"
    for name, values in KEEPING.items():
        if name in meta.annotations and set(meta.annotations[name].split(",")) & values:
            return f"its annotation {name}={meta.annotations[name]} says to keep it"
    if any(owner.controller for owner in meta.owner_references):
        return f"{meta.owner_references[0].kind} {meta.owner_references[0].name} owns it, although it carries our labels"
    if not _written_by_us(found):
        return "it carries our labels and was never written by us (a copy, or restored from a backup): delete it by hand"
    return ""


def _written_by_us(found: Found) -> bool:
    return any(entry.manager == MANAGER and entry.operation == "Apply" for entry in found.item.meta.managed_fields)


def _of_another_set(found: Found, applyset: ApplySet) -> bool:
    """Ours by another name of this cluster, or from another namespace of our own (`kubernetes.namespace`)."""
    return found.item.meta.labels.get(PART_OF, applyset.id) != applyset.id


def _lost(found: Found, wanted: Resource, applyset: ApplySet) -> str:
    """How it is given back. Nothing less: who takes a mark away may mean it."""
    meta, claim = found.item.meta, applyset.claim
    labels = lost(meta.labels, wanted.mark(claim.instance, claim.repo))
    inside = f" -n {meta.namespace}" if meta.namespace else ""
    words = " ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    command = f"kubectl label{inside} {found.key.kind.lower()} {meta.name} --overwrite {words}"
    return f"we wrote it, and somebody took our labels off. To have it managed again: {command}"


def _short_groups(seen: Mapping[ResourceKey, Seen]) -> Iterator[tuple[ResourceKey, tuple[str, str, str]]]:
    """LeaderWorkerSets that lack pods, each with its namespace, name and uid."""
    for key, one in seen.items():
        if key.kind == "LeaderWorkerSet" and lacks_pods(leader_worker_set(one.found.item), _of_kind(one.pods, key.kind)):
            meta = one.found.item.meta
            yield key, (meta.namespace, meta.name, meta.uid)


def _holder(found: Found) -> str:
    """Of somebody else's object: the place that kubectl finds it at, and who wrote it last."""
    meta = found.item.meta
    who = [f"managed by {meta.labels[MANAGED_BY]}"] if meta.labels.get(MANAGED_BY, BY) != BY else []
    if (author := last_writer(meta.managed_fields)) is not None:
        who.append(f"last written by {author}")
    inside = f" in namespace {meta.namespace}" if meta.namespace else ""
    return ", ".join((f"{found.key.kind} {meta.name}{inside}", *who))


def _puzzling(seen: Mapping[ResourceKey, Seen], settled: Set[str], now: float) -> Iterable[tuple[str, str]]:
    """(namespace, uid) of our pods whose reason stands in events only. settled: uids of those of which all is known."""
    pods = {pod.metadata.uid: pod for one in seen.values() for pod in one.pods if pod.metadata.uid not in settled}
    return [(pods[uid].metadata.namespace, uid) for uid in needs_events(pods.values(), now)]


def _lacking(sight: Sight, wanted: Mapping[ResourceKey, Resource]) -> tuple[Problem, ...]:
    """Declared capabilities whose kinds the cluster does not have: each blocks the endpoints that need it."""
    return tuple(
        Problem(
            KIND_MISSING,
            f"the cluster has no {resource.key.kind}",
            f"it declares the capability {CUSTOM[resource.key.kind]}, and the CRD is not installed",
            f"install it, or take {CUSTOM[resource.key.kind]} out of the cluster's capabilities",
            where=resource.source,
            owner=resource.owner,
        )
        for resource in wanted.values()
        if resource.key.kind in sight.missing_kinds
    )
