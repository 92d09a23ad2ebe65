"""How the whole list is written: nothing foreign changed, nothing without need, nothing hidden written back."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from serve_answers import EMPTY, Dashboard, answer, application, dashboard
from test_ray_render import CHAT, LAB

from reconciler import checkpoint
from reconciler.change import Change, ChangeClass, Create, Delete, Effects, Outcome, Rebind, Replace, Update
from reconciler.errors import Busy, TargetUnavailable
from reconciler.resource import Binding, LiveResource, Resource
from reconciler.targets.protocol import Claim, Context
from reconciler.targets.ray.client import RayClient, Token
from reconciler.targets.ray.document import marked
from reconciler.targets.ray.read import observe, read_state
from reconciler.targets.ray.render import render_workload
from reconciler.targets.ray.write import First, RayWriter

CLAIM = Claim("default", "root")
NONE = Effects(ChangeClass.IN_PLACE)
FOREIGN = {"name": "somebody", "route_prefix": "/somebody", "import_path": "a:b", "args": {"n": 5.0, "text": "ä"}, "runtime_env": {}}


def endpoint(name: str, **fields: Any) -> Resource:
    meta = replace(CHAT.meta, owner=f"Endpoint/team-a/{name}")
    return render_workload(replace(CHAT, name=name, meta=meta, **fields), LAB).resources[0]


def document(resource: Resource, attempt: int = 0, instance: str = "default") -> dict[str, Any]:
    value: dict[str, Any] = json.loads(json.dumps(marked(resource.manifest, resource.mark(instance, "root"), Binding(attempt=attempt))))
    return value


@pytest.fixture
def board() -> Iterator[Dashboard]:
    with dashboard() as running:
        running.actors = ()
        yield running


class Hand:
    """Reads and writes as a pass does."""

    def __init__(self, board: Dashboard, client: RayClient) -> None:
        self.board, self.client, self.held = board, client, True

    def live(self, resource: Resource) -> LiveResource:
        return observe("lab", read_state(self.client), {}, CLAIM, self.client, 0.0).resources[resource.key]

    def write(self, *changes: Change) -> list[Outcome]:
        context = Context(None, CLAIM, True, lambda: 0.0, lambda: self.held)  # type: ignore[arg-type]
        return list(RayWriter(self.client, context, First("127.9.9.9", 8123)).write(changes))

    def names(self) -> list[str]:
        return [config["name"] for config in self.board.puts[-1]["applications"]]


@pytest.fixture
def hand(board: Dashboard) -> Iterator[Hand]:
    with contextlib.closing(RayClient(board.address, Token(""))) as client:
        yield Hand(board, client)


def codes(outcomes: list[Outcome]) -> list[str]:
    return [outcome.problem.code if outcome.problem else "" for outcome in outcomes]


def test_the_first_write_sets_the_options_that_last(hand: Hand) -> None:
    hand.board.applications = EMPTY
    chat = endpoint("chat")

    outcomes = hand.write(Create(chat, NONE))

    assert codes(outcomes) == [""]
    assert hand.board.puts == [
        {
            "proxy_location": "EveryNode",
            "http_options": {"host": "127.9.9.9", "port": 8123, "request_timeout_s": 3600.0},
            "applications": [document(chat)],
        }
    ]


def test_a_wave_is_laid_over_everything_that_is_there(hand: Hand) -> None:
    kept, changed, gone, fresh = endpoint("kept"), endpoint("changed"), endpoint("gone"), endpoint("fresh")
    there = [application(document(one, attempt=1)) for one in (kept, changed, gone)]
    hand.board.applications = answer(application(FOREIGN), *there, application(None, name="by-code"), target_capacity=50.0)
    after = endpoint("changed", replicas=3)

    outcomes = hand.write(
        Update(after, hand.live(changed), (), NONE, Binding(attempt=1)),
        Delete(hand.live(gone), NONE),
        Create(fresh, NONE, Binding(attempt=2)),
    )

    (body,) = hand.board.puts
    assert codes(outcomes) == ["", "", ""]
    assert body["applications"] == [FOREIGN, document(kept, 1), document(after, 1), document(fresh, 2)]
    assert body["target_capacity"] == 50.0
    assert body["http_options"]["port"] == 8000
    assert body["proxy_location"] == "HeadOnly"


def test_nothing_is_put_when_nothing_differs(hand: Hand) -> None:
    chat, gone = endpoint("chat"), endpoint("gone")
    hand.board.applications = answer(application(document(chat)), application(document(gone)))
    chat_live, gone_live = hand.live(chat), hand.live(gone)
    hand.board.applications = answer(application(document(chat)))

    outcomes = hand.write(Create(chat, NONE), Update(chat, chat_live, (), NONE), Delete(gone_live, NONE), Rebind(chat_live, Binding(), ""))

    assert [outcome.applied for outcome in outcomes] == [True] * 2
    assert hand.board.puts == []


def test_a_float_that_comes_back_for_an_int_is_no_difference(hand: Hand) -> None:
    chat = endpoint("chat")
    config = document(chat)
    config["deployments"][0]["num_replicas"] = 2.0
    hand.board.applications = answer(application(config))

    hand.write(Create(chat, NONE))

    assert hand.board.puts == []


def test_only_the_attempt_counts_up(hand: Hand) -> None:
    chat = endpoint("chat")
    hand.board.applications = answer(application(document(chat, 1)))

    assert codes(hand.write(Rebind(hand.live(chat), Binding(attempt=2), "another try"))) == [""]
    assert hand.board.puts[0]["applications"] == [document(chat, 2)]


def test_what_changed_since_the_plan_is_not_touched_and_the_rest_goes_on(hand: Hand) -> None:
    one, two, three, four = (endpoint(name) for name in ("one", "two", "three", "four"))
    hand.board.applications = answer(*(application(document(each)) for each in (one, two, three)))
    lives = [hand.live(each) for each in (one, two, three)]
    edited, stolen = document(endpoint("one", replicas=7)), document(two, instance="other")
    hand.board.applications = answer(
        *(application(config) for config in (edited, stolen, document(three), {**FOREIGN, "name": "team-a_four"}))
    )

    outcomes = hand.write(
        Update(endpoint("one", replicas=3), lives[0], (), NONE), Delete(lives[1], NONE), Delete(lives[2], NONE), Create(four, NONE)
    )

    assert sorted(codes(outcomes)) == ["", "RAY7", "RAY7", "RAY7"]
    assert hand.board.puts[0]["applications"] == [edited, stolen, {**FOREIGN, "name": "team-a_four"}]


def test_an_update_of_what_is_gone_is_not_a_create(hand: Hand) -> None:
    chat = endpoint("chat")
    hand.board.applications = answer(application(document(chat)))
    live = hand.live(chat)
    hand.board.applications = answer(application(None, "DELETING", name="team-a_chat"))

    assert codes(hand.write(Update(endpoint("chat", replicas=3), live, (), NONE))) == ["RAY7"]
    assert hand.board.puts == []


def test_what_is_being_deleted_is_not_put_back_by_another_change(hand: Hand) -> None:
    hand.board.applications = answer(application(FOREIGN, "DELETING"))

    hand.write(Create(endpoint("chat"), NONE))

    assert hand.names() == ["team-a_chat"]


def test_code_deployed_by_hand_is_not_taken_over(hand: Hand) -> None:
    hand.board.applications = answer(application(None, name="team-a_chat"))

    assert codes(hand.write(Create(endpoint("chat"), NONE))) == ["RAY7"]
    assert hand.board.puts == []


def test_a_replace_deletes_now(hand: Hand) -> None:
    chat = endpoint("chat")
    hand.board.applications = answer(application(document(chat)))

    assert codes(hand.write(Replace(endpoint("chat", replicas=9), hand.live(chat), (), NONE))) == [""]
    assert hand.board.puts[0]["applications"] == []


def test_hidden_values_are_never_written_back(hand: Hand) -> None:
    hand.board.applications = answer(application({**FOREIGN, "runtime_env": {"env_vars": {"KEY": "<redacted>"}}}))

    (outcome,) = hand.write(Create(endpoint("chat"), NONE))

    assert outcome.problem is not None
    assert outcome.problem.code == "RAY8"
    assert hand.board.puts == []


def test_an_unconfirmed_empty_list_is_never_written_over(hand: Hand) -> None:
    hand.board.applications, hand.board.actors = EMPTY, ("ALIVE",)

    with pytest.raises(TargetUnavailable, match="RAY6"):
        hand.write(Create(endpoint("chat"), NONE))
    assert hand.board.puts == []


def test_a_lost_lock_stops_the_write(hand: Hand) -> None:
    hand.board.applications, hand.held = answer(), False

    with pytest.raises(Busy):
        hand.write(Create(endpoint("chat"), NONE))
    assert hand.board.puts == []


def test_one_refused_document_does_not_hold_the_others(hand: Hand) -> None:
    good, bad = endpoint("good"), endpoint("bad")
    hand.board.applications = answer()
    taken = hand.board.put

    def put(body: dict[str, Any]) -> tuple[int, str]:
        if any(config["name"] == "team-a_bad" for config in body["applications"]):
            return 400, "validation error: route_prefix"
        return taken(body)

    hand.board.put = put  # type: ignore[method-assign]
    outcomes = hand.write(Create(good, NONE), Create(bad, NONE))

    assert codes(outcomes) == ["", "RAY4"]
    assert outcomes[1].problem is not None
    assert "validation error: route_prefix" in outcomes[1].problem.why


def test_a_refused_token_or_a_lost_control_plane_is_an_error_of_the_target(hand: Hand) -> None:
    hand.board.applications = answer()
    hand.board.put_status = (503, "GCS may be down")

    with pytest.raises(TargetUnavailable, match="RAY3"):
        hand.write(Create(endpoint("chat"), NONE))


def test_keys_that_serve_drops_are_found_by_reading_back(hand: Hand) -> None:
    chat = endpoint("chat")
    hand.board.applications = answer()
    config = document(chat)
    del config["deployments"][0]["max_surge_percent"]

    def put(body: dict[str, Any]) -> tuple[int, str]:
        hand.board.applications = answer(application(config))
        return 200, ""

    hand.board.put = put  # type: ignore[method-assign]
    (outcome,) = hand.write(Create(chat, NONE))

    assert codes([outcome]) == ["RAY9"]
    assert outcome.problem is not None
    assert "deployments" in outcome.problem.why


@pytest.mark.parametrize(
    "after",
    [
        [application({**FOREIGN, "args": {"n": 6.0}})],
        [application(FOREIGN), application(None, "DELETING", name="just-created")],
        [],
    ],
    ids=["changed", "created and caught", "gone"],
)
def test_what_somebody_else_wrote_in_between_is_told(hand: Hand, after: list[dict[str, Any]]) -> None:
    chat = endpoint("chat")
    hand.board.applications = answer(application(FOREIGN))

    def put(body: dict[str, Any]) -> tuple[int, str]:
        hand.board.applications = answer(*after, application(document(chat)))
        return 200, ""

    hand.board.put = put  # type: ignore[method-assign]
    (outcome,) = hand.write(Create(chat, NONE))

    assert outcome.applied
    assert codes([outcome]) == ["RAY9"]
    assert ("just-created" if len(after) == 2 else "somebody") in outcome.message


def test_the_put_is_a_place_where_one_can_be_killed(hand: Hand) -> None:
    places: list[str] = []
    hand.board.applications = answer()
    checkpoint.listen(places.append)
    try:
        hand.write(Create(endpoint("chat"), NONE))
    finally:
        checkpoint.listen(None)

    assert places == ["ray: put/before", "ray: put/after"]
