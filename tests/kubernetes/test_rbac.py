"""Every right of deploy/kubernetes/rbac.yaml is needed: a user who has all but that one meets a refusal that names it.

What is done is what passes do with objects of every kind: they are looked for, made, changed and deleted; replicas are approved, workloads
and addresses watched.
"""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from reconciler import checkpoint
from reconciler.change import Change, ChangeClass, Create, Delete, Effects, Outcome, Update
from reconciler.desired import TargetSpec
from reconciler.errors import Problem, TargetError
from reconciler.resource import Json, Observation, Resource
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.approve import approve
from reconciler.targets.kubernetes.kinds import KINDS, path_of
from reconciler.targets.kubernetes.labels import APPROVED, ENDPOINT, MANAGED_BY
from reconciler.targets.kubernetes.render import render_workload
from reconciler.targets.kubernetes.rules import RULES
from reconciler.targets.kubernetes.settings import HOME, settings_of
from reconciler.targets.kubernetes.target import KubernetesTarget, access_of, open_target
from reconciler.targets.own_store import variable_of
from reconciler.targets.protocol import Claim, Context
from reconciler.targets.rendering import Meta, Workload
from tests.kube_workloads import BIG, BY_ADAPTER, GROUPED, SCALED
from tests.kubernetes.raw_api import APPLY, RawApi
from tools.controlplane import ControlPlane
from tools.controlplane.access import rights

RBAC: Final = "rbac.authorization.k8s.io"
MARKER: Final = "reconciler-test"  # label of what is made here
PATIENCE: Final = 30.0
IN_PLACE: Final = Effects(ChangeClass.IN_PLACE)
KIND_OF: Final = {known.plural: kind for kind, known in KINDS.items()}
RENDERED: Final = tuple(kind for kind, known in KINDS.items() if known.written and kind != "ConfigMap")
WATCHED: Final = ("Deployment", "LeaderWorkerSet", "EndpointSlice")


class Right(NamedTuple):
    """role: the kind of the role that gives it; `Role` is about our own namespace only."""

    role: str
    group: str
    resource: str
    verb: str

    @property
    def name(self) -> str:
        return f"{self.verb}-{self.resource.replace('/', '-')}"

    @property
    def told(self) -> str:
        """As our message spells it."""
        return f'{{apiGroups: ["{self.group}"], resources: ["{self.resource}"], verbs: ["{self.verb}"]}}'

    @property
    def short(self) -> tuple[str, str]:
        return self.verb, self.resource


ROLES: Final[Mapping[str, list[dict[str, list[str]]]]] = {each["kind"]: each["rules"] for each in rights() if "rules" in each}
RIGHTS: Final = tuple(
    Right(role, group, resource, verb)
    for role, rules in ROLES.items()
    for rule in rules
    for group in rule["apiGroups"]
    for resource in rule["resources"]
    for verb in rule["verbs"]
)
PASSES: Final = [right for right in RIGHTS if right.resource != "events"]


