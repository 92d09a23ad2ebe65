"""A Ray cluster at a given address, opened with a token out of our own store: somebody else keeps it up, we read and write it."""

import contextlib
import time

import pytest
from ray_cluster import CLAIM, RayCluster, stub, until

from reconciler.change import ChangeClass, Create, Delete, Effects
from reconciler.desired import TargetSpec
from reconciler.errors import TargetRefused
from reconciler.local import ray
from reconciler.targets.protocol import Context
from reconciler.targets.ray.render import render_workload
from reconciler.targets.ray.target import open_target

pytestmark = pytest.mark.real


def given(cluster: RayCluster) -> TargetSpec:
    running = ray.running(cluster.folder, cluster.spec.name)
    assert running is not None
    settings = {"local": False, "dashboardUrl": running.address, "tokenRef": {"name": "lab-ray", "key": "token"}}
    return TargetSpec("given", "ray", settings, source="clusters/given.yaml:1")


def test_an_endpoint_comes_and_goes_with_the_token_of_the_store(ray_cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    running = ray.running(ray_cluster.folder, ray_cluster.spec.name)
    assert running is not None
    monkeypatch.setenv("RECONCILER_SECRET_LAB_RAY_TOKEN", running.token)
    spec = given(ray_cluster)
    wanted = render_workload(stub("elsewhere"), spec).resources[0]

    with contextlib.closing(open_target(spec, Context(ray_cluster.folder, CLAIM, True, time.time))) as target:
        with target.session([]) as writer:
            assert [outcome.applied for outcome in writer.write([Create(wanted, Effects(ChangeClass.CREATE))])] == [True]
        live = until(lambda: (found := target.read({}).resources[wanted.key]).serving and found.serving.ready and found)
        assert live.manifest == wanted.manifest
        assert live.addresses
        with target.session([]) as writer:
            assert [outcome.applied for outcome in writer.write([Delete(live, Effects(ChangeClass.DELETE))])] == [True]
        assert wanted.key not in target.read({}).resources


def test_a_wrong_token_is_refused_and_never_shown(ray_cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_SECRET_LAB_RAY_TOKEN", "not-the-token-at-all")

    context = Context(ray_cluster.folder, CLAIM, True, time.time)
    with contextlib.closing(open_target(given(ray_cluster), context)) as target, pytest.raises(TargetRefused) as caught:
        target.read({})

    assert "RAY2" in str(caught.value)
    assert "not-the-token" not in str(caught.value)
