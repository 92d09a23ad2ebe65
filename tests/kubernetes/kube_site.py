"""A site on a real control plane: what a person has (a config repo in Git, a state folder, kubectl), and what a test looks at.

The repo is examples/repo, its endpoints moved to a Kubernetes cluster by their line `cluster:`. The name of the cluster and the prefix of
its namespaces are the site's own, so that all tests share one API server: each has its own ApplySet and its own namespaces.
"""

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler import checkpoint
from reconciler.change import Change, Held, Operation, Outcome
from reconciler.cli.options import Where
from reconciler.cli.passes import given
from reconciler.cli.sources import source_of
from reconciler.reconcile import reconcile
from reconciler.report.combine import combined
from reconciler.report.model import EndpointStatus, Report
from reconciler.report.text import plan_as_text
from reconciler.resource import Health
from reconciler.targets.kubernetes.kinds import path_of
from reconciler.targets.own_store import variable_of
from tests.git_repos import commit, new_repo
from tests.kubernetes.raw_api import RawApi, Refused
from tools.controlplane import ControlPlane
from tools.controlplane.audit import Entry

EXAMPLE = Path(__file__).parents[2] / "examples" / "repo"
WORKSPACE = "team-a"
SYSTEM = "reconciler-system"
PATIENCE = 60.0  # seconds that a condition is waited for
PAUSE = 0.25  # seconds between two passes of one apply

Object = dict[str, Any]


