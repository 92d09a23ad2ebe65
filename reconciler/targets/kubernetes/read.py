"""A reading as the pass sees it: every member of ours, and whoever else holds a wanted name, each as a LiveResource.

A workload brings its replicas, their reasons and their addresses; everything else is there or not. Kinds that are never deleted unless
somebody asks (a Namespace; a claim, which holds models) are shown only where they are wanted. What carries our labels without ever having
been written by us (a copy, a restored backup) is kept.
"""

from collections.abc import Iterable, Mapping, Set
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

import msgspec

from reconciler.errors import Problem
from reconciler.resource import LiveResource, Mark, Observation, Resource, ResourceKey, Serving
from reconciler.targets.kubernetes.client import KubeClient
from reconciler.targets.kubernetes.decide import Decider, Told, Verified, as_applied
from reconciler.targets.kubernetes.failures import KIND_MISSING
from reconciler.targets.kubernetes.gather import CUSTOM, Found, Sight, events_of, gather
from reconciler.targets.kubernetes.health import addresses_of, needs_events, serving_of
from reconciler.targets.kubernetes.inventory import PART_OF, ApplySet
from reconciler.targets.kubernetes.kinds import MANAGER
from reconciler.targets.kubernetes.labels import OWNER_NAME
from reconciler.targets.kubernetes.mark import mark_of
from reconciler.targets.kubernetes.shapes import EndpointSlice, Event, Pod, deployment, fingerprint, leader_worker_set

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
    """The observation, and the sight that the writer goes on from. Raises TargetError."""
    sight = gather(client, applyset, wanted, pool)
    marks = {key: mark_of(found.item.meta.labels, found.item.meta.annotations) for key, found in sight.objects.items()}
    ours, set_id = applyset.claim.instance, applyset.id
    members = (
        key for key, mark in marks.items() if mark and mark.instance == ours and sight.objects[key].item.meta.labels.get(PART_OF) == set_id
    )
    shown = {*members, *(wanted.keys() & sight.objects.keys())}  # all namespaces are listed: those of another set are not ours
    prints = {key: fingerprint(sight.objects[key].item, MANAGER) for key in shown}
    told = Decider(client, applyset, verified, pool).tell(wanted, sight.objects, prints)
    verified.keep(wanted)
    events = events_of(client, _puzzling(sight, now), pool)
    live: dict[ResourceKey, LiveResource] = {}
    notes: list[str] = []
    lived_in = {key.namespace for key in shown if key.kind not in KEPT_KINDS}
    for key in sorted(shown):
        found = sight.objects[key]
        if key not in wanted and key.kind in KEPT_KINDS and found.item.meta.annotations.get(ASKED) != "enabled":
            if key.kind != "Namespace" or key.namespace not in lived_in:  # what is blocked by a mistake lives on in it
                notes.append(f"{key} is not declared any more and stays: annotate it {ASKED}=enabled to have it deleted")
            continue
        seen = Seen(found, marks[key], version_of(found, prints[key]))
        live[key] = live_of(seen, told.get(key) or Told(as_applied(found)), sight, events, now)
        notes += told[key].notes if key in told else ()
        if live[key].leaving:
            notes.append(f"{key} is being deleted by the cluster")
    return Observation(applyset.settings.name, live, problems=_lacking(sight, wanted), notes=tuple(notes)), sight


@dataclass(frozen=True, slots=True)
class Seen:
    """An object with what was computed of it once."""

    found: Found
    mark: Mark | None
    version: str


def live_of(seen: Seen, told: Told, sight: Sight, events: Mapping[str, tuple[Event, ...]], now: float) -> LiveResource:
    found, meta = seen.found, seen.found.item.meta
    facts = _serving(found, sight, events, now) if found.key.kind in WORKLOADS else None
    return LiveResource(
        key=found.key,
        manifest=told.manifest,
        mark=seen.mark,
        version=seen.version,
        addresses=_addresses(found, sight) if facts else (),
        serving=facts,
        message=facts.message if facts else "",
        writers=told.writers,
        kept=_kept(found),
        leaving=meta.deletion_timestamp is not None,
    )


def version_of(found: Found, live: bytes) -> str:
    """`<uid> <resourceVersion> <fingerprint>`: which object, in which state, and what of that state we have an opinion on."""
    meta = found.item.meta
    return f"{meta.uid} {meta.resource_version} {live.hex()}"


def _serving(found: Found, sight: Sight, events: Mapping[str, tuple[Event, ...]], now: float) -> Serving:
    meta = found.item.meta
    endpoint = meta.labels.get(OWNER_NAME, meta.name)
    pods = _of_kind(sight.pods.get((meta.namespace, endpoint), ()), found.key.kind)
    workload = deployment(found.item) if found.key.kind == "Deployment" else leader_worker_set(found.item)
    return serving_of(workload, pods, events, now)


def _addresses(found: Found, sight: Sight) -> tuple[str, ...]:
    """Of the ready replicas of this workload. While a Deployment and a group follow each other, their Service has the pods of both."""
    meta = found.item.meta
    endpoint = meta.labels.get(OWNER_NAME, meta.name)
    pods = sight.pods.get((meta.namespace, endpoint), ())
    slices = sight.slices.get((meta.namespace, endpoint), ())
    others = {pod.metadata.uid for pod in pods} - {pod.metadata.uid for pod in _of_kind(pods, found.key.kind)}
    return addresses_of((_without(one, others) for one in slices) if others else slices, PORT)


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
    if found.key.kind in KEPT_KINDS and meta.annotations.get(ASKED) != "enabled":
        return f"a {found.key.kind} is never deleted unless it is annotated {ASKED}=enabled"
    for name, values in KEEPING.items():
        if set(meta.annotations.get(name, "").split(",")) & values:
            return f"its annotation {name}={meta.annotations[name]} says to keep it"
    if any(owner.controller for owner in meta.owner_references):
        return f"{meta.owner_references[0].kind} {meta.owner_references[0].name} owns it, although it carries our labels"
    if not any(entry.manager == MANAGER and entry.operation == "Apply" for entry in meta.managed_fields):
        return "it carries our labels and was never written by us (a copy, or restored from a backup): delete it by hand"
    return ""


def _puzzling(sight: Sight, now: float) -> Iterable[tuple[str, str]]:
    """(namespace, uid) of the pods whose reason stands in events only."""
    pods = {pod.metadata.uid: pod for group in sight.pods.values() for pod in group}
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
