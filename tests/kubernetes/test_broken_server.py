"""A broken network or server in the middle of a pass: nothing is deleted, the word is Unknown, and the pass after the fault converges.

The fault is made by a proxy in front of the real API server. In each case the repo wants an endpoint gone and another one changed, so that
a reading taken for shorter than it is would delete, and one taken for empty would delete everything.
"""

from collections.abc import Iterator
from functools import partial

import pytest
from fault_proxy import CloseAfter, FaultProxy, Hang, Reply, Reset, Rule, Seen, Slow, Truncate, always, first
from kube_site import Site, failures, opened, status_of

from reconciler.report.model import Report
from reconciler.resource import Health
from reconciler.targets.kubernetes import gather, target
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.api.pacing import Limits
from reconciler.targets.own_store import variable_of
from tools.controlplane import ControlPlane

HASTY = Limits(connect=2, read=2, list_read=2, budget=4, list_budget=4, attempts=2)


def lists_of(plural: str) -> "partial[bool]":
    return partial(_is_list, plural)


def _is_list(plural: str, seen: Seen) -> bool:
    return seen.is_list and seen.path.endswith(f"/{plural}")


def _later_page(seen: Seen) -> bool:
    return seen.is_list and seen.path.endswith("/deployments") and bool(seen.query.get("continue"))


def _patch(seen: Seen) -> bool:
    return seen.method == "PATCH" and "/deployments/" in seen.path


def _delete(seen: Seen) -> bool:
    return seen.method == "DELETE" and "/deployments/" in seen.path


