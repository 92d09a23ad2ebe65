"""The gateway's answers, on a real Envoy: both ways in, keys and grants, names, paths, limits, streams, hostile input."""

import http.client
import json
import socket
import time

import pytest
from envoy_gateway import Box, ask_on, key_text, until
from replicas import Replicas

pytestmark = pytest.mark.real

CHAT = {"model": "team-a/chat", "messages": [{"role": "user", "content": "hi"}]}


def chat(model: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": 'say {"model": "x"} \\ \u00e9'}], "model": model}


@pytest.mark.parametrize(
    ("path", "body", "key", "status", "code"),
    [
        ("/v1/chat/completions", CHAT, None, 401, "missing_api_key"),
        ("/v1/chat/completions", CHAT, "nobody", 401, "invalid_api_key"),
        ("/v1/chat/completions", CHAT, "late", 401, "expired_api_key"),
        ("/v1/chat/completions", CHAT, "none", 403, "permission_denied"),
        ("/v1/chat/completions", chat("team-b/plain"), "alice", 403, "permission_denied"),
        ("/v1/chat/completions", chat("nothing"), "alice", 404, "model_not_found"),
        ("/v1/chat/completions", {"messages": []}, "alice", 404, "model_not_found"),
        ("/v1/chat/completions", chat(["team-a/chat"]), "alice", 404, "model_not_found"),
        ("/v1/chat/completions", chat({"model": "team-a/chat"}), "alice", 404, "model_not_found"),
        ("/v1/chat/completions", chat("x" * 100_000), "alice", 404, "model_not_found"),
        ("/v1/chat/completions", chat("team-a/chat\r\nx-evil: 1"), "alice", 404, "model_not_found"),
        ("/v1/chat/completions", chat('\u6a21\u578b \U0001f600 "\\'), "alice", 404, "model_not_found"),
        ("/v1/chat/completions", chat("off"), "bob", 503, "endpoint_paused"),
        ("/team-b/off/v1/chat/completions", CHAT, "bob", 503, "endpoint_paused"),
        ("/v1/chat/completions", chat("empty"), "bob", 503, "no_healthy_replica"),
        ("/v1/load_lora_adapter", CHAT, "alice", 404, "unknown_path"),
        ("/team-a/chat/v1/load_lora_adapter", CHAT, "alice", 404, "unknown_path"),
        ("/team-a/chat/metrics", None, "alice", 404, "endpoint_not_found"),
        ("/team-a/nothing/v1/models", None, "alice", 404, "endpoint_not_found"),
        ("/team-b/plain/v1/models", None, "alice", 403, "permission_denied"),
        ("/team-a/../team-b/plain/v1/models", None, "alice", 403, "permission_denied"),
        ("/team-a/chat/v1/chat/completions", None, "alice", 405, "method_not_allowed"),
        ("/team-a%2fchat/v1/models", None, "alice", 400, "invalid_request"),
        ("/", None, "alice", 404, "endpoint_not_found"),
    ],
)
def test_an_answer_of_the_gateway_itself(served: Box, path: str, body: object, key: str | None, status: int, code: str) -> None:
    answer = served.ask(path, body, key)
    assert (answer.status, answer.code) == (status, code)
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["content-type"].startswith("application/json")
    assert "x-evil" not in answer.headers


def test_broken_json_is_a_400(served: Box) -> None:
    for raw in (b'{"model":', b"[]", b"hello", b'{"model": "team-a/chat"}}', b'{"model": "team-a/chat', b""):
        answer = served.ask(key="alice", raw=raw, method="POST")
        assert (answer.status, answer.code) in ((400, "invalid_json"), (404, "model_not_found")), raw
    assert served.ask(key="alice", raw=b'{"model": "team-a/chat"').code == "invalid_json"


@pytest.mark.parametrize("model", ["team-a/chat", "chat", "Qwen3:8b", "qwen3:8B", "TEAM-A/CHAT"])
def test_every_name_of_a_model_reaches_it_with_the_name_that_its_engine_knows(served: Box, replicas: Replicas, model: str) -> None:
    body = chat(model)
    answer = served.ask(body=body, key="alice")
    asked = replicas[answer.replica].asked[-1]
    assert asked.path == "/team-a/chat/v1/chat/completions"
    assert json.loads(asked.body) == {**body, "model": "qwen3-8b"}
    assert int(asked.headers["content-length"]) == len(asked.body)


def test_a_body_that_has_the_engines_name_is_not_touched(served: Box, replicas: Replicas) -> None:
    raw = b'{ "model" : "shared", "messages": [ ] , "n":1}'
    answer = served.ask(key="alice", raw=raw)
    assert json.loads(replicas[answer.replica].asked[-1].body)["model"] == "plain"
    raw = b'{ "model" : "team-b/plain", "messages": [ ] , "n":1}'
    answer = served.ask(key="bob", raw=raw)
    assert replicas[answer.replica].asked[-1].body == raw


def test_the_bare_name_means_the_endpoint_of_the_keys_own_workspace(served: Box) -> None:
    assert served.ask(body=chat("plain"), key="alice").replica == "one"
    assert served.ask(body=chat("plain"), key="bob").replica == "two"
    assert served.ask(body=chat("chat"), key="bob").code == "model_not_found"
    assert served.ask(body=chat("team-a/chat"), key="bob").status == 200


def test_an_escaped_field_name_and_a_field_that_stands_twice(served: Box) -> None:
    assert served.ask(key="alice", raw=b'{"\\u006dodel": "team-a\\/plain"}').status == 200
    assert served.ask(key="alice", raw=b'{"model": "nothing", "x": {"model": "y"}, "model": "team-a/plain"}').status == 200
    assert served.ask(key="alice", raw=b'{"model": "team-a/plain", "model": 7}').code == "model_not_found"


def test_a_body_in_chunks_and_a_body_without_content_type(served: Box, replicas: Replicas) -> None:
    body = json.dumps(chat("team-a/chat")).encode()
    answer = served.ask(key="alice", raw=iter([body[:20], body[20:]]), headers={"transfer-encoding": "chunked"})  # type: ignore[arg-type]
    assert json.loads(replicas[answer.replica].asked[-1].body)["model"] == "qwen3-8b"


def test_path_mode_leaves_the_body_alone_and_keeps_the_query(served: Box, replicas: Replicas) -> None:
    raw = b'{"model": "whatever", "messages": []}'
    answer = served.ask("/team-a/chat/v1/chat/completions?a=1&b=/v1/", key="alice", raw=raw)
    asked = replicas[answer.replica].asked[-1]
    assert (asked.path, asked.body) == ("/team-a/chat/v1/chat/completions?a=1&b=/v1/", raw)
    answer = served.ask("/team-a/plain/v1/models", key="alice")
    assert replicas[answer.replica].asked[-1].path == "/v1/models"


def test_the_credential_and_our_headers_never_reach_a_replica(served: Box, replicas: Replicas) -> None:
    hostile = {
        "x-reconciler-route": "team-b/plain",
        "X-Reconciler-Key-Id": "root",
        "x-request-timeout-seconds": "1",
        "x-request-disconnect-disabled": "?1",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-max-retries": "9",
        "x-api-key": "second",
    }
    answer = served.ask(body=CHAT, key="alice", headers=hostile)
    asked = replicas[answer.replica].asked[-1]
    assert asked.headers["x-reconciler-key-id"] == "alice"
    assert asked.headers["x-reconciler-route"] == "team-a/chat"
    dropped = {"authorization", "x-api-key", "x-request-timeout-seconds", "x-request-disconnect-disabled", "x-envoy-max-retries"}
    assert not dropped & set(asked.headers)
    assert asked.headers.get("x-envoy-upstream-rq-timeout-ms") != "1"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"bearer {key_text('alice')}"},
        {"Authorization": f"BEARER   {key_text('alice')} "},
        {"x-api-key": key_text("alice")},
    ],
)
def test_a_key_in_each_form(served: Box, headers: dict[str, str]) -> None:
    for _ in range(2):  # the second is remembered
        assert served.ask(body=CHAT, headers=headers).status == 200


