"""The ApplySet: how what we own is found again, also when the repo and the state folder know nothing of it any more (KEP-3659).

Each object carries the label `part-of` with the set's id; the set's parent, one ConfigMap per cluster and instance in the reconciler's own
namespace, says which kinds in which namespaces may hold members, and which repo claimed the set. There is no list of members: the label is
the truth, found by LIST. The parent is written as a union before the first write of a pass and shrunk after the last, so that a killed
pass leaves a superset and never a leak. The name of the cluster is part of the parent's: two declarations that open the same server
would otherwise prune each other.

The keys are those of kubectl's own code, not the KEP's text (facts/kubernetes.md 9.1).
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from reconciler.checkpoint import reach
from reconciler.errors import TargetError, TargetRefused
from reconciler.resource import Json
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.api.failures import CHANGED, CONFLICT, MISSING
from reconciler.targets.kubernetes.body import encoded
from reconciler.targets.kubernetes.kinds import APPLYSET_MANAGER, KINDS, path_of
from reconciler.targets.kubernetes.labels import APPLYSET_PART_OF, INSTANCE, REPO
from reconciler.targets.kubernetes.settings import KubernetesSettings
from reconciler.targets.kubernetes.shapes import item, items
from reconciler.targets.protocol import Claim

ID: Final = "applyset.kubernetes.io/id"
TOOLING: Final = "applyset.kubernetes.io/tooling"
GROUP_KINDS: Final = "applyset.kubernetes.io/contains-group-kinds"
NAMESPACES: Final = "applyset.kubernetes.io/additional-namespaces"
TOOL: Final = "reconciler/v1"
PART_OF: Final = APPLYSET_PART_OF
NEW: Final = "1"  # a resourceVersion that no object of ours has: an apply that carries it makes a new object, or is refused


@dataclass(frozen=True, slots=True)
class Members:
    """Where members may be: kinds (our names of them) and namespaces."""

    kinds: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()

    def __or__(self, other: "Members") -> "Members":
        return Members(self.kinds | other.kinds, self.namespaces | other.namespaces)

    def without(self, namespace: str) -> "Members":
        """The parent's own namespace is never named: it always counts."""
        return Members(self.kinds, self.namespaces - {namespace})

    @classmethod
    def of(cls, places: Iterable[tuple[str, str]]) -> "Members":
        """places: (kind, namespace) of every member; "" for what is in no namespace."""
        listed = list(places)
        return cls(frozenset(kind for kind, _ in listed), frozenset(namespace for _, namespace in listed if namespace))


@dataclass(frozen=True, slots=True)
class Parent:
    """The parent as it was read; members None: it is not there yet. version: resourceVersion. labelled: does a LIST find it?"""

    members: Members | None = None
    repo: str = ""
    version: str = ""
    labelled: bool = True