# --- users ------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Users:
    """One for each right, who has all the others. name: what all names of this run begin with; the namespace that they share has it."""

    plane: ControlPlane
    admin: RawApi
    name: str

    @property
    def whole(self) -> str:
        """Who lacks nothing."""
        return f"{self.name}-whole"

    def lacking(self, right: Right) -> str:
        return f"{self.name}-lacks-{right.name}"

    def kubeconfig(self, user: str) -> str:
        """The administrator's, who plays somebody else."""
        document = yaml.safe_load(self.plane.admin_kubeconfig.read_text())
        document["users"][0]["user"]["as"] = user
        return yaml.safe_dump(document)

    def make(self) -> None:
        self.put("Namespace", path_of("Namespace", "", self.name))
        for role in ROLES:
            others = [self.lacking(right) for right in RIGHTS if right.role != role]
            self._bind(role, f"{self.name}-whole", (role, "reconciler"), [self.whole, *others])
        for right in RIGHTS:
            name = self.lacking(right)
            self.put("ClusterRole", f"/apis/{RBAC}/v1/clusterroles/{name}", rules=list(without(right)))
            self._bind(right.role, name, ("ClusterRole", name), [name])
        for right in RIGHTS:
            end = time.monotonic() + PATIENCE
            while not all(self._may(right, next(one for one in RIGHTS if one.role == role and one != right)) for role in ROLES):
                assert time.monotonic() < end, "the rights do not come into force"

    def put(self, kind: str, path: str, labels: Mapping[str, str] = {}, **content: Any) -> None:
        name, version = path.rpartition("/")[2], "/".join(path.split("/")[2:4]) if path.startswith("/apis") else "v1"
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": {MARKER: self.name, **labels}}, **content}
        self.admin.request("PATCH", path, body, APPLY, fieldManager="test", force="true")

    def clear(self) -> None:
        for kind in ("clusterrolebindings", "clusterroles", "rolebindings"):
            self.plane.kubectl("delete", kind, "-A", "-l", f"{MARKER}={self.name}", "--wait=false")
        for kind, home in (("ConfigMap", HOME), ("Namespace", "")):
            path = path_of(kind, home)
            for one in self.admin.request("GET", path)["items"]:
                if self.name in one["metadata"]["name"]:
                    self.admin.request("DELETE", f"{path}/{one['metadata']['name']}")

    def _bind(self, scope: str, name: str, role: tuple[str, str], users: list[str]) -> None:
        """scope: the kind of role; the role that is given may be of another."""
        inside, plural = (f"/namespaces/{HOME}", "rolebindings") if scope == "Role" else ("", "clusterrolebindings")
        subjects = [{"apiGroup": RBAC, "kind": "User", "name": user} for user in users]
        given = {"apiGroup": RBAC, "kind": role[0], "name": role[1]}
        self.put(f"{scope}Binding", f"/apis/{RBAC}/v1{inside}/{plural}/{name}", roleRef=given, subjects=subjects)

    def _may(self, lacked: Right, right: Right) -> bool:
        resource, _, sub = right.resource.partition("/")
        asked = {"verb": right.verb, "group": right.group, "resource": resource, "subresource": sub, "namespace": HOME}
        spec = {"user": self.lacking(lacked), "resourceAttributes": asked}
        answer = self.admin.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
        return answer["status"]["allowed"] is True


def without(right: Right) -> Iterator[dict[str, list[str]]]:
    """The rules of its role, that right taken out."""
    for rule in ROLES[right.role]:
        its = right.group in rule["apiGroups"] and right.resource in rule["resources"]
        left = [verb for verb in rule["verbs"] if not its or verb != right.verb]
        if left:
            yield rule | {"verbs": left}


@pytest.fixture(scope="module")
def users(control_plane: ControlPlane) -> Iterator[Users]:
    with contextlib.closing(RawApi(control_plane.url, str(control_plane.ca), control_plane.tokens.get("admin", ""))) as admin:
        found = Users(control_plane, admin, f"rbac-{secrets.token_hex(3)}")
        try:
            found.make()
            yield found
        finally:
            found.clear()