@dataclass
class Site:
    """folder: repo and state are below it. api: the administrator's own connection, for what others do in the cluster."""

    plane: ControlPlane
    folder: Path
    api: RawApi
    id: str = field(default_factory=lambda: secrets.token_hex(3))
    environment: dict[str, str] = field(default_factory=dict)
    side: str = "east"

    @property
    def cluster(self) -> str:
        return f"{self.side}-{self.id}"

    @property
    def namespace(self) -> str:
        return self.namespace_of(WORKSPACE)

    def namespace_of(self, workspace: str) -> str:
        return f"t{self.id}-{workspace}"

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    @property
    def where(self) -> Where:
        return Where(str(self.repo), "", self.folder / "state")

    # The repo.

    def file(self, name: str, workspace: str = WORKSPACE) -> Path:
        return self.repo / "workspaces" / workspace / "endpoints" / f"{name}.yaml"

    def edit(self, path: Path, **spec: Any) -> None:
        """Lay these fields over `spec` of a declaration: mappings merge, None removes. Not committed."""
        document = yaml.safe_load(path.read_text())
        document["spec"] = merged(document["spec"], spec)
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def change(self, name: str = "chat", **spec: Any) -> None:
        """Change an endpoint's declaration, in a commit of its own."""
        self.edit(self.file(name), **spec)
        self.commit(f"{name}: {', '.join(spec)}")

    def change_cluster(self, **spec: Any) -> None:
        self.edit(self.repo / "clusters" / "east.yaml", **spec)
        self.commit("another cluster")

    def rename_cluster(self, side: str) -> None:
        """Everywhere in the repo; it is reached as before."""
        old, self.side = self.cluster, side
        declaration = self.repo / "clusters" / "east.yaml"
        self.declare("clusters/east.yaml", "Cluster", self.cluster, yaml.safe_load(declaration.read_text())["spec"])
        self.edit(self.repo / "gateways" / "public.yaml", clusters=[self.cluster])
        for file in (self.repo / "workspaces").rglob("endpoints/*.yaml"):
            self.edit(file, cluster=self.cluster)
        self.commit(f"{old} is {self.cluster} now")

    def remove(self, name: str = "chat") -> None:
        self.file(name).unlink()
        self.commit(f"{name} goes")

    def declare(self, path: str, kind: str, name: str, spec: Object, **metadata: str) -> None:
        document = {"apiVersion": "reconciler.dev/v1alpha1", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
        place = self.repo / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(yaml.safe_dump(document, sort_keys=False))

    def commit(self, message: str) -> None:
        commit(self.repo, {}, message)

    # Passes.

    def plan(self) -> Report:
        """`reconciler plan`."""
        return next(self.passes("plan", write=False))

    def once(self) -> Report:
        """`reconciler apply`: one pass."""
        return next(self.passes("apply", write=True))

    def apply(self, until: Callable[[Report], bool] = lambda report: True) -> Report:
        """`reconciler apply --wait`: passes until nothing waits and nothing moved, and the condition is met."""
        reports: list[Report] = []
        deadline = time.monotonic() + PATIENCE
        for report in self.passes("apply", write=True):
            reports.append(report)
            moved = any(outcome.applied for outcome in report.outcomes or ())
            if not (report.waiting or moved) and until(report):
                return combined(reports)
            assert time.monotonic() < deadline, text_of(report)
            time.sleep(PAUSE)
        raise AssertionError

    def ready(self, *names: str) -> Report:
        """Apply until every endpoint (these, where some are named) is Ready, and the gateway has an address of each of its replicas."""
        return self.apply(lambda report: all(self._is_up(one) for one in report.statuses if not names or name_of(one) in names))

    def _is_up(self, found: EndpointStatus) -> bool:
        """A replica is Ready a moment before its address stands in an EndpointSlice, and one too many for a moment before it goes."""
        if found.word is not Health.READY or not found.routed or self.cluster not in found.targets:
            return found.word is Health.READY
        _, workspace, name = found.owner.split("/")
        return len(self.addresses(name, workspace)) == found.ready == found.desired

    def until(self, word: Health, reason: str = "", name: str = "chat") -> EndpointStatus:
        """Passes until an endpoint has this word (and reason)."""
        seen: list[tuple[Health, str]] = []
        deadline = time.monotonic() + PATIENCE
        for report in self.passes("apply", write=True):
            found = status_of(report, name)
            seen = [*seen, (found.word, found.reason)] if seen[-1:] != [(found.word, found.reason)] else seen
            if found.word is word and reason in ("", found.reason):
                return found
            assert time.monotonic() < deadline, f"{seen}\n{text_of(report)}"
            time.sleep(PAUSE)
        raise AssertionError

    def passes(self, who: str, *, write: bool) -> Iterator[Report]:
        """One command's passes: its targets stay open from one to the next."""
        with source_of(None, self.where) as source, given(self.where, source, who=who, write=write) as ready:
            while True:
                yield reconcile(ready)

    # What is there.

    def path(self, kind: str, name: str = "chat") -> str:
        return path_of(kind, self.namespace, name)

    def live(self, kind: str = "Deployment", name: str = "chat") -> Object:
        found: Object = self.api.request("GET", self.path(kind, name))
        return found

    def is_there(self, kind: str = "Deployment", name: str = "chat") -> bool:
        return self.find(kind, name) is not None

    def find(self, kind: str, name: str = "chat") -> Object | None:
        try:
            return self.live(kind, name)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def gone(self, kind: str, name: str = "chat") -> None:
        """Wait until it is not there any more."""
        wait_until(lambda: not self.is_there(kind, name), f"{kind} {name} is still there")

    def pods(self, name: str = "chat") -> list[Object]:
        found = self.api.request("GET", path_of("Pod", self.namespace), labelSelector=f"reconciler.dev/endpoint={name}")
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    def route(self, name: str = "chat", workspace: str = WORKSPACE) -> Object | None:
        """What the gateway has of this endpoint, or None."""
        with suppress(FileNotFoundError):
            state = json.loads((self.folder / "state" / "gateway" / "state.json").read_text())
            found: Object | None = state["routes"].get(f"{workspace}/{name}")
            return found
        return None

    def addresses(self, name: str = "chat", workspace: str = WORKSPACE) -> list[str]:
        route = self.route(name, workspace)
        return sorted(host for backend in (route or {"addresses": []})["addresses"] for host in backend["hosts"])

    def requests(self, action: Callable[[], object]) -> list[Entry]:
        """Everything that the reconciler asked of the API server meanwhile, as the server's audit log has it."""
        mark = self.plane.audit_log.mark()
        action()
        return self.plane.audited(mark)

    def writes(self, action: Callable[[], object]) -> list[Entry]:
        return [entry for entry in self.requests(action) if entry.write]

    # What others do.

    def kubectl(self, *words: str, text: str = "") -> str:
        """As the administrator, in the workspace's namespace."""
        return self.plane.kubectl("-n", self.namespace, *words, input=text)

    def patch(self, patch: Object, kind: str = "Deployment", name: str = "chat", manager: str = "kubectl-edit") -> None:
        """As `kubectl edit` and `kubectl patch` do it."""
        self.api.request("PATCH", self.path(kind, name), patch, "application/merge-patch+json", fieldManager=manager)

    def put(self, kind: str, manifest: Object, manager: str = "somebody") -> Object:
        """Server-side apply, as another tool does it."""
        name = manifest["metadata"]["name"]
        made: Object = self.api.request(
            "PATCH", self.path(kind, name), manifest, "application/apply-patch+yaml", fieldManager=manager, force="true"
        )
        return made

    def delete(self, kind: str, name: str = "chat") -> None:
        self.api.request("DELETE", self.path(kind, name), {"propagationPolicy": "Background"})

    @contextmanager
    def just_before(self, kind: str, action: Callable[[], object], name: str = "chat") -> Iterator[None]:
        """Somebody does something between the plan and our write to this resource."""
        with self.at(f"kubernetes: {self.cluster}: {kind}/{WORKSPACE}/{name}/before", action):
            yield

    @contextmanager
    def at(self, where: str, action: Callable[[], object]) -> Iterator[None]:
        """The same at a named place (checkpoint.py), the first time that it is reached."""
        places = [where]

        def hear(place: str) -> None:
            if place in places:
                places.remove(place)
                action()

        checkpoint.listen(hear)
        try:
            yield
        finally:
            checkpoint.listen(None)
        assert not places, f"{where} was not reached"

    def make_namespace(self) -> None:
        self.api.request("POST", path_of("Namespace"), {"metadata": {"name": self.namespace}})


def merged(old: Object, new: Mapping[str, Any]) -> Object:
    found = dict(old)
    for name, value in new.items():
        if value is None:
            found.pop(name, None)
        elif isinstance(value, Mapping):
            found[name] = merged(found.get(name) or {}, value)
        else:
            found[name] = value
    return found


def wait_until(met: Callable[[], bool], what: str = "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def text_of(report: Report) -> str:
    return plan_as_text(report)


def name_of(status: EndpointStatus) -> str:
    return status.owner.rpartition("/")[2]


def status_of(report: Report, name: str = "chat") -> EndpointStatus:
    return next(one for one in report.statuses if name_of(one) == name)


def changes(report: Report) -> dict[str, Operation]:
    """What would be done now, by `Kind/name`."""
    return {f"{change.key.kind}/{change.key.name}": change for change in report.plan.changes}


def held(report: Report) -> dict[str, Held]:
    """What is held, by `Kind/name` (a subject that is no resource: by itself)."""
    return {f"{one.change.key.kind}/{one.change.key.name}" if one.change else one.subject: one for one in report.plan.held}


def done(report: Report) -> list[str]:
    """What was applied, in order: `Create Deployment/chat`."""
    return [named(outcome.change) for outcome in report.outcomes or () if outcome.applied]


def failures(report: Report) -> dict[str, Outcome]:
    return {named(outcome.change): outcome for outcome in report.outcomes or () if not outcome.applied}


def named(change: Change) -> str:
    return f"{type(change).__name__} {change.key.kind}/{change.key.name}"


def told(entries: Sequence[Entry]) -> list[str]:
    """Writes as one reads them: `patch deployments`."""
    return [f"{entry.verb} {entry.resource}" for entry in entries]


@contextmanager
def opened(plane: ControlPlane, folder: Path, endpoints: Sequence[str] = ("chat",), **cluster: Any) -> Iterator[Site]:
    """A site with these endpoints of the example, nothing of it applied. Afterwards the cluster is as it was."""
    with pytest.MonkeyPatch.context() as patch:
        api = RawApi(plane.url, str(plane.ca), plane.tokens.get("admin", ""))
        site = Site(plane, folder, api)
        patch.setenv(variable_of(site.cluster), plane.user_kubeconfig.read_text())
        _make_repo(site, endpoints, cluster)
        try:
            yield site
        finally:
            clean(site)
            api.close()


def _make_repo(site: Site, endpoints: Sequence[str], cluster: Object) -> None:
    new_repo(site.repo)
    shutil.copytree(EXAMPLE, site.repo, dirs_exist_ok=True)
    (site.repo / "clusters" / "local.yaml").unlink()
    spec: Object = {
        "type": "kubernetes",
        "kubernetes": {"kubeconfigRef": {"name": site.cluster}, "namespacePrefix": site.namespace_of("")},
        "modelCaches": [{"name": "models", "hostPath": "/srv/models"}],
        "drainSeconds": 0,
    }
    site.declare("clusters/east.yaml", "Cluster", site.cluster, merged(spec, cluster))
    site.edit(site.repo / "gateways" / "public.yaml", clusters=[site.cluster], output={"run": False})
    for name in ("chat", "embeddings"):
        if name in endpoints:
            site.edit(site.file(name), cluster=site.cluster)
        else:
            site.file(name).unlink()
    site.commit("the example, on Kubernetes")


def clean(site: Site) -> None:
    """Whatever the test left. What holds an object back is the test's own to let go of; but no controller here frees a claim."""
    for namespace in names(site, path_of("Namespace"), lambda name: name.startswith(site.namespace_of(""))):
        for claim in names(site, path_of("PersistentVolumeClaim", namespace)):
            path = path_of("PersistentVolumeClaim", namespace, claim)
            with suppress(Refused):  # gone by itself
                site.api.request("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
        with suppress(Refused):
            site.api.request("DELETE", path_of("Namespace", "", namespace))
    for name in names(site, path_of("ConfigMap", SYSTEM), lambda name: name.endswith(site.id)):
        site.api.request("DELETE", path_of("ConfigMap", SYSTEM, name))


def names(site: Site, path: str, ours: Callable[[str], bool] = lambda name: True) -> list[str]:
    found = (one["metadata"]["name"] for one in site.api.request("GET", path)["items"])
    return [name for name in found if ours(name)]