@dataclass(frozen=True)
class ApplySet:
    """The set of one cluster and instance."""

    settings: KubernetesSettings
    claim: Claim

    @property
    def name(self) -> str:
        """Of the parent. A dot is in no name of ours, so instance and cluster split again."""
        return f"reconciler-{self.claim.instance}.{self.settings.name}"

    @property
    def path(self) -> str:
        return path_of("ConfigMap", self.settings.namespace, self.name)

    @cached_property
    def id(self) -> str:
        """Asked for several times for each of thousands of objects."""
        digest = hashlib.sha256(f"{self.name}.{self.settings.namespace}.ConfigMap.".encode()).digest()
        return f"applyset-{base64.urlsafe_b64encode(digest).decode().rstrip('=')}-v1"

    def parent_of(self, annotations: Mapping[str, str], version: str) -> Parent:
        return Parent(_members(annotations), annotations.get(REPO, ""), version)

    def check(self, parent: Parent) -> None:
        """Two repos cannot prune each other: raises TargetRefused for a set that another repo claimed."""
        if parent.members is not None and parent.repo and self.claim.repo and parent.repo != self.claim.repo:
            raise TargetRefused(
                f"instance '{self.claim.instance}' on this cluster belongs to another repo ({parent.repo[:12]})",
                code=CONFLICT,
                where=f"ConfigMap {self.settings.namespace}/{self.name}",
                why="two repos with one instance would delete each other's endpoints",
                todo="rename the Settings of one repo, or delete that ConfigMap if the other repo is gone",
            )

    def body(self, members: Members, version: str) -> dict[str, Json]:
        """The parent as it is applied. version "": whatever is there."""
        metadata: dict[str, Json] = {
            "name": self.name,
            "namespace": self.settings.namespace,
            "labels": {ID: self.id, INSTANCE: self.claim.instance},
            "annotations": {
                TOOLING: TOOL,
                GROUP_KINDS: ",".join(sorted(map(_group_kind, members.kinds))),
                NAMESPACES: ",".join(sorted(members.namespaces - {self.settings.namespace})),
                REPO: self.claim.repo,
            },
        }
        if version:
            metadata["resourceVersion"] = version
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def _group_kind(kind: str) -> str:
    """`Deployment.apps`, `ConfigMap`."""
    group = KINDS[kind].group
    return f"{kind}.{group}" if group else kind


def _members(annotations: Mapping[str, str]) -> Members:
    named = {name.partition(".")[0] for name in annotations.get(GROUP_KINDS, "").split(",") if name}
    places = frozenset(name for name in annotations.get(NAMESPACES, "").split(",") if name)
    return Members(frozenset(named & KINDS.keys()), places)


def record(client: KubeClient, applyset: ApplySet, parent: Parent, members: Members, *, exact: bool) -> Parent:
    """Write the parent so that it names at least `members`, or with `exact` these and no others; nothing where it does so already.

    Against another writer it is an optimistic lock: a parent that moved since it was read raises, before anything is written or pruned.
    """
    wanted = members if exact or parent.members is None else parent.members | members
    named = wanted.without(applyset.settings.namespace)
    if parent.labelled and parent.members is not None and (parent.members, parent.repo) == (named, applyset.claim.repo):
        return parent
    reach("kubernetes: ApplySet", "before")
    body = encoded(applyset.body(wanted, parent.version or NEW))
    try:
        answer = client.patch_apply(applyset.path, body, manager=APPLYSET_MANAGER, force=True)
    except TargetError as error:
        if error.problem.code == CHANGED and parent.members is None and (stripped := _stripped(client, applyset)) is not None:
            return record(client, applyset, stripped, members, exact=exact)
        raise _homeless(applyset, error) if error.problem.code == MISSING else error from None
    reach("kubernetes: ApplySet", "after")
    version = item(answer.body, "the ApplySet's parent").meta.resource_version
    return Parent(named, applyset.claim.repo, version)


def _stripped(client: KubeClient, applyset: ApplySet) -> Parent | None:
    """The parent that no LIST by its labels shows, because somebody took them off: writing it gives them back. One that has them came since
    we looked, with another writer. Raises TargetRefused for one that another repo claimed."""
    namespaced = path_of("ConfigMap", applyset.settings.namespace)
    for page in client.list_pages(namespaced, fields=f"metadata.name={applyset.name}"):
        for one in items(page, "the ApplySet's parent"):
            if one.meta.labels.get(INSTANCE) == applyset.claim.instance:
                return None
            parent = applyset.parent_of(one.meta.annotations, one.meta.resource_version)
            applyset.check(parent)
            return replace(parent, labelled=False)
    return None


def _homeless(applyset: ApplySet, error: TargetError) -> TargetRefused:
    return TargetRefused(
        f"namespace {applyset.settings.namespace} is not there",
        code=MISSING,
        where=error.problem.where,
        why="the reconciler keeps the list of what it owns there, and may not create it",
        todo="kubectl apply -f deploy/kubernetes/rbac.yaml, or set kubernetes.namespace of the cluster",
    )