# --- what they do -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Somebody:
    """A user, with a cluster of that name. workspace: where it works; a namespace of its name."""

    users: Users
    name: str
    workspace: str
    folder: Path

    @property
    def endpoint(self) -> str:
        return self.name.removeprefix(f"{self.users.name}-")

    @property
    def spec(self) -> TargetSpec:
        cache: Json = [{"name": "hf", "claimName": self.endpoint, "size": 2**30}]
        equipment: dict[str, Json] = {"capabilities": ["keda", "lws", "prometheusOperator"], "prometheusUrl": "http://prometheus"}
        return TargetSpec(self.name, "kubernetes", {"kubeconfigRef": {"name": self.name, "key": ""}, "modelCaches": cache, **equipment})

    @contextlib.contextmanager
    def target(self) -> Iterator[KubernetesTarget]:
        context = Context(self.folder, Claim("default", "f" * 40), True, time.time)
        with contextlib.closing(open_target(self.spec, context)) as target:
            yield target

    def resources(self) -> dict[str, Resource]:
        """One of each kind that we render."""
        by_adapter = replace(self.spec, settings={**self.spec.settings, "capabilities": ["metricsAdapter"]})
        pairs = ((BIG, self.spec), (GROUPED, self.spec), (SCALED, self.spec), (BY_ADAPTER, by_adapter))
        found = [one for workload, spec in pairs for one in render_workload(self._own(workload), spec).resources]
        return {one.key.kind: one for one in reversed(found)}

    def _own(self, workload: Workload) -> Workload:
        assert workload.container
        volumes = tuple(replace(one, source={"claim": self.endpoint}) if one.kind == "pvc" else one for one in workload.container.volumes)
        meta = Meta(f"Endpoint/{self.workspace}/{self.endpoint}", "chat.yaml:1")
        container = replace(workload.container, volumes=volumes)
        return replace(workload, meta=meta, workspace=self.workspace, name=self.endpoint, container=container)


def life(somebody: Somebody, kinds: Iterable[str]) -> Iterator[Outcome]:
    """Of one object of each of these kinds: looked for, made, changed, deleted."""
    known = somebody.resources()
    wanted = sorted((known[kind] for kind in kinds), key=lambda one: [one.key.kind in rank for rank in RULES.ranks].index(True))
    with somebody.target() as target:
        look(target, wanted)
        yield from write(target, [Create(one, IN_PLACE) for one in wanted])
        seen = look(target, wanted)
        yield from write(target, [Update(relabelled(one), seen.resources[one.key], (), IN_PLACE) for one in wanted])
        seen = look(target, wanted)
        yield from write(target, [Delete(seen.resources[one.key], IN_PLACE) for one in reversed(wanted) if one.key.kind != "Namespace"])


def look(target: KubernetesTarget, wanted: Iterable[Resource]) -> Observation:
    return target.read({one.key: one for one in wanted})


def write(target: KubernetesTarget, changes: Sequence[Change]) -> Iterator[Outcome]:
    with target.session(changes) as writer:
        for change in changes:
            yield from writer.write([change])


def relabelled(resource: Resource) -> Resource:
    manifest = json.loads(json.dumps(resource.manifest))
    manifest["metadata"]["labels"]["form"] = "2"
    return Resource.make(resource.key, manifest, owner=resource.owner, source=resource.source)


def late(somebody: Somebody) -> Iterator[Outcome]:
    """Somebody else makes the namespace between our look and our write."""
    namespace = somebody.resources()["Namespace"]
    with somebody.target() as target:
        look(target, [namespace])
        path = path_of("Namespace", "", namespace.key.name)
        checkpoint.listen(lambda place: somebody.users.put("Namespace", path) if place.endswith("/before") else None)
        try:
            yield from write(target, [Create(namespace, IN_PLACE)])
        finally:
            checkpoint.listen(None)


def approval(somebody: Somebody) -> Iterator[Outcome]:
    """A replica waits for it, and gets it."""
    make_pod(somebody, readinessGates=[{"conditionType": APPROVED}])
    assert approve(somebody.spec, somebody.workspace, somebody.endpoint) == (somebody.endpoint,)
    yield from ()


def make_pod(somebody: Somebody, mode: str = "", **fields: object) -> None:
    """A pod as one of the endpoint's, made by hand."""
    labels = {MANAGED_BY: "reconciler", ENDPOINT: somebody.endpoint} | ({"sim.reconciler.dev/mode": mode} if mode else {})
    spec = {"containers": [{"name": "server", "image": "example.org/i:1"}], **fields}
    somebody.users.put("Pod", path_of("Pod", somebody.workspace, somebody.endpoint), labels, spec=spec)


def watch(somebody: Somebody) -> Iterator[Outcome]:
    with contextlib.closing(KubeClient(access_of(settings_of(somebody.spec)))) as client:
        for kind in WATCHED:
            client.watch(path_of(kind), "0", selector="a=b").close()
    yield from ()


