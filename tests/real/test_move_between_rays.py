"""An endpoint moves from one local Ray to another by its line `cluster:`, under a load of short and of long requests that loses nothing."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from fault_site import NAMES, Site, document, site
from ray_cluster import until

from reconciler.local import ray
from reconciler.targets.ray.client import RayClient, Token
from tools.demo import DemoFailed
from tools.demo.traffic import Steadily

pytestmark = pytest.mark.real

WORDS = [str(number) for number in range(60)]  # of a stream: three seconds, and the drain takes five


@pytest.fixture
def both() -> Iterator[Site]:
    """Both endpoints serve on `lab`; `annex` runs, and nothing is on it."""
    with site() as found:
        found.declare("annex.yaml", document("Cluster", "annex", {"type": "ray", "ray": {"local": True}, "drainSeconds": 5}))
        listen = {"address": "127.0.0.1", "port": found.port}
        gateway = {"type": "envoy", "clusters": ["lab", "annex"], "listen": listen, "output": {"directory": "gateway", "run": True}}
        found.declare("public.yaml", document("Gateway", "public", gateway))
        found.stage.commit("a second Ray")
        found.stage.settle("the second Ray is up")
        yield found


@dataclass
class Answers:
    """Who answered, one after the other."""

    site: Site
    name: str
    pids: list[int] = field(default_factory=list)

    def ask(self) -> None:
        pid = self.site.pid(self.name)
        if not pid:
            raise DemoFailed(f"{self.name} does not answer: {self.site.ask(self.name)}")
        if self.pids[-1:] != [pid]:
            self.pids.append(pid)


def stream(found: Site, name: str) -> None:
    """A completion word by word, to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", found.port, timeout=30)
    try:
        body = json.dumps({"model": f"default/{name}", "stream": True, "messages": [{"role": "user", "content": " ".join(WORDS)}]})
        headers = {"Authorization": f"Bearer {found.key}", "Content-Type": "application/json"}
        connection.request("POST", f"/default/{name}/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        said = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise DemoFailed(f"a stream of {name} broke: {error!r}") from error
    finally:
        connection.close()
    words = [line.removeprefix("data: ") for line in said.splitlines() if line]
    if (answer.status, words) != (200, [*WORDS, "[DONE]"]):
        raise DemoFailed(f"a stream of {name} ended with {answer.status} after {len(words)} words: {said[-200:]}")


def applications(found: Site, cluster: str) -> set[str]:
    """What stands in Serve's list."""
    running = ray.running(found.stage.state, cluster)
    assert running is not None
    client = RayClient(running.address, Token(running.token))
    try:
        value = client.applications()
    finally:
        client.close()
    assert isinstance(value, dict)
    return set(value["applications"])


def test_a_move_loses_no_request(both: Site) -> None:
    moving, staying = Answers(both, "alpha"), Answers(both, "beta")
    before = {name: both.pid(name) for name in NAMES}
    with (
        Steadily("short requests of alpha", moving.ask, pause=0.02) as short,
        Steadily("streams of alpha", lambda: stream(both, "alpha"), threads=4, pause=0.1) as streams,
        Steadily("short requests of beta", staying.ask, pause=0.05) as others,
    ):
        both.endpoint("alpha", cluster="annex")
        both.stage.commit("alpha moves to the other Ray")
        both.stage.settle("alpha has moved")
        until(lambda: both.pid("alpha") not in (0, before["alpha"]))

    short.answered()
    assert streams.answered() >= 4
    others.answered()
    assert len(moving.pids) == 2, "the route switches once, and for good"
    assert moving.pids[0] == before["alpha"]
    assert staying.pids == [before["beta"]]
    assert applications(both, "annex") == {"default_alpha"}
    until(lambda: applications(both, "lab") == {"default_beta"})
    until(lambda: before["alpha"] not in both.engines())
    assert len(both.engines()) == 2