@pytest.mark.parametrize("value", ["", "Basic YTpi", "Bearer", "Bearer ", "Bearer a b", "Bearer " + "x" * 300, "rcl_alice"])
def test_what_is_no_key(served: Box, value: str) -> None:
    assert served.ask(body=CHAT, headers={"authorization": value}).status == 401


def test_health_needs_no_key_and_the_model_list_shows_what_the_key_may_use(served: Box) -> None:
    assert served.ask("/healthz").body == b"ok"
    assert served.ask("/v1/models").code == "missing_api_key"

    def names(key: str) -> list[str]:
        return [row["id"] for row in served.ask("/v1/models", key=key).json["data"]]

    assert names("alice") == ["Qwen3:8b", "shared", "team-a/chat", "team-a/plain"]
    assert names("bob") == ["Qwen3:8b", "team-a/chat", "team-b/empty", "team-b/off", "team-b/plain", "team-b/slow"]
    assert names("none") == []


def test_a_body_above_the_limit_is_a_413_in_both_ways(served: Box) -> None:
    large = b'{"model": "team-a/chat", "x": "' + b"a" * 2_000_000 + b'"}'
    for path in ("/v1/chat/completions", "/team-a/chat/v1/chat/completions"):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        for headers in ({}, {"transfer-encoding": "chunked"}):
            raw = large if not headers else iter([large[:1_500_000], large[1_500_000:]])
            try:
                answer = ask_on(connection, path, key="alice", raw=raw, headers=headers)  # type: ignore[arg-type]
            except ConnectionError:
                connection.close()
                continue  # answered and closed before everything was sent: the answer is lost to this client
            assert (answer.status, answer.code) == (413, "request_too_large")
            connection.close()


