"""A cluster in which nothing moves is not compared again; whatever moves, also beside the LISTs, is seen at the next reading."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from kube_objects import NOW, Object, container, event, pod, ready, running

from reconciler.resource import Manifest, Observation, Resource, ResourceKey
from reconciler.targets.kubernetes.api import failures
from reconciler.targets.kubernetes.api.client import Answer, KubeClient
from reconciler.targets.kubernetes.decide import REWRITES, Verified
from reconciler.targets.kubernetes.inventory import ApplySet, Members
from reconciler.targets.kubernetes.kinds import KINDS, path_of
from reconciler.targets.kubernetes.labels import ENDPOINT
from reconciler.targets.kubernetes.mark import marked
from reconciler.targets.kubernetes.memo import Memo
from reconciler.targets.kubernetes.read import read
from reconciler.targets.kubernetes.settings import LWS, KubernetesSettings
from reconciler.targets.protocol import Claim

CLAIM: Final = Claim("default", "f" * 40)
SETTINGS: Final = KubernetesSettings("east", capabilities=frozenset({LWS}))
SET: Final = ApplySet(SETTINGS, CLAIM)


def resource(kind: str, name: str = "chat", **spec: Any) -> Resource:
    manifest: Manifest = {
        "apiVersion": KINDS[kind].api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "team-a"},
        "spec": spec,
    }
    key = ResourceKey("east", kind, "team-a", name)
    return Resource.make(key, manifest, owner="Endpoint/team-a/chat", source="chat.yaml:1")


@dataclass
class Cluster:
    """As the client shows it: what LISTs bring, by path; what only a GET finds; kinds that it does not have."""

    lists: dict[str, list[Object]] = field(default_factory=dict)
    others: dict[str, Object] = field(default_factory=dict)
    lacks: set[str] = field(default_factory=set)
    version: int = 1
    rewrites: bool = True
    troubled: bool = False
    dry_runs: int = 0
    asked_about: list[str] = field(default_factory=list)

    def list_pages(self, path: str, selector: str = "", fields: str = "", **_: object) -> Iterator[bytes]:
        self.asked_about += [fields.partition("involvedObject.uid=")[2].partition(",")[0]] if "involvedObject" in fields else []
        if path in self.lacks:
            raise failures.raised(failures.KIND_MISSING, "no such kind", "", "", "east")
        self.version += 1  # somebody else writes all the time
        head = {"kind": "List", "metadata": {"resourceVersion": str(self.version)}}
        yield json.dumps({**head, "items": self.lists.get(path, [])}).encode()

    def find(self, path: str, **_: object) -> bytes | None:
        return json.dumps(self.others[path]).encode() if path in self.others else None

    def patch_apply(self, path: str, body: bytes, **_: object) -> Answer:
        """A dry run, which changes nothing; what is wanted, where nothing rewrites it."""
        self.dry_runs += 1
        if self.troubled:
            raise failures.raised(failures.TROUBLE, "no", "", "", "east")
        if not self.rewrites:
            return Answer(200, body)
        return Answer(200, json.dumps(next(one for one in self.everything() if one["path"] == path)["object"]).encode())

    def everything(self) -> Iterator[dict[str, Any]]:
        for path, found in self.lists.items():
            for one in found:
                prefix, _, plural = path.rpartition("/")
                yield {"path": f"{prefix}/namespaces/{one['metadata'].get('namespace')}/{plural}/{one['metadata']['name']}", "object": one}

    def put(self, wanted: Resource, **status: object) -> Object:
        """It, as it was applied by us."""
        body = json.loads(json.dumps(marked(wanted.manifest, wanted.mark(CLAIM.instance, CLAIM.repo), SET.id)))
        meta = {"uid": f"uid-{wanted.key.kind}", "resourceVersion": "7", "creationTimestamp": "2026-11-27T11:00:00Z", "generation": 1}
        ours = {"metadata": {name: body["metadata"][name] for name in ("labels", "annotations")}, "spec": body["spec"]}
        entry = {"manager": "reconciler", "operation": "Apply", "apiVersion": body["apiVersion"], "fieldsV1": owning(ours)}
        found: Object = {**body, "metadata": {**body["metadata"], **meta, "managedFields": [entry]}, "status": status}
        self.lists.setdefault(path_of(wanted.key.kind), []).append(found)
        return found


def owning(value: object) -> Object:
    """As managedFields say that somebody owns all of it."""
    return {f"f:{name}": owning(part) for name, part in value.items()} if isinstance(value, dict) else {}


@dataclass
class Site:
    cluster: Cluster
    wanted: dict[ResourceKey, Resource]
    pool: ThreadPoolExecutor
    verified: Verified = field(default_factory=Verified)
    now: float = NOW
    applyset: ApplySet = SET

    def read(self) -> Observation:
        self.now += 30
        client: KubeClient = self.cluster  # type: ignore[assignment]
        return read(client, self.applyset, self.wanted, self.verified, self.pool, self.now)[0]

    def settle(self) -> Observation:
        """The third reading is the second one."""
        self.read()
        found = self.read()
        assert self.read() is found
        return found


def waiting(name: str, labels: dict[str, str]) -> Object:
    """Started a minute ago, and nothing says why it does not serve."""
    return pod(container(running()), name=name, labels=labels)


WORKLOAD: Final = resource("Deployment", replicas=1)
SERVICE: Final = resource("Service", type="ClusterIP")
SERVES: Final = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}


@pytest.fixture
def site() -> Iterator[Site]:
    cluster = Cluster()
    cluster.lists[path_of("Namespace")] = [{"metadata": {"name": "team-a", "uid": "uid-namespace"}}]
    cluster.put(WORKLOAD, **SERVES)
    cluster.put(SERVICE)
    cluster.lists[path_of("Pod")] = [ready(labels={ENDPOINT: "chat"})]
    with ThreadPoolExecutor(16) as pool:
        yield Site(cluster, {one.key: one for one in (WORKLOAD, SERVICE)}, pool)


def test_what_does_not_move_is_the_reading_of_before(site: Site) -> None:
    found = site.settle()

    assert set(found.resources) == {WORKLOAD.key, SERVICE.key}
    assert all(live.manifest == site.wanted[key].manifest for key, live in found.resources.items())
    serving = found.resources[WORKLOAD.key].serving
    assert serving is not None
    assert (serving.ready, serving.desired) == (1, 1)


def edited(cluster: Cluster) -> None:
    cluster.lists[path_of("Service")][0]["spec"]["type"] = "NodePort"


def unlabelled(cluster: Cluster) -> None:
    cluster.lists[path_of("Service")].clear()


def without_pods(cluster: Cluster) -> None:
    cluster.lists[path_of("Pod")].clear()


def leaving(cluster: Cluster) -> None:
    cluster.lists[path_of("Deployment")][0]["metadata"]["deletionTimestamp"] = "2026-11-27T12:00:00Z"


def without_a_kind(cluster: Cluster) -> None:
    cluster.lacks.add(path_of("LeaderWorkerSet"))


def joined(cluster: Cluster) -> None:
    cluster.put(resource("PodDisruptionBudget"))


@pytest.mark.parametrize("happens", [edited, unlabelled, without_pods, leaving, without_a_kind, joined])
def test_whatever_happens_is_seen_at_the_next_reading(site: Site, happens: Callable[[Cluster], None]) -> None:
    before = site.settle()
    happens(site.cluster)
    after = site.read()

    fresh = Site(site.cluster, site.wanted, site.pool, now=site.now - 30).read()
    assert after is not before
    assert after == fresh


def test_another_wish_is_compared(site: Site) -> None:
    site.settle()
    site.wanted[SERVICE.key] = resource("Service", type="LoadBalancer")

    assert site.read().resources[SERVICE.key].manifest != site.wanted[SERVICE.key].manifest


def test_a_name_that_somebody_else_holds_is_asked_for_each_time(site: Site) -> None:
    claimed = resource("ServiceAccount")
    site.wanted[claimed.key] = claimed
    path = path_of("ServiceAccount", "team-a", "chat")
    site.cluster.others[path] = {"metadata": {"name": "chat", "namespace": "team-a", "uid": "theirs"}}
    assert [claimed.key in site.read().resources for _ in range(3)] == [True] * 3

    del site.cluster.others[path]
    assert claimed.key not in site.read().resources


def test_a_kind_that_comes_or_goes_is_seen(site: Site) -> None:
    group = resource("LeaderWorkerSet", "group", replicas=0)
    site.wanted[group.key] = group
    site.cluster.put(group, replicas=0)
    site.settle()

    site.cluster.lacks.add(path_of("LeaderWorkerSet"))
    gone = [site.read() for _ in range(2)]
    assert [(group.key in one.resources, [problem.code for problem in one.problems]) for one in gone] == [(False, ["KUBE10"])] * 2
    site.cluster.lacks.clear()
    assert group.key in site.read().resources


def test_who_waits_for_the_clock_is_looked_at_each_time(site: Site) -> None:
    site.cluster.lists[path_of("Deployment")][0]["status"] = {**SERVES, "readyReplicas": 0, "availableReplicas": 0}
    site.cluster.lists[path_of("Pod")].clear()
    readings = [site.read() for _ in range(4)]

    assert len({id(one) for one in readings}) == 4


def test_what_the_server_rewrites_is_asked_about_again_after_a_while(site: Site) -> None:
    """A webhook that has gone leaves no trace in the object: it is compared each time, and the server asked every ten minutes."""
    edited(site.cluster)  # and a dry run of what is wanted leaves it so
    rewritten = [site.read() for _ in range(4)]
    assert len({id(one) for one in rewritten}) == 4
    assert all("rewrites a field" in " ".join(one.notes) for one in rewritten)
    assert site.cluster.dry_runs == 1

    site.cluster.rewrites = False
    site.now += REWRITES
    found = site.read()
    assert (found.notes, found.resources[SERVICE.key].manifest["spec"]) == ((), {"type": "NodePort"})


def test_a_server_in_trouble_makes_no_drift_of_what_it_rewrites(site: Site) -> None:
    edited(site.cluster)
    site.read()
    site.cluster.troubled = True
    site.now += REWRITES
    found = site.read()

    assert site.cluster.dry_runs == 2
    assert found.resources[SERVICE.key].manifest == SERVICE.manifest
    assert "rewrites a field" in " ".join(found.notes)


def test_why_a_group_lacks_pods_is_asked_of_its_namespace_and_told_of_its_own_sets(site: Site) -> None:
    """Its controller makes StatefulSets, which are refused their pods; another group's are beside them."""
    group = resource("LeaderWorkerSet", "group", replicas=1, leaderWorkerTemplate={"size": 2})
    site.wanted[group.key] = group
    site.cluster.put(group, replicas=1, observedGeneration=1)
    refusals = [event("FailedCreate", f"exceeded quota of {name}", ago=-30) for name in ("group-0", "group-other", "other-0")]
    for one, name in zip(refusals, ("group-0", "group-other", "other-0"), strict=True):
        one["involvedObject"] = {"kind": "StatefulSet", "name": name, "uid": f"uid-{name}"}
    site.cluster.lists[path_of("Event", "team-a")] = refusals
    serving = site.read().resources[group.key].serving

    assert serving is not None
    assert [(one.reason, "group-0" in one.message) for one in serving.replicas] == [("FailedCreate", True)]


