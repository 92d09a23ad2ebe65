"""Serve's answers, in the shape in which Ray 2.60 gives them, and a small dashboard that gives what it is told to.

For what a real Ray cannot be brought to: answers that are empty by mistake, hidden values, a control plane that is down.
"""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EMPTY: dict[str, Any] = {"controller_info": {}, "proxies": {}, "applications": {}, "target_capacity": None}
TRACEBACK = """Traceback (most recent call last):
  File "replica.py", line 1867, in initialize
    await self._user_callable_wrapper.initialize_callable()
reconciler.nodes.supervisor.EngineError: engine exited with code 3: loading | out of memory (command: vllm ..., 0.1 s after its start)
"""


def replica(name: str, state: str = "RUNNING", started: float = 100.0) -> dict[str, Any]:
    return {
        "node_id": "9384852b",
        "node_ip": "127.0.0.20",
        "node_instance_id": "",
        "actor_id": "69fc2107",
        "actor_name": f"SERVE_REPLICA::app#Engine#{name}",
        "worker_id": "8208b826",
        "log_file_path": f"/serve/replica_app_Engine_{name}.log",
        "replica_id": name,
        "state": state,
        "pid": 1,
        "start_time_s": started,
    }


def deployment(
    *replicas: dict[str, Any],
    status: str = "HEALTHY",
    trigger: str = "CONFIG_UPDATE_COMPLETED",
    message: str = "",
    target: int = 1,
    dead: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    return {
        "name": "Engine",
        "status": status,
        "status_trigger": trigger,
        "message": message,
        "deployment_config": {},
        "target_num_replicas": target,
        "required_resources": {},
        "replicas": list(replicas),
        "recent_dead_replicas": list(dead),
    }


def application(
    config: Mapping[str, Any] | None, status: str = "RUNNING", message: str = "", name: str = "", **engine: Any
) -> dict[str, Any]:
    return {
        "name": name or (config or {}).get("name", ""),
        "route_prefix": (config or {}).get("route_prefix"),
        "docs_path": None,
        "status": status,
        "message": message,
        "last_deployed_time_s": 90.0,
        "deployed_app_config": config,
        "source": "declarative" if config is not None else "imperative",
        "deployments": {"Engine": engine["engine"]} if engine.get("engine") else {},
        "external_scaler_enabled": False,
        "deployment_topology": None,
    }


def answer(*applications: dict[str, Any], groups: tuple[dict[str, Any], ...] = (), host: str = "0.0.0.0", **top: Any) -> dict[str, Any]:
    return {
        "controller_info": {"actor_name": "SERVE_CONTROLLER_ACTOR"},
        "proxy_location": "HeadOnly",
        "http_options": {"host": host, "port": 8000, "root_path": "", "request_timeout_s": 3600.0, "keep_alive_timeout_s": 90},
        "grpc_options": {"port": 9000},
        "proxies": {},
        "applications": {one["name"]: one for one in applications},
        "target_capacity": None,
        "target_groups": list(groups),
        "restores_unset_config_options": True,
        **top,
    }


def group(app: str, *targets: tuple[str, int, str], protocol: str = "HTTP") -> dict[str, Any]:
    listed = [{"ip": ip, "port": port, "instance_id": "", "name": name} for ip, port, name in targets]
    return {"targets": listed, "route_prefix": "/", "protocol": protocol, "app_name": app, "ingress_deployment_name": "Engine"}


@dataclass
class Dashboard:
    """answers: body (or status and text) by path; what is put is kept and, by default, becomes the list."""

    address: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    puts: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    takes: bool = True
    put_status: tuple[int, str] = (200, "")
    actors: tuple[str, ...] = ("ALIVE",)

    def get(self, path: str) -> tuple[int, str]:
        path = path.partition("?")[0]
        if path == "/api/v0/actors" and path not in self.answers:
            rows = [{"state": state} for state in self.actors]
            return 200, json.dumps({"result": True, "msg": "", "data": {"result": {"result": rows, "partial_failure_warning": ""}}})
        found = self.answers.get(path, (404, "404: Not Found"))
        return found if isinstance(found, tuple) else (200, json.dumps(found))

    def put(self, body: dict[str, Any]) -> tuple[int, str]:
        self.puts.append(body)
        if self.put_status[0] == 200 and self.takes:
            self.answers["/api/serve/applications/"] = answer(*(application(config) for config in body["applications"]))
        return self.put_status

    @property
    def applications(self) -> Any:
        return self.answers["/api/serve/applications/"]

    @applications.setter
    def applications(self, value: Any) -> None:
        self.answers["/api/serve/applications/"] = value


@contextlib.contextmanager
def dashboard(board: Dashboard | None = None) -> Iterator[Dashboard]:
    board = board or Dashboard()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def reply(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_GET(self) -> None:
            board.headers.append(dict(self.headers))
            self.reply(*board.get(self.path))

        def do_PUT(self) -> None:
            self.reply(*board.put(json.loads(self.rfile.read(int(self.headers["content-length"])))))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    board.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield board
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
