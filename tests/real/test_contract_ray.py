"""The contract of targets at a real Ray. Nothing waits for replicas here: a write is there when Serve has the document."""

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest
from ray_cluster import RayCluster, stub, until

from reconciler.desired import TargetSpec
from reconciler.local import ray
from reconciler.resource import Binding, Mark, Resource, ResourceKey
from reconciler.targets.protocol import Claim, Context, Target
from reconciler.targets.ray.client import RayClient, Token
from reconciler.targets.ray.document import marked, name_of
from reconciler.targets.ray.target import open_target
from tests.contract.contract import OURS, AnyResource, Place
from tools.ports import free_port

pytestmark = pytest.mark.real


class RayPlace:
    """The session's Ray; names get a prefix, since other tests use it too."""

    def __init__(self, cluster: RayCluster) -> None:
        self.cluster = cluster
        self.intruders: set[str] = set()

    def open(self, claim: Claim = OURS, *, write: bool = True, held: Callable[[], bool] = lambda: True) -> Target:
        return open_target(self.cluster.spec, Context(self.cluster.folder, claim, write, time.time, held))

    def wanted(self, name: str, form: int = 0) -> Resource:
        return self.cluster.resource(stub(name, cpu=0.01, health_period=1.0 + form))

    def intrude(self, key: ResourceKey, mark: Claim | None) -> None:
        wanted = self.wanted(key.name, 1)
        name, theirs = name_of(key), Mark(mark.instance, mark.repo, wanted.owner, "sha256:0") if mark else None
        document = marked(wanted.manifest, theirs, Binding()) if theirs else dict(wanted.manifest)
        self.intruders.add(name)
        self.cluster.put_by_hand({name: document})

    def leave(self) -> None:
        """What intruders left goes by their own hand."""
        running, answer = ray.running(self.cluster.folder, self.cluster.spec.name), self.cluster.answer()
        assert running is not None
        if self.intruders & set(answer["applications"]):
            documents = [app["deployed_app_config"] for name, app in answer["applications"].items() if name not in self.intruders]
            with contextlib.closing(RayClient(running.address, Token(running.token))) as client:
                client.put({"http_options": answer["http_options"], "applications": [one for one in documents if one]})
            self.tick(0)

    def meddle(self, key: ResourceKey) -> None:
        name = name_of(key)
        document = dict(self.cluster.answer()["applications"][name]["deployed_app_config"])
        document["deployments"] = [{**one, "max_ongoing_requests": 7} for one in document["deployments"]]
        self.cluster.put_by_hand({name: document})

    @contextlib.contextmanager
    def broken(self) -> Iterator[Target]:
        away = TargetSpec("lab", "ray", {"dashboardUrl": f"http://127.0.0.1:{free_port()}"})
        with contextlib.closing(open_target(away, Context(self.cluster.folder, OURS, True, time.time))) as target:
            yield target

    def tick(self, seconds: float) -> None:
        """What is deleted is gone from Serve's list a moment later."""
        until(lambda: not any(app["status"] == "DELETING" for app in self.cluster.answer()["applications"].values()))


class TestApplication(AnyResource):
    @pytest.fixture
    def place(self, ray_cluster: RayCluster) -> Iterator[Place]:
        found = RayPlace(ray_cluster)
        yield found
        found.leave()
