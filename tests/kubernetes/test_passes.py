"""A whole story through real passes: what is written when and in which order, and that what is as declared costs LISTs and nothing else."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.resource import Health
from tests.kubernetes.kube_site import (
    PATIENCE,
    PAUSE,
    SYSTEM,
    WORKSPACE,
    Site,
    changes,
    done,
    held,
    opened,
    status_of,
    text_of,
    told,
    wait_until,
)
from tests.served_site import COMMAND
from tools.controlplane import ControlPlane
from tools.controlplane.audit import Entry

MEMORY = {"modelCaches": [{"name": "models", "pvc": {"size": "1Gi"}}]}
OWN = ("Deployment", "Service", "NetworkPolicy", "ServiceAccount")


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    with opened(control_plane, tmp_path) as site:
        yield site


@pytest.fixture
def pair(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    """With a second endpoint, so that the first may go."""
    with opened(control_plane, tmp_path, ("chat", "embeddings")) as site:
        yield site


def run(site: Site, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A command as a process of its own."""
    command = [*COMMAND, *words, "--repo", str(site.repo), "--state", str(site.where.state)]
    return subprocess.run(command, cwd=site.folder, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120)


def only_lists(entries: list[Entry]) -> bool:
    return bool(entries) and {entry.verb for entry in entries} == {"list"}


def test_the_parent_of_the_set_comes_first_then_each_kind_after_what_it_stands_on(control_plane: ControlPlane, tmp_path: Path) -> None:
    with opened(control_plane, tmp_path, **MEMORY) as site:
        site.change(replicas=2)
        written = site.writes(site.once)

    names = [entry.resource for entry in written]
    assert names[:2] == ["configmaps", "namespaces"]
    assert (written[0].namespace, written[0].name) == (SYSTEM, f"reconciler-default.{site.cluster}")
    assert sorted(names[2:4]) == ["persistentvolumeclaims", "serviceaccounts"]
    assert sorted(names[4:6]) == ["networkpolicies", "services"]
    assert names[6:] == ["deployments", "poddisruptionbudgets"]
    assert {(entry.verb, entry.code) for entry in written} == {("patch", 201)}
    assert all("fieldValidation=Strict" in entry.uri and "force=true" in entry.uri for entry in written)


def test_the_route_opens_when_the_backend_serves(site: Site) -> None:
    planned = site.plan()
    assert planned.exit_code == 2
    assert set(changes(planned)) == {f"Namespace/{site.namespace}", *(f"{kind}/chat" for kind in OWN)}
    assert held(planned)["Route/chat"].text == f"waits for {site.cluster}: Deployment/{WORKSPACE}/chat to be created and to serve"

    first = site.once()
    assert first.exit_code == 2
    assert site.route() is None

    last = site.ready()
    assert (last.exit_code, done(last)) == (0, ["Create Route/chat"])
    (pod,) = site.pods()
    assert site.addresses() == [f"{pod['status']['podIP']}:8000"]
    found = status_of(last)
    assert (found.word, found.ready, found.desired, found.routed) == (Health.READY, 1, 1, True)


def test_what_is_as_declared_costs_lists_and_no_write(site: Site) -> None:
    site.ready()

    for look in (site.once, site.plan, site.once):
        entries = site.requests(look)
        assert only_lists(entries)
        assert len(entries) == len({entry.resource for entry in entries})  # one page of each kind
    assert text_of(site.plan()).startswith("No changes at ")


def test_one_process_applies_twice(site: Site) -> None:
    passes = site.passes("apply", write=True)
    first = next(passes)
    assert "Create Deployment/chat" in done(first)
    wait_until(lambda: bool(site.pods()) and site.pods()[0]["status"]["phase"] == "Running")
    deadline = time.monotonic() + PATIENCE
    while (report := next(passes)).waiting:
        assert time.monotonic() < deadline, text_of(report)
        time.sleep(PAUSE)
    entries = site.requests(lambda: next(passes))
    passes.close()
    assert only_lists(entries)


def test_two_processes_apply_one_after_the_other(site: Site) -> None:
    first = run(site, "apply", "--wait", "--timeout", "60s", "--json")
    assert first.returncode == 0, first.stdout + first.stderr

    second: list[subprocess.CompletedProcess[str]] = []
    entries = site.requests(lambda: second.append(run(site, "apply")))
    assert second[0].returncode == 0, second[0].stdout + second[0].stderr
    assert second[0].stdout.startswith("No changes at ")
    assert only_lists(entries)


def test_a_lost_memory_of_the_cluster_costs_no_write_and_no_dry_run(site: Site) -> None:
    """What the reader remembers between commands is a cache: the decision is made again, in process."""
    site.ready()
    for remembered in (site.where.state / "kubernetes").iterdir():
        remembered.unlink()

    entries = site.requests(site.once)
    assert [entry.uri for entry in entries if entry.verb != "list"] == ["/version"]


def test_the_set_of_what_is_ours_is_written_down_before_it_is_there_and_shrinks_after_it_is_gone(pair: Site) -> None:
    """With the keys of kubectl's own code, so that its tools read it."""
    pair.change(replicas=2)
    pair.ready()

    def parent() -> dict[str, str]:
        found = pair.api.request("GET", f"/api/v1/namespaces/{SYSTEM}/configmaps/reconciler-default.{pair.cluster}")
        annotations: dict[str, str] = found["metadata"]["annotations"]
        return annotations

    name = "applyset.kubernetes.io/contains-group-kinds"
    first = {"Deployment.apps", "Namespace", "NetworkPolicy.networking.k8s.io", "PodDisruptionBudget.policy", "Service", "ServiceAccount"}
    assert set(parent()[name].split(",")) == first
    assert parent()["applyset.kubernetes.io/additional-namespaces"] == pair.namespace
    pair.remove()
    pair.apply()
    assert set(parent()[name].split(",")) == first - {"PodDisruptionBudget.policy"}


def test_a_delete_goes_the_way_back_route_first_and_keeps_the_namespace(pair: Site) -> None:
    pair.change(replicas=2)
    pair.change_cluster(drainSeconds=1)
    pair.ready()
    pair.remove()

    withdrawn: list[object] = []
    assert pair.writes(lambda: withdrawn.append(pair.once())) == []
    route = pair.route()
    assert route is not None
    assert route["withdrawn"]
    assert pair.is_there("Deployment")

    written = told(pair.writes(pair.apply))
    assert written[0] == "delete poddisruptionbudgets"
    assert written[1] == "delete deployments"
    assert sorted(written[2:4]) == ["delete networkpolicies", "delete services"]
    assert written[4:] == ["delete serviceaccounts", "patch configmaps"]
    pair.gone("Deployment")
    assert pair.route() is None
    assert not any(pair.is_there(kind) for kind in OWN)
    assert all(pair.is_there(kind, "embeddings") for kind in OWN)
    assert pair.find("Namespace", pair.namespace)


def test_a_pass_that_is_killed_half_way_leaves_nothing_that_nobody_knows(pair: Site) -> None:
    """The set's parent was written first, so what was made is found; the next pass does the rest, or takes it away again."""
    place = f"kubernetes: {pair.cluster}: Deployment/{WORKSPACE}/chat/before"
    killed = run(pair, "apply", RECONCILER_KILL_AT=place)
    assert killed.returncode == -signal.SIGKILL
    assert pair.is_there("Service")
    assert not pair.is_there("Deployment")
    pair.remove()
    last = pair.ready("embeddings")
    pair.gone("ServiceAccount")
    assert last.exit_code == 0
    assert not any(pair.is_there(kind) for kind in OWN)
