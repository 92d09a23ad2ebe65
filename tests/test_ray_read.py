"""What a reading of Serve means: complete or an error, whose an application is, how its replicas are."""

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from serve_answers import EMPTY, TRACEBACK, Dashboard, answer, application, dashboard, deployment, group, replica
from test_ray_render import CHAT, LAB

from reconciler.errors import TargetError, TargetRefused, TargetUnavailable
from reconciler.resource import Binding, LiveResource, Observation, ReplicaState, Resource, Serving
from reconciler.targets.protocol import Claim
from reconciler.targets.ray.answer import parse
from reconciler.targets.ray.client import RayClient, Token
from reconciler.targets.ray.document import marked
from reconciler.targets.ray.health import last_words
from reconciler.targets.ray.read import FailedSince, observe, read_state
from reconciler.targets.ray.render import render_workload

OURS = Claim("default", "root")
RESOURCE = render_workload(CHAT, LAB).resources[0]
NOW = 1000.0


@pytest.fixture
def board() -> Iterator[Dashboard]:
    with dashboard() as running:
        yield running


@pytest.fixture
def client(board: Dashboard) -> Iterator[RayClient]:
    with contextlib.closing(RayClient(board.address, Token("the-token"))) as opened:
        yield opened


def submitted(instance: str = "default", attempt: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(marked(RESOURCE.manifest, RESOURCE.mark(instance, "root"), Binding(attempt=attempt))))
    return document


def seen(client: RayClient, *wanted: Resource) -> Observation:
    return observe("lab", read_state(client), {resource.key: resource for resource in wanted}, OURS, client, NOW)


def facts(
    status: str, engine: dict[str, Any] | None, message: str = "", groups: tuple[dict[str, Any], ...] = ()
) -> tuple[LiveResource, Serving]:
    state = parse(answer(application(submitted(), status, message, engine=engine), groups=groups))
    with contextlib.closing(RayClient("http://127.0.0.1:9", Token(""))) as nobody:
        live = observe("lab", state, {}, OURS, nobody, NOW).resources[RESOURCE.key]
    assert live.serving is not None
    return live, live.serving


def states(serving: Serving) -> list[str]:
    return [replica.state.value for replica in serving.replicas]


def test_ours_is_read_as_it_was_rendered(board: Dashboard, client: RayClient) -> None:
    board.applications = answer(application(submitted(attempt=2), engine=deployment(replica("a"), replica("b"), target=2)))

    live = seen(client).resources[RESOURCE.key]

    assert live.manifest == RESOURCE.manifest
    assert live.mark == RESOURCE.mark("default", "root")
    assert live.binding.attempt == 2
    assert live.serving is not None
    assert (live.serving.ready, live.serving.desired) == (2, 2)
    assert board.headers[0]["Authorization"] == "Bearer the-token"
    assert not {"Origin", "Referer", "Sec-Fetch-Mode"} & set(board.headers[0])


def test_an_empty_answer_counts_only_with_a_second_source(board: Dashboard, client: RayClient) -> None:
    board.applications = EMPTY
    with pytest.raises(TargetUnavailable, match="RAY6"):
        read_state(client)

    board.actors = ("DEAD",)
    assert seen(client).resources == {}
    board.actors = ()
    assert seen(client).resources == {}


@pytest.mark.parametrize(
    "said",
    [
        (503, "GCS may be down"),
        (500, "Internal"),
        {"result": False, "msg": "no", "data": {}},
        {"result": True, "data": {"result": {"result": [], "partial_failure_warning": "one node did not answer"}}},
        {"result": True, "data": {}},
        (200, "not JSON"),
    ],
)
def test_a_second_source_that_does_not_know_is_no_proof(board: Dashboard, client: RayClient, said: Any) -> None:
    board.applications = EMPTY
    board.answers["/api/v0/actors"] = said

    with pytest.raises(TargetError):
        read_state(client)