@pytest.fixture(scope="module")
def proxy(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    found = FaultProxy(control_plane.url, control_plane.ca, tmp_path_factory.mktemp("proxy"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def standing(control_plane: ControlPlane, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two endpoints, Ready and routed, of a reconciler that reaches the server through the proxy and does not wait long."""
    with opened(control_plane, tmp_path_factory.mktemp("site"), ("chat", "embeddings")) as site, pytest.MonkeyPatch.context() as patch:
        kubeconfig = proxy.kubeconfig({"token": control_plane.tokens["reconciler"]})
        patch.setenv(variable_of(site.cluster), kubeconfig.read_text())
        patch.setattr(target, "KubeClient", partial(KubeClient, limits=HASTY))
        patch.setattr(gather, "PAGE", 1)  # so that a LIST of two has a second page
        site.ready()
        yield site


@pytest.fixture
def site(standing: Site, proxy: FaultProxy) -> Iterator[Site]:
    """As declared at the beginning of each test, and again at its end."""
    before = standing.file("embeddings").read_text()
    standing.ready()
    yield standing
    proxy.rule = None
    standing.file("embeddings").write_text(before)
    standing.change("chat", env=None)


def wants_a_delete_and_a_change(site: Site) -> None:
    site.file("embeddings").unlink()
    site.change("chat", env=[{"name": "A", "value": "b"}])


READING: dict[str, Rule] = {
    "reset": always(Reset(), lists_of("deployments")),
    "hang": always(Hang(), lists_of("deployments")),
    "hang in the middle of the answer": always(Hang(after=True), lists_of("deployments")),
    "429 for ever": always(Reply(429, {"Retry-After": "1"}), lists_of("services")),
    "500": always(Reply(500), lists_of("pods")),
    "503": always(Reply(503), lists_of("endpointslices")),
    "expired token": always(Reply(401, reason="Unauthorized")),
    "no right to list one kind": always(Reply(403, reason="Forbidden"), lists_of("poddisruptionbudgets")),
    "truncated": always(Truncate(0.5), lists_of("deployments")),
    "truncated, length not said": always(Truncate(0.9, chunked=True), lists_of("deployments")),
    "truncated, end not said": always(Truncate(0.9, framed=False), lists_of("deployments")),
    "empty answer": always(Reply(200, body=b""), lists_of("deployments")),
    "not the API": always(Reply(200, body=b"<html>sign in</html>"), lists_of("deployments")),
    "a list of nothing": always(Reply(200, body=b'{"kind":"Status","apiVersion":"v1"}'), lists_of("deployments")),
    "second page fails": always(Reply(500), _later_page),
    "second page cut off": always(Truncate(0.5), _later_page),
    "second page expired for ever": always(Reply(410, reason="Expired"), _later_page),
}


def test_nobody_listens(site: Site, proxy: FaultProxy) -> None:
    wants_a_delete_and_a_change(site)
    with proxy.refusing():
        seen_nothing(site)
    converges(site)


@pytest.mark.parametrize("fault", READING)
def test_a_reading_that_fails_deletes_nothing_and_is_unknown(site: Site, proxy: FaultProxy, fault: str) -> None:
    wants_a_delete_and_a_change(site)
    proxy.rule = READING[fault]
    seen_nothing(site)
    proxy.rule = None
    converges(site)


def seen_nothing(site: Site) -> None:
    """One pass: no write at the server, what is declared Unknown, its route as it was. (That of what is not declared any more goes: the
    gateway can be read, and takes it off before its backend.)"""
    route = site.addresses("chat")
    reports: list[Report] = []
    writes = site.writes(lambda: reports.append(site.once()))
    (report,) = reports

    assert writes == []
    assert [one.target for one in report.plan.unreadable] == [site.cluster]
    assert status_of(report, "chat").word is Health.UNKNOWN
    assert "last known: Ready at 1 of 1" in status_of(report, "chat").message
    assert report.exit_code == 1
    assert route
    assert site.addresses("chat") == route
    assert site.is_there("Deployment", "embeddings")
    assert report.plan.unreadable[0].problem.todo or report.plan.unreadable[0].problem.why


def converges(site: Site) -> None:
    """The passes after it do all that was declared."""
    site.apply(lambda report: status_of(report, "chat").word is Health.READY)
    site.gone("Deployment", "embeddings")

    assert site.route("embeddings") is None
    assert site.plan().plan.operations == ()


@pytest.mark.parametrize("fault", [Slow(4000, 0.01), CloseAfter()], ids=["slow LIST", "connection closed behind each answer"])
def test_what_is_only_slow_or_impolite_is_no_error(site: Site, proxy: FaultProxy, fault: Slow | CloseAfter) -> None:
    wants_a_delete_and_a_change(site)
    proxy.rule = always(fault, lambda seen: seen.is_list)

    converges(site)


@pytest.mark.parametrize(
    "fault", [Reset(), Reset(after=True), Reply(429, {"Retry-After": "0"}), Reply(503)], ids=["lost", "done and lost", "429", "503"]
)
@pytest.mark.parametrize("write", [_patch, _delete], ids=["apply", "delete"])
def test_a_write_whose_answer_is_lost_once_is_done_once(site: Site, proxy: FaultProxy, write: object, fault: Reset | Reply) -> None:
    wants_a_delete_and_a_change(site)
    proxy.rule = first(1, fault, write)  # type: ignore[arg-type]

    converges(site)


def test_a_write_that_fails_is_told_and_the_rest_goes_on(site: Site, proxy: FaultProxy) -> None:
    wants_a_delete_and_a_change(site)
    proxy.rule = always(Reply(500), _patch)
    report = site.once()

    assert list(failures(report)) == ["Update Deployment/chat"]
    assert report.exit_code == 1
    assert status_of(report, "chat").word in (Health.READY, Health.UPDATING)
    proxy.rule = None
    converges(site)


def test_nothing_is_deleted_for_an_endpoint_of_which_another_write_failed(site: Site, proxy: FaultProxy) -> None:
    """Two replicas have a PodDisruptionBudget; with one it goes, but not while the Deployment could not be written."""
    site.change("chat", replicas=2)
    site.ready("chat")
    site.change("chat", replicas=1)
    proxy.rule = always(Reply(500), _patch)
    report = site.once()

    assert set(failures(report)) == {"Update Deployment/chat", "Delete PodDisruptionBudget/chat"}
    assert "another write for it failed" in failures(report)["Delete PodDisruptionBudget/chat"].message
    assert site.is_there("PodDisruptionBudget")
    proxy.rule = None
    site.apply(lambda report: not report.plan.unreadable and not site.is_there("PodDisruptionBudget"))
