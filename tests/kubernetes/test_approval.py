"""`probes.requireApproval`: no replica takes requests before a person lets it, in a rolling update neither."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.main import main
from reconciler.resource import Health
from tests.kubernetes.kube_site import WORKSPACE, Site, changes, done, opened, status_of, text_of, wait_until
from tests.kubernetes.pod_history import history, pods_of
from tools.controlplane import ControlPlane

WAITS = "RequireReadinessApproval"
ENDPOINT = f"{WORKSPACE}/chat"


@pytest.fixture
def site(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Site]:
    """Two replicas that are up, and wait."""
    with opened(control_plane, tmp_path) as site:
        site.change(replicas=2, probes={"requireApproval": True})
        waits_for(site, 2)
        yield site


def waits_for(site: Site, count: int) -> None:
    """Passes until so many replicas wait for a person, and nothing else is on its way."""

    def waiting() -> bool:
        found = status_of(site.once())
        return [replica.reason for replica in found.replicas].count(WAITS) == count

    wait_until(waiting, f"not {count} replicas wait")


def approve(site: Site, *words: str, endpoint: str = ENDPOINT) -> int:
    return main(["approve", endpoint, *words, "--state", str(site.where.state)])


def names(site: Site) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in site.pods())


def addresses(site: Site, *replicas: str) -> list[str]:
    return sorted(f"{pod['status']['podIP']}:8000" for pod in site.pods() if pod["metadata"]["name"] in replicas)


def test_a_route_opens_with_the_first_replica_that_is_approved(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = names(site)
    found = status_of(site.once())
    assert (found.word, found.ready, found.desired) == (Health.STARTING, 0, 2)
    assert f"waits for a person's approval: reconciler approve {ENDPOINT}" in found.message
    assert site.route() is None

    assert approve(site, "--replica", second) == 0
    assert capsys.readouterr().out == f"{second}  approved\n"
    wait_until(lambda: done(site.once()) == ["Create Route/chat"])
    assert site.addresses() == addresses(site, second)

    assert approve(site) == 0
    assert capsys.readouterr().out == f"{first}  approved\n"
    site.ready()
    assert site.addresses() == addresses(site, first, second)


def test_an_approval_is_no_drift_and_given_once(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert approve(site) == 0
    site.ready()
    report = site.plan()
    assert (report.exit_code, report.notes) == (0, ())
    assert text_of(report).startswith("No changes at ")
    assert site.writes(site.once) == []

    capsys.readouterr()
    assert approve(site) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert f"No replica of {ENDPOINT} changed" in said.err


def test_a_revoked_replica_gets_no_new_requests_until_it_is_approved_again(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = names(site)
    approve(site)
    site.ready()
    capsys.readouterr()

    assert approve(site, "--replica", first, "--revoke") == 0
    assert capsys.readouterr().out == f"{first}  not approved any more\n"
    site.apply(lambda report: site.addresses() == addresses(site, second))
    found = status_of(site.once())
    assert found.ready == 1
    assert [(one.name, one.reason) for one in found.replicas if one.reason] == [(first, WAITS)], "it runs on"

    approve(site)
    site.ready()
    assert site.addresses() == addresses(site, first, second)


def test_a_rolling_update_goes_on_as_its_replicas_are_approved(site: Site) -> None:
    approve(site)
    site.ready()
    before, old = pods_of(site), names(site)
    site.change(engine={"args": {"ctx_size": 2048}})
    planned = site.plan()
    assert "2 replicas restart, new ones first, each new one waits for an approval" in text_of(planned)
    assert changes(planned)["Deployment/chat"].effects.restarts == 2

    for number in (1, 2):  # one surge: the next new one comes when the last was approved
        waits_for(site, 1)
        found = status_of(site.once())
        assert (found.word, found.ready) == (Health.UPDATING, 2)
        assert len(set(names(site)) & set(old)) == 3 - number
        approve(site)
    last = site.ready()

    counts = history(site, before)
    assert (counts.fewest_ready, counts.most) == (2, 3)
    assert not set(names(site)) & set(old)
    assert (last.exit_code, site.addresses()) == (0, addresses(site, *names(site)))


def test_no_clock_runs_while_a_person_is_waited_for(control_plane: ControlPlane, tmp_path: Path) -> None:
    with opened(control_plane, tmp_path) as site:
        site.change(probes={"requireApproval": True}, rollout={"timeoutSeconds": 1})
        waits_for(site, 1)

        def overdue() -> bool:
            """For the server, whose deadline knows nothing of persons."""
            return any(one["reason"] == "ProgressDeadlineExceeded" for one in site.live()["status"]["conditions"])

        wait_until(overdue, "there is no deadline")
        assert status_of(site.once()).word is Health.STARTING
        approve(site)
        site.ready()


def test_an_endpoint_without_the_gate_has_nothing_to_approve(
    control_plane: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(control_plane, tmp_path) as site:
        site.ready()
        assert approve(site) == 0
        assert "it does not ask for approval (probes.requireApproval)" in capsys.readouterr().err


MISTAKES = {
    "another endpoint": (["team-a/gone"], "no endpoint 'team-a/gone' in the last pass", "reconciler status lists every endpoint"),
    "no workspace": (["chat"], "no endpoint 'default/chat' in the last pass", "reconciler status lists every endpoint"),
    "another replica": ([ENDPOINT, "--replica", "chat-1"], "not changed: chat-1", "no such replica"),
}


@pytest.fixture(scope="module")
def standing(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with opened(control_plane, tmp_path_factory.mktemp("approval")) as site:
        site.change(probes={"requireApproval": True})
        waits_for(site, 1)
        yield site
        site.api.close()  # nobody asked for long: the server may have hung up


@pytest.mark.parametrize("what", MISTAKES)
def test_a_wrong_name_is_told(standing: Site, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, *said = MISTAKES[what]
    assert main(["approve", *words, "--state", str(standing.where.state)]) == 1
    error = capsys.readouterr().err
    assert all(text in error for text in said), error
    assert "[U6]" in error


def test_an_endpoint_on_ray_is_told(standing: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Ray's replicas serve when they are up. This one cannot even be asked: what the last pass knew is enough."""
    standing.declare(
        "clusters/lab.yaml", "Cluster", "lab", {"type": "ray", "ray": {"dashboardUrl": "http://127.0.0.1:9", "modelRoot": "/m"}}
    )
    text = standing.file("chat").read_text().replace("name: chat", "name: talk")
    standing.file("talk").write_text(text)
    standing.edit(standing.file("talk"), cluster="lab", probes=None, model={"servedName": None})
    standing.edit(standing.repo / "gateways" / "public.yaml", clusters=[standing.cluster, "lab"])
    standing.commit("one on Ray")
    assert status_of(standing.once(), "talk").word is Health.UNKNOWN

    assert approve(standing, endpoint="team-a/talk") == 1
    error = capsys.readouterr().err
    assert "endpoint 'team-a/talk' is not on a Kubernetes cluster" in error
    assert "only Kubernetes has replicas that wait for approval" in error