def test_a_request_that_takes_longer_than_its_route_is_a_504(served: Box) -> None:
    answer = served.ask("/team-b/slow/v1/chat/completions", {}, "bob", headers={"x-test-delay": "3"})
    assert (answer.status, answer.code) == (504, "timeout")


def test_a_503_is_tried_at_another_replica_and_a_502_is_not(served: Box, replicas: Replicas) -> None:
    replicas["one"].broken = True
    try:
        assert all(served.ask(body=CHAT, key="alice").replica == "two" for _ in range(6))
    finally:
        replicas["one"].broken = False
    before = sum(len(replica.asked) for replica in replicas.all.values())
    assert served.ask(body=CHAT, key="alice", headers={"x-test-status": "502"}).status == 502
    assert sum(len(replica.asked) for replica in replicas.all.values()) == before + 1


def test_events_arrive_as_they_are_sent_and_a_client_that_leaves_ends_the_stream(served: Box, replicas: Replicas) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    headers = {"authorization": f"Bearer {key_text('alice')}", "content-type": "application/json", "x-test-chunks": "25"}
    connection.request("POST", "/v1/chat/completions", json.dumps(chat("team-a/plain")), headers)
    answer, moments = connection.getresponse(), []
    while answer.readline():
        moments.append(time.monotonic())
    assert len(moments) == 50
    assert moments[-1] - moments[0] > 0.3  # 24 gaps of 20 ms: nothing was collected on the way
    cut = replicas["one"].cut
    connection.request("POST", "/v1/chat/completions", json.dumps(chat("team-a/plain")), {**headers, "x-test-chunks": "3000"})
    connection.getresponse().readline()
    assert connection.sock is None or connection.sock.shutdown(socket.SHUT_RDWR) is None
    connection.close()
    until(lambda: replicas["one"].cut == cut + 1)


def test_the_access_log_names_key_and_endpoint_and_never_a_secret(served: Box) -> None:
    served.ask(body=CHAT, key="alice")
    log = served.gateway / "access.log"

    def rows() -> list[dict[str, object]]:
        return [json.loads(line) for line in log.read_text().splitlines()]

    until(lambda: any(row["key"] == "alice" and row["endpoint"] == "team-a/chat" and row["status"] == 200 for row in rows()))
    assert "rcl_" not in log.read_text()
    assert "rcl_" not in (served.gateway / "envoy.log").read_text()
