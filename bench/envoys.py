"""Plain Envoys beside ours: an upstream that answers at once, and the peer, a proxy with nothing but a static upstream.

Each runs one worker on the core that it is pinned to. What is measured of a proxy is the processor time that it takes per request.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

BINARY: Final = "from envoy._main import main; main()"
ANSWER: Final = json.dumps({"object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]})
TYPE: Final = "type.googleapis.com/envoy.extensions.filters"
TICKS: Final = os.sysconf("SC_CLK_TCK")


def _listener(port: int, route: Mapping[str, Any]) -> dict[str, Any]:
    manager = {
        "@type": f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **route}]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{TYPE}.http.router.v3.Router"}}],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": "in", "address": address, "filter_chains": [chain]}


def answering(port: int) -> dict[str, Any]:
    """An upstream: every request gets the same small answer."""
    route = {
        "direct_response": {"status": 200, "body": {"inline_string": ANSWER}},
        "response_headers_to_add": [{"header": {"key": "content-type", "value": "application/json"}}],
    }
    return {"static_resources": {"listeners": [_listener(port, route)]}}


def passing(port: int, upstream: int) -> dict[str, Any]:
    """The peer: one route, one static upstream, no filter but the router."""
    host = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": upstream}}}}
    cluster = {
        "name": "up",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": [host]}]},
    }
    return {"static_resources": {"listeners": [_listener(port, {"route": {"cluster": "up"}})], "clusters": [cluster]}}


@contextmanager
def envoy(folder: Path, name: str, config: Mapping[str, Any], port: int) -> Iterator[int]:
    """Run an Envoy until the block ends. Its pid, once it answers."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps(config))
    words = ["-c", str(file), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    with (folder / f"{name}.log").open("wb") as log:
        child = subprocess.Popen([sys.executable, "-c", BINARY, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/")
        yield child.pid
    finally:
        child.terminate()
        child.wait(10)


def wait_for(url: str, seconds: float = 20.0, good: bool = False) -> None:
    """Until something answers at all, or with `good` until it answers with success. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            if not good:
                return
        except OSError:
            pass
        else:
            return
        time.sleep(0.05)
    raise TimeoutError(f"{url} does not answer within {seconds:.0f} s")


def pin(pid: int, core: int) -> None:
    """Every thread of a process to one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def processor_time(pid: int) -> float:
    """Seconds that all threads of a process have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