def work_with(right: Right) -> Callable[[Somebody], Iterator[Outcome]]:
    """What is done by whoever needs it."""
    if right.verb == "watch":
        return watch
    if right.resource == "pods/status":
        return approval
    if right.short == ("get", "namespaces"):
        return late
    return lambda somebody: life(somebody, kinds_with(right))


def kinds_with(right: Right) -> tuple[str, ...]:
    """Where nothing is of its kind: something whose life passes there."""
    kind = KIND_OF[right.resource]
    return (kind if kind in RENDERED else "ServiceAccount",)


def refusal(work: Iterator[Outcome]) -> Problem | None:
    """What the work meets first."""
    try:
        return next((outcome.problem for outcome in work if outcome.problem), None)
    except TargetError as error:
        return error.problem


# --- the tests --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def come(users: Users, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Somebody]:
    """Somebody with a cluster to work on. own: in a namespace that is not there yet."""

    def come(name: str, own: bool = False) -> Somebody:
        monkeypatch.setenv(variable_of(name), users.kubeconfig(name))
        return Somebody(users, name, name if own else users.name, tmp_path)

    return come


@pytest.mark.parametrize("right", PASSES, ids=lambda right: right.name)
def test_without_it_a_refusal_names_it(right: Right, users: Users, come: Callable[..., Somebody]) -> None:
    somebody = come(users.lacking(right), own=right.resource == "namespaces")
    found = refusal(work_with(right)(somebody))

    assert found is not None
    assert (found.code, found.todo) == ("KUBE3", f"apply deploy/kubernetes/rbac.yaml; of it this rule is missing: {right.told}")
    assert f"{somebody.name} may not {right.verb} {right.resource}" in found.why


def test_with_all_of_them_nothing_is_refused(users: Users, come: Callable[..., Somebody]) -> None:
    somebody = come(users.whole, own=True)
    outcomes = list(life(somebody, RENDERED))

    assert [outcome.problem for outcome in outcomes if not outcome.applied] == []
    assert len(outcomes) == 3 * len(RENDERED) - 1  # a namespace stays
    for work in (late, approval, watch):
        assert refusal(work(come(users.whole, own=work is late))) is None


def test_without_events_a_message_says_less_and_nothing_fails(
    users: Users, come: Callable[..., Somebody], monkeypatch: pytest.MonkeyPatch
) -> None:
    (right,) = (one for one in RIGHTS if one.resource == "events")
    somebody = come(users.lacking(right))

    def said() -> str:
        with somebody.target() as target:
            facts = look(target, [workload]).resources[workload.key].serving
            return next(replica.message for replica in facts.replicas if replica.name == somebody.endpoint) if facts else ""

    workload = somebody.resources()["Deployment"]
    with somebody.target() as target:
        look(target, [workload])
        assert [outcome.problem for outcome in write(target, [Create(workload, IN_PLACE)])] == [None]
    make_pod(somebody, "pull")
    monkeypatch.setenv(variable_of(somebody.name), users.kubeconfig(users.whole))
    end = time.monotonic() + PATIENCE
    while "image not found" not in (full := said()):
        assert time.monotonic() < end, full

    monkeypatch.setenv(variable_of(somebody.name), users.kubeconfig(somebody.name))
    assert "image not found" not in said()
    assert said()


def test_a_watch_that_is_refused_is_told(users: Users, come: Callable[..., Somebody]) -> None:
    """It costs the time to the next poll, and no pass."""
    right = Right("ClusterRole", "discovery.k8s.io", "endpointslices", "watch")
    with come(users.lacking(right)).target() as target:
        next(target.changed())
        end = time.monotonic() + PATIENCE
        while not (notes := look(target, []).notes):
            assert time.monotonic() < end

    (note,) = notes
    assert "EndpointSlices are not watched, so their changes show a poll later" in note
    assert right.told in note
