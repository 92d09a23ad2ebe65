"""Faults at the boundary, on the real parts: whatever is killed, and whenever, the next pass converges. No orphan, no double, no wrong
delete, and the endpoint that nobody touched answers all the time."""

import os
import signal
from collections.abc import Iterator

import pytest
from fault_site import NAMES, Site, site
from ray_cluster import until

from reconciler.local import envoy, ray
from tools.demo import DemoFailed
from tools.demo.traffic import Steadily

pytestmark = pytest.mark.real

PLACES = (
    "state: record/before",
    "state: record/after",
    "ray: put/before",
    "ray: put/after",
    "envoy: state.json/before",
    "envoy: state.json/after",
    "envoy: cds.json/before",
    "envoy: cds.json/after",
    "envoy: ecds_authn.json/before",
    "envoy: ecds_authn.json/after",
    "envoy: rds.json/before",
    "envoy: rds.json/after",
    "envoy: state.json/after#2",
    "state: record/after#2",
)


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    with site() as found:
        yield found


@pytest.fixture
def calm(running: Site) -> Iterator[Site]:
    """Everything as declared before and after: a fault that leaves something behind fails its own test."""
    running.stage.settle("as declared before the fault")
    yield running
    running.stage.settle("as declared after the fault")
    running.serves()


def answers(found: Site, name: str) -> None:
    if not found.pid(name):
        raise DemoFailed(f"{name} does not answer: {found.ask(name)}")


def test_a_killed_engine_is_replaced_and_its_address_follows(calm: Site) -> None:
    before = calm.pid("alpha")

    with Steadily("beta", lambda: answers(calm, "beta"), pause=0.05) as traffic:
        os.kill(before, signal.SIGKILL)
        until(lambda: calm.pid("alpha") not in (0, before), 20)

    traffic.answered()


def test_a_killed_envoy_comes_back_with_the_same_answers(calm: Site) -> None:
    before = envoy.running(calm.stage.state, "public")
    assert before is not None
    pids = [calm.pid(name) for name in NAMES]

    os.kill(before.pid, signal.SIGKILL)

    until(lambda: [calm.pid(name) for name in NAMES] == pids, 10)
    after = envoy.running(calm.stage.state, "public")
    assert after is not None
    assert after.pid != before.pid


def test_the_control_state_killed_in_the_middle_of_an_apply_loses_nothing(calm: Site) -> None:
    """Ray's head loses its GCS between our reading and our write; the keeper puts it back, the replicas stay."""
    stays = calm.pid("beta")
    calm.endpoint("alpha", replicas=2)
    calm.stage.git("commit", "--quiet", "-a", "-m", "alpha has two replicas")

    with Steadily("beta", lambda: answers(calm, "beta"), pause=0.05) as traffic:
        os.kill(gcs(calm), signal.SIGKILL)
        calm.stage.trigger()
        until(lambda: len({calm.pid("alpha") for _ in range(8)} - {0}) == 2, 90)

    traffic.answered()
    assert calm.pid("beta") == stays
    calm.endpoint("alpha")
    calm.stage.commit("alpha has one again")


def gcs(found: Site) -> int:
    running = ray.running(found.stage.state, "lab")
    assert running is not None
    return next(pid for pid, command in found.stage.processes().items() if "gcs_server" in command.split()[0])


def test_the_whole_head_killed_comes_back_with_its_endpoints(calm: Site) -> None:
    """All of Ray is gone, the engines too: it is started from its storage, and the gateway learns the new addresses."""
    old = {calm.pid(name) for name in NAMES}
    head = next(pid for pid, command in calm.stage.processes().items() if "/raylet/raylet" in command.split()[0])

    os.kill(head, signal.SIGKILL)

    until(lambda: all(calm.pid(name) not in (0, *old) for name in NAMES), 120)
    assert len(calm.engines()) == len(NAMES)


@pytest.mark.parametrize("place", PLACES)
def test_the_daemon_killed_around_a_write_leaves_nothing_half_done(calm: Site, place: str) -> None:
    """One commit makes every kind of write: a Serve list, routes, clusters (a replica more), keys, records."""
    odd = PLACES.index(place) % 2 == 0
    calm.endpoint("alpha", replicas=2 if odd else 1, routing={"timeoutSeconds": 100 + PLACES.index(place)})
    words = ("create", "--workspace", "default", "--owner", "x@example.com", "--write", str(calm.stage.config / "extra.yaml"))
    if odd:
        calm.stage.reconciler("keys", *words)
    else:
        (calm.stage.config / "extra.yaml").unlink()

    with Steadily("beta", lambda: answers(calm, "beta"), pause=0.05) as traffic:
        calm.stage.kill_daemon(signal.SIGTERM)
        calm.stage.commit(f"a change that dies at {place}")
        calm.stage.start_daemon(RECONCILER_KILL_AT=place)
        assert calm.stage.daemon is not None
        assert calm.stage.daemon.wait(60) == -signal.SIGKILL
        calm.stage.start_daemon()
        calm.stage.settle(f"as declared after dying at {place}")
        until(lambda: len(calm.engines()) == (3 if odd else 2), 60)

    traffic.answered()


def test_sigterm_and_sigkill_of_the_daemon_stop_nothing(calm: Site) -> None:
    pids = [calm.pid(name) for name in NAMES]

    for number in (signal.SIGTERM, signal.SIGKILL):
        calm.stage.kill_daemon(number)
        assert [calm.pid(name) for name in NAMES] == pids
        plan = calm.stage.plan(codes=(0,))
        assert "No changes" in plan.out
        calm.stage.start_daemon()
        calm.stage.settle("adopted")

    assert [calm.pid(name) for name in NAMES] == pids


def test_apply_beside_run_says_who_holds_the_lock(calm: Site) -> None:
    answer = calm.stage.reconciler(
        "apply", "--repo", str(calm.stage.config), "--branch", "main", "--state", str(calm.stage.state), codes=(1,)
    )

    assert "is being written by `reconciler run` (pid" in answer.out + answer.err