def test_what_was_asked_to_go_and_is_still_needed_lingers(site: Site) -> None:
    claim = resource("PersistentVolumeClaim", "models")
    site.cluster.put(claim)["metadata"]["annotations"]["reconciler.dev/prune"] = "enabled"
    mounts = site.cluster.lists[path_of("Deployment")][0]
    mounts["spec"]["template"] = {"spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "models"}}]}}
    kept = site.read()
    assert (claim.key in kept.resources, kept.lingers) == (False, True)

    del mounts["spec"]["template"]
    free = site.read()
    assert (claim.key in free.resources, free.lingers) == (True, False)


def test_a_memo_forgets_what_was_made_of_something_else() -> None:
    """It keeps alive what it was made of: a whole page of a LIST of long ago."""
    memo: Memo[str, str] = Memo()
    memo.remember(SERVICE.key, "old", "made")
    assert memo.recall(SERVICE.key, "new") is None
    assert memo.recall(SERVICE.key, "old") is None


def test_pods_of_others_take_nobodys_events(site: Site) -> None:
    """All instances label their pods as of the reconciler; only of ours is asked why they do not start."""
    pods = [waiting(f"theirs-{number}", labels={ENDPOINT: f"other-{number}"}) for number in range(40)]
    site.cluster.lists[path_of("Pod")] = [*pods, waiting("ours", labels={ENDPOINT: "chat"})]
    site.read()

    assert site.cluster.asked_about == ["uid-ours"]


def test_a_kind_that_nobody_declares_any_more_is_read_while_it_has_members(site: Site) -> None:
    group = resource("LeaderWorkerSet", "group", replicas=0)
    site.cluster.put(group, replicas=0)
    site.cluster.lists[path_of("ConfigMap", SETTINGS.namespace)] = [
        {"metadata": {**json.loads(json.dumps(SET.body(Members(frozenset({"LeaderWorkerSet"})), "")))["metadata"], "uid": "parent"}}
    ]
    site.applyset = ApplySet(replace(SETTINGS, capabilities=frozenset()), CLAIM)
    assert group.key in site.settle().resources

    site.cluster.lacks.add(path_of("LeaderWorkerSet"))  # its definition goes, and all of them with it
    assert group.key not in site.read().resources


def test_drift_that_is_left_alone_is_compared_each_time(site: Site) -> None:
    """A dry run may answer otherwise: an admission policy came."""
    edited(site.cluster)
    asked = replace(SERVICE, digest="sha256:0")
    site.wanted[SERVICE.key] = asked
    readings = [site.read() for _ in range(3)]

    assert len({id(one) for one in readings}) == 3