def test_a_serve_without_applications_is_empty(board: Dashboard, client: RayClient) -> None:
    board.applications = answer()

    assert seen(client).resources == {}


BROKEN: dict[str, Any] = {
    "no object": [],
    "no controller": {"applications": {}},
    "no applications": {"controller_info": {"a": 1}, "http_options": {}},
    "applications without a controller": {"controller_info": {}, "applications": {"a": {}}},
    "no http options": {**answer(), "http_options": None},
    "applications as a list": {**answer(), "applications": []},
    "an application without a status": answer({**application({"name": "a"}), "status": None}),
    "an application without deployments": answer({**application({"name": "a"}), "deployments": None}),
    "a config that is a text": answer({**application({"name": "a"}), "deployed_app_config": "<hidden>"}),
    "replicas that are no list": answer(application({"name": "a"}, engine={**deployment(), "replicas": None})),
    "a replica without a state": answer(application({"name": "a"}, engine=deployment({**replica("a"), "state": ""}))),
    "targets that are no list": answer(groups=({**group("a"), "targets": None},)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_incomplete_answer_is_an_error(name: str) -> None:
    with pytest.raises(TargetUnavailable, match="RAY5"):
        parse(BROKEN[name])


@pytest.mark.parametrize(
    ("said", "error", "code"),
    [
        ((401, "Unauthorized"), TargetRefused, "RAY2"),
        ((403, "Forbidden"), TargetRefused, "RAY2"),
        ((503, "GCS may be down"), TargetUnavailable, "RAY3"),
        ((500, "boom"), TargetUnavailable, "RAY3"),
        ((404, "nothing here"), TargetRefused, "RAY5"),
        ((200, "<html>welcome</html>"), TargetRefused, "RAY5"),
        ((501, ""), TargetRefused, "RAY4"),
    ],
)
def test_every_refusal_has_a_code_and_a_cure(board: Dashboard, client: RayClient, said: Any, error: type[TargetError], code: str) -> None:
    board.applications = said

    with pytest.raises(error) as raised:
        read_state(client)

    problem = raised.value.problem
    assert problem.code == code
    assert problem.where == board.address
    assert problem.todo
    assert "the-token" not in str(raised.value)


def test_nobody_at_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(TargetUnavailable, match="nothing listens there"):
            RayClient(f"http://127.0.0.1:{taken.getsockname()[1]}", Token("")).applications()


def test_somebody_who_never_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TargetUnavailable, match="no answer in time"):
            RayClient(f"http://127.0.0.1:{silent.getsockname()[1]}", Token("")).applications(timeout=0.05)


@pytest.mark.parametrize("address", ["", "8265", "ftp://head", "http://"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(TargetRefused, match="RAY5"):
        RayClient(address, Token(""))


def test_a_token_is_never_printed() -> None:
    assert "secret" not in f"{Token('secret')} {Token('secret')!r} {[Token('secret')]}"


def test_foreign_applications_are_seen_only_under_a_wanted_name(board: Dashboard, client: RayClient) -> None:
    config = {"name": "team-a_chat", "route_prefix": "/x", "import_path": "a:b"}
    board.applications = answer(application(config), application({"name": "somebody", "import_path": "a:b"}))

    assert seen(client).resources == {}
    assert seen(client, RESOURCE).resources[RESOURCE.key].mark is None


def test_code_that_was_deployed_by_hand_holds_its_name(board: Dashboard, client: RayClient) -> None:
    board.applications = answer(application(None, name="team-a_chat"))

    assert seen(client, RESOURCE).resources[RESOURCE.key].mark is None


def test_another_instance_holds_a_wanted_name_and_nothing_else(board: Dashboard, client: RayClient) -> None:
    board.applications = answer(application(submitted("other")))

    assert seen(client).resources == {}
    mark = seen(client, RESOURCE).resources[RESOURCE.key].mark
    assert mark is not None
    assert mark.instance == "other"


def test_a_name_that_is_being_deleted_is_free_and_noted(board: Dashboard, client: RayClient) -> None:
    board.applications = answer(application(None, "DELETING", name="team-a_chat"))

    assert seen(client, RESOURCE).resources == {}
    assert seen(client, RESOURCE).notes == ("team-a_chat is being deleted",)


def test_a_prefix_that_somebody_has_is_a_problem_of_the_endpoint(board: Dashboard, client: RayClient) -> None:
    board.applications = answer(application({"name": "somebody", "route_prefix": "/team-a/chat", "import_path": "a:b"}))

    (problem,) = seen(client, RESOURCE).problems

    assert problem.owner == "Endpoint/team-a/chat"
    assert "somebody" in problem.what


def test_addresses_are_replicas_only() -> None:
    targets = group(
        "team-a_chat", ("10.0.0.2", 30001, "SERVE_REPLICA::b"), ("10.0.0.1", 30000, "SERVE_REPLICA::a"), ("10.0.0.1", 8000, "proxy")
    )
    grpc = group("team-a_chat", ("10.0.0.1", 40000, "SERVE_REPLICA::a"), protocol="gRPC")

    live, _ = facts("RUNNING", deployment(replica("a")), groups=(targets, grpc))

    assert live.addresses == ("10.0.0.1:30000", "10.0.0.2:30001")


def test_while_only_proxies_are_listed_there_is_no_address() -> None:
    live, _ = facts("DEPLOYING", None, groups=(group("team-a_chat", ("10.0.0.1", 8000, "SERVE_PROXY_ACTOR-1")),))

    assert live.addresses == ()


def test_a_loopback_address_is_rewritten_to_where_it_is_bound() -> None:
    groups = (group("team-a_chat", ("127.0.0.20", 30000, "SERVE_REPLICA::a"), ("10.0.0.1", 30000, "SERVE_REPLICA::b")),)
    bound = parse(answer(application(submitted()), groups=groups, host="127.0.0.1"))
    anywhere = parse(answer(application(submitted()), groups=groups))

    assert bound.applications["team-a_chat"].addresses == ("10.0.0.1:30000", "127.0.0.1:30000")
    assert anywhere.applications["team-a_chat"].addresses == ("10.0.0.1:30000", "127.0.0.20:30000")


def test_building_has_no_replica_and_moves() -> None:
    _, serving = facts("DEPLOYING", None)

    assert (serving.desired, serving.ready, serving.rollout, serving.since) == (2, 0, True, 90.0)


def test_a_flap_is_unsettled() -> None:
    _, flap = facts("DEPLOYING", deployment(replica("a")))
    _, real = facts("DEPLOYING", deployment(replica("a"), replica("b", "STARTING"), status="UPDATING", target=2))

    assert flap.unsettled
    assert not real.unsettled


def test_a_replica_without_room_is_pending() -> None:
    message = 'Deployment "Engine" has 1 replicas that have taken more than 30s to be scheduled. Required: {"GPU": 8}'

    _, serving = facts("DEPLOYING", deployment(replica("a", "STARTING"), status="UPDATING", message=message))

    assert states(serving) == ["pending"]
    assert "GPU" in serving.message


def test_a_failed_start_is_given_up_with_the_last_words() -> None:
    engine = deployment(status="DEPLOY_FAILED", trigger="REPLICA_STARTUP_FAILED", message=TRACEBACK, dead=(replica("a", "STOPPED"),))

    _, serving = facts("DEPLOY_FAILED", engine, "Failed to update the deployments ['Engine'].")

    assert serving.gave_up
    assert states(serving) == ["failing"]
    assert serving.message.startswith("engine exited with code 3: loading | out of memory")
    assert serving.replicas[0].reason == "REPLICA_STARTUP_FAILED"


def test_a_failed_update_with_surge_still_serves() -> None:
    _, serving = facts("DEPLOY_FAILED", deployment(replica("old"), status="DEPLOY_FAILED", message=TRACEBACK))

    assert sorted(states(serving)) == ["failing", "serving"]


def test_a_failed_build_fails_without_replicas() -> None:
    _, serving = facts("DEPLOY_FAILED", None, "ModuleNotFoundError: No module named 'x'")

    assert states(serving) == ["failing"]
    assert serving.message == "No module named 'x'"


def test_one_of_two_dead() -> None:
    engine = deployment(replica("a"), replica("b", "STARTING"), status="UNHEALTHY", trigger="HEALTH_CHECK_FAILED", target=2)

    _, serving = facts("UNHEALTHY", engine)

    assert states(serving) == ["failing", "serving"]
    assert not serving.gave_up


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (deployment(replica("b"), dead=(replica("a", "STOPPED"),)), ["serving"]),
        (deployment(replica("b"), dead=(replica("x", "STOPPED", 950.0), replica("a", "STOPPED", 900.0))), ["failing", "serving"]),
        (deployment(replica("b", "STARTING"), status="UPDATING", dead=(replica("a", "STOPPED"),)), ["failing", "starting"]),
        (deployment(replica("b", "STARTING"), status="UPDATING", dead=(replica("a", "STOPPED", 80.0),)), ["starting"]),
        (deployment(replica("b"), replica("a", "STOPPING")), ["serving"]),
    ],
    ids=["replaced is history", "second within minutes", "while one is missing", "died before the last change", "stopping does not count"],
)
def test_dead_replicas(engine: dict[str, Any], expected: list[str]) -> None:
    _, serving = facts("RUNNING", engine)

    assert states(serving) == expected


def test_scaled_to_zero() -> None:
    live, serving = facts("RUNNING", deployment(target=0))

    assert (serving.desired, states(serving)) == (0, [])
    assert live.meets_needs


def test_the_reason_of_a_dead_replica_comes_from_its_log(board: Dashboard, client: RayClient) -> None:
    engine = deployment(replica("b", "STARTING"), status="UNHEALTHY", trigger="HEALTH_CHECK_FAILED", dead=(replica("a", "STOPPED"),))
    board.applications = answer(application(submitted(), "UNHEALTHY", engine=engine))
    board.answers["/api/v0/logs/file"] = (200, "INFO x\nERROR 2026 lab -- engine was killed by SIGKILL: CUDA error\nINFO bye\n")

    live = seen(client).resources[RESOURCE.key]

    assert live.message == "engine was killed by SIGKILL: CUDA error"
    assert live.serving is not None
    assert live.serving.replicas[0].message == live.message
    assert live.serving.replicas[0].state is ReplicaState.FAILING


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("plain words", "plain words"),
        ("a\nValueError: b\nc", "b c"),
        ("ray.exceptions.ActorDiedError: gone", "gone"),
        (TRACEBACK, None),
    ],
)
def test_last_words(text: str, words: str | None) -> None:
    assert last_words(text) == words if words is not None else last_words(text).startswith("engine exited")


def test_the_time_of_giving_up_is_not_moved_by_other_writes() -> None:
    failed = FailedSince()

    def since(deployed_at: float, status: str = "DEPLOY_FAILED", attempt: int = 0) -> float | None:
        raw = {
            **application(submitted(attempt=attempt), status, engine=deployment(status="DEPLOY_FAILED")),
            "last_deployed_time_s": deployed_at,
        }
        with contextlib.closing(RayClient("http://127.0.0.1:9", Token(""))) as nobody:
            seen = failed.put_in(observe("lab", parse(answer(raw)), {}, OURS, nobody, NOW))
        facts = seen.resources[RESOURCE.key].serving
        assert facts is not None
        return facts.since

    assert since(90.0) == 90.0
    assert since(95.0) == 90.0
    assert since(97.0, "DEPLOYING") == 97.0
    assert since(97.0) == 90.0
    assert since(99.0, attempt=1) == 99.0
