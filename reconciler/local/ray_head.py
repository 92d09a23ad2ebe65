"""How the head of a local Ray is started: its folder, its ports, its command line, its environment.

- An address of its own in 127.0.0.0/8, so that several Rays on one box do not meet, and ports outside the kernel's own range, chosen once
  and kept: what is started again is found at the same place. Workers take any free port, so none of ours lies in their range.
- What can be bound to loopback is. Ray binds a few ports (GCS, raylet, object manager) to all interfaces whatever one says: hence a token,
  always.
- Control state on disk (RocksDB): a GCS that is put back has lost nothing, a head that is started again brings its applications back.
- The environment is an allowed list: what the reconciler was started with (tokens of Git and forges) is none of the engines' business.
"""

import contextlib
import importlib.util
import os
import random
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconciler.errors import LocalError
from reconciler.resource import Json

DRAIN: Final = "5"  # seconds that a replaced replica still answers; gateways learn of its successor within two
CPU_SHARES: Final = 4  # CPU numbers are accounting only: with four times the cores an update finds room for its new replicas
OBJECT_STORE: Final = 100_000_000  # bytes; nothing of ours passes through it
SOCKETS: Final = 60  # longest temp folder: Ray puts Unix sockets some 45 characters below it, and 107 is the limit
FIRST_PORT, LAST_PORT = 20000, 29900  # below direct ingress (30000 to 31000) and the kernel's own ports (32768 on)
PORTS: Final = ("gcs", "dashboard", "agent", "agent_grpc", "client", "objects", "raylet", "metrics", "environments", "serve")
PASSED: Final = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "XDG_CACHE_HOME",
)
PASSED_FAMILIES: Final = ("LC_", "CUDA", "NVIDIA", "HIP_", "ROCR_", "ROCM_", "HF_HOME", "RAY_SERVE_", "RAY_BACKEND_LOG")


@dataclass(frozen=True, slots=True)
class Home:
    """The files of one local Ray: `<state folder>/local/ray/<cluster>/`."""

    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "ray.json"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def token(self) -> Path:
        return self.folder / "token"

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    @property
    def aside(self) -> Path:
        """A storage that the head did not come up with."""
        return self.folder / "storage.aside"

    @property
    def log(self) -> Path:
        return self.folder / "ray.log"

    @property
    def models(self) -> Path:
        """A link to the model root: it can be pointed elsewhere without a restart of Ray."""
        return self.folder / "models"

    def read_token(self) -> str:
        """The cluster's token, made on first use (0600). Raises LocalError."""
        try:
            with contextlib.suppress(FileExistsError):
                handle = os.open(self.token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "w") as file:
                    file.write(secrets.token_hex(32))
            return self.token.read_text().strip()
        except OSError as error:
            raise LocalError(f"the token of the local Ray cannot be kept: {error}", code="L3", where=str(self.token)) from error

    def point_models(self, root: Path) -> None:
        if self.models.is_symlink() and Path(os.readlink(self.models)) == root:
            return
        fresh = self.models.with_name("models.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(root)
        fresh.replace(self.models)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a local Ray lives: node address, ports by PORTS, temp folder. Chosen once and kept."""

    host: str
    ports: Mapping[str, int]
    temp: str

    def as_json(self) -> dict[str, Json]:
        return {"host": self.host, "ports": dict(self.ports), "temp": self.temp}

    @classmethod
    def from_json(cls, value: Json) -> "Place | None":
        ports = value.get("ports") if isinstance(value, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(ports, Mapping):
            return None
        numbers = {name: port for name, port in ports.items() if isinstance(port, int)}
        return cls(str(value["host"]), numbers, str(value["temp"])) if set(PORTS) <= set(numbers) else None

    @property
    def dashboard(self) -> tuple[str, int]:
        return "127.0.0.1", self.ports["dashboard"]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.ports['dashboard']}"


def choose_place(last: Place | None = None) -> Place:
    """Free ports, and an address of our own. Of the last place is kept what the control state knows: address and Serve's port."""
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    if last is not None:
        return Place(last.host, {**ports, "serve": last.ports["serve"]}, last.temp)
    return Place(f"127.{random.randint(64, 126)}.{random.randint(1, 254)}.{random.randint(1, 254)}", ports, _temp_name())


def make_temp(place: Place) -> Place:
    """The place with its temp folder there and ours alone; another folder where somebody has taken the name."""
    try:
        Path(place.temp).mkdir(mode=0o700)
    except FileExistsError:
        if os.stat(place.temp, follow_symlinks=False).st_uid != os.getuid() or not Path(place.temp).is_dir():
            return make_temp(replace(place, temp=_temp_name()))
    return place


def _temp_name() -> str:
    for base in (os.environ.get("TMPDIR", ""), "/tmp"):
        if base and len(base) < SOCKETS - 12 and os.access(base, os.W_OK):
            return f"{base.rstrip('/')}/rcl-{secrets.token_hex(3)}"
    raise LocalError("no short temporary folder", code="L3", why="Ray's Unix sockets need one", todo="make /tmp writable")


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on, on any address. Raises LocalError when there are not as many."""
    numbers = random.sample(range(FIRST_PORT, LAST_PORT), 400)
    found = [number for number in numbers if _is_free(number)][:count]
    if len(found) < count:
        raise LocalError(f"fewer than {count} free ports between {FIRST_PORT} and {LAST_PORT}", code="L3")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended are no listeners
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def ports_are_free(place: Place) -> bool:
    """Can all but Serve's proxy listen where they did? That one is fixed by the control state."""
    return all(_is_free(port) for name, port in place.ports.items() if name != "serve")


def command(place: Place) -> list[str]:
    """`ray start --head` without --block: with it the loss of one process would take every loaded model along. Raises LocalError."""
    if importlib.util.find_spec("ray") is None:
        raise LocalError(
            "Ray is not installed", code="L2", why="a cluster with ray.local needs it here", todo='pip install "reconciler[ray]"'
        )
    ports = place.ports
    options = {
        "node-ip-address": place.host,
        "port": ports["gcs"],
        "dashboard-host": "127.0.0.1",
        "dashboard-port": ports["dashboard"],
        "dashboard-agent-listen-port": ports["agent"],
        "dashboard-agent-grpc-port": ports["agent_grpc"],
        "ray-client-server-port": ports["client"],
        "object-manager-port": ports["objects"],
        "node-manager-port": ports["raylet"],
        "metrics-export-port": ports["metrics"],
        "runtime-env-agent-port": ports["environments"],
        "min-worker-port": 0,
        "max-worker-port": 0,
        "num-cpus": CPU_SHARES * (os.cpu_count() or 1),
        "memory": _memory(),
        "object-store-memory": OBJECT_STORE,
        "include-dashboard": "true",
        "temp-dir": place.temp,
    }
    line = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--disable-usage-stats", "--no-monitor"]
    return [*line, *(f"--{name}={value}" for name, value in options.items())]


def _memory() -> int:
    """All of the box's memory, in bytes: Ray's own 70 % is accounting, too, and no engine knows of it."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def environment(home: Home) -> dict[str, str]:
    """What the head, and with it every replica, is started with."""
    passed = {name: value for name, value in os.environ.items() if name in PASSED or name.startswith(PASSED_FAMILIES)}
    path = passed.get("PATH", os.defpath)
    return {
        **passed,
        "PATH": f"{Path(sys.executable).parent}:{path}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(home.token),
        "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": DRAIN,
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "RAY_gcs_storage": "rocksdb",
        "RAY_gcs_storage_path": str(home.storage),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_LOG_TO_STDERR": "0",
        "RECONCILER_MODEL_ROOT": str(home.models),
    }
