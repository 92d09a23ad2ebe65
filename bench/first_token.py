"""From a trigger to the first token of a new endpoint, Ray and Envoy up, against putting the same engine on the same Ray by hand.

By hand: read the list of applications, add one with the same arguments, PUT it, and ask its replica as soon as Ray names an address. Both
sides ask every 50 ms, so neither is ahead by asking more often.
"""

import http.client
import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from bench.measure import Findings, Row, in_turn
from reconciler.local import ray as local_ray
from tools import models
from tools.demo import repo
from tools.demo.screen import Screen
from tools.demo.stage import Stage, stage
from tools.demo.story import create_key

TIMES: Final = 5
GOAL: Final = 1.2
POLL: Final = 0.05
PATIENCE: Final = 90.0
DECLARED: Final = 2  # endpoints of the example
BODY: Final = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8, "stream": True}


@dataclass(slots=True)
class Race:
    """What both sides use. number: of the next endpoint, so that no name comes twice."""

    stage: Stage
    port: int
    key: str
    ray: "RayApi"
    chat: str
    number: int = 0

    def ours(self) -> float:
        """Commit an endpoint, trigger, ask the gateway until the first token. Seconds from the trigger."""
        self.number += 1
        name = f"new-{self.number}"
        file = self.stage.config / "workspaces" / "team-a" / "endpoints" / f"{name}.yaml"
        file.write_text(self.chat.replace("name: chat", f"name: {name}", 1))
        self.stage.git("add", "--all")
        self.stage.git("commit", "--quiet", "-m", f"{name}: new")
        begin = time.perf_counter()
        self.stage.reconciler("trigger", "--no-wait", "--state", str(self.stage.state))
        headers = {"authorization": f"Bearer {self.key}"}
        seconds = until(lambda: first_token("127.0.0.1", self.port, f"/team-a/{name}", headers), begin)
        file.unlink()
        self.stage.commit(f"{name}: gone")
        self.stage.settle("removing what the last round started")
        self._gone()
        return seconds

    def by_hand(self) -> float:
        """The same engine as an application of somebody else. Seconds from the beginning of the first call."""
        self.number += 1
        name = f"hand-{self.number}"
        begin = time.perf_counter()
        body = self.ray.list_with(name)
        self.ray.put(body)
        seconds = until(lambda: self.ray.first_token(name), begin)
        self.ray.put(self.ray.list_without(name))
        self._gone()
        return seconds

    def _gone(self) -> None:
        """Nothing of the last round takes a processor from the next."""
        until(lambda: len(self.ray.applications()) == DECLARED, time.perf_counter())


def until(reached: Callable[[], bool], begin: float) -> float:
    """Seconds since `begin` at which it was reached, asked every 50 ms. Raises TimeoutError."""
    while not reached():
        if time.perf_counter() - begin > PATIENCE:
            raise TimeoutError(f"not within {PATIENCE:.0f} s")
        time.sleep(POLL)
    return time.perf_counter() - begin


def first_token(host: str, port: int, prefix: str, headers: dict[str, str]) -> bool:
    """Ask for a stream and wait for its first token; False when there is no good answer."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        body = json.dumps({**BODY, "model": "any"})
        connection.request("POST", f"{prefix}/v1/chat/completions", body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status == 200 and any(b'"content":"' in line for line in answer)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class RayApi:
    """Ray's REST API as a person with its token uses it."""

    address: str
    token: str

    def _call(self, method: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/api/serve/applications/", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def _list(self) -> tuple[Any, list[Any]]:
        found = self._call("GET")
        return found, [one["deployed_app_config"] for one in found["applications"].values() if one["deployed_app_config"]]

    def applications(self) -> set[str]:
        return set(self._call("GET")["applications"])

    def list_with(self, name: str) -> Any:
        """The whole list and one more: the chat endpoint's engine under another name."""
        found, applications = self._list()
        same = next(one for one in applications if one["name"].endswith("_chat"))
        deployments = [{key: value for key, value in one.items() if key != "user_config"} for one in same["deployments"]]
        added = {**same, "name": name, "route_prefix": f"/{name}", "deployments": deployments}
        return {"http_options": found["http_options"], "proxy_location": found["proxy_location"], "applications": [*applications, added]}

    def list_without(self, name: str) -> Any:
        found, applications = self._list()
        kept = [one for one in applications if one["name"] != name]
        return {"http_options": found["http_options"], "proxy_location": found["proxy_location"], "applications": kept}

    def put(self, body: object) -> None:
        self._call("PUT", body)

    def first_token(self, name: str) -> bool:
        found = self._call("GET")
        host = found["http_options"]["host"]  # what the replicas bind; the groups name the node's address
        targets = [target for group in found["target_groups"] if group["app_name"] == name for target in group["targets"]]
        return any(first_token(host, target["port"], f"/{name}", {}) for target in targets)


def run() -> Findings:
    screen = Screen()
    with stage(screen) as on:
        race = _prepare(on)
        ours, by_hand = in_turn(TIMES, race.ours, race.by_hand)
    ratio = ours.median / by_hand.median
    row = Row(
        "trigger to first token",
        ours.text("s"),
        f"{by_hand.text('s')} (by hand, no gateway)",
        f"{ratio:.2f}x",
        f"<= {GOAL}x",
        ratio <= GOAL,
    )
    method = f"wall clock, both asked every {POLL * 1000:.0f} ms, median of {TIMES} in turn (lowest to highest)"
    return Findings("A new endpoint", method, (row,))


def _prepare(on: Stage) -> Race:
    repo.create(on)
    port = repo.choose_port(on.config)
    chat = repo.find(on.config, "Endpoint", "chat")
    key = create_key(on, chat.workspace, "ci")
    models.into(on.state / "models")
    on.commit("The example")
    on.start_daemon()
    on.wait("waiting for both to be Ready", lambda now: len(now) == 2 and all(item["status"] == "Ready" for item in now.values()), 180)
    on.settle("waiting for the plan to be empty")
    ray = local_ray.running(on.state, repo.find(on.config, "Cluster").document["metadata"]["name"])
    if ray is None:
        raise RuntimeError("no local Ray runs")
    without_alias = "".join(line for line in chat.path.read_text().splitlines(True) if "servedName" not in line)
    return Race(on, port, key, RayApi(ray.address, ray.token), without_alias)
