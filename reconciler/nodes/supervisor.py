"""One engine as a child process: started on a port of its own, watched, and never left behind.

- The engine gets a process group of its own, in our session. A guardian (a shell that reads from a pipe) kills that group when this
  process is gone, however it went; so a SIGKILL of a replica leaves no engine and none of the engine's workers.
- It gets a clean environment: nothing of Ray's, so neither the cluster's token nor the thread count that Ray sets for its actors.
- Secrets are read here, from files of the node, put into the child's environment, and blotted out of every line that is kept.
- A dead engine is never started again here: its replica ends, and who replaces it (Serve) also counts and gives up.
"""

import collections
import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
TAIL_LINES = 40  # lines of output kept for messages
TAIL_SHOWN = 8
LINE_LIMIT = 8192  # bytes of one line
STOP_GRACE = 10.0  # seconds between SIGTERM and SIGKILL; requests have been finished before
GUARDIAN = 'read -r group || exit 0; read -r line; [ "$line" = done ] || kill -s KILL -- "-$group"'
TAKEN = ("address already in use", "couldn't bind", "could not bind", "failed to bind", "errno 98", "eaddrinuse")
RAYS = ("RAY_", "_RAY", "SERVE_", "OMP_NUM_THREADS", "KMP_", "GRPC_", "RECONCILER_")


class EngineError(RuntimeError):
    """The engine did not come up, or is gone. The text is written for the person who declared it."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What a replica starts. secret_files: variable -> file on this node. startup_timeout_s: until the health path answers 200."""

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    secret_files: Mapping[str, str] = field(default_factory=dict)
    health_path: str = "/health"
    startup_timeout_s: float = 600.0

    @classmethod
    def from_args(cls, args: Mapping[str, object]) -> "EngineSpec":
        """Out of the application's `args`. What is not known here (`_attempt`, `restartedAt`) only makes them differ."""
        command, env, secrets = args["command"], args.get("env") or {}, args.get("secret_files") or {}
        if not (isinstance(command, Sequence) and isinstance(env, Mapping) and isinstance(secrets, Mapping) and command):
            raise EngineError("args of the application: command is a list, env and secret_files are mappings")
        return cls(
            tuple(str(part) for part in command),
            {str(name): str(value) for name, value in env.items()},
            {str(name): str(path) for name, path in secrets.items()},
            str(args.get("health_path") or "/health"),
            float(str(args.get("startup_timeout_s") or 600.0)),
        )


def fill(text: str, values: Mapping[str, str]) -> str:
    """`{host}`, `{port}`, `{python}` and `{models}`; other braces stay, because engine arguments carry JSON."""
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def one_file(path: str, root: str) -> str:
    """A path below the model root; a pattern stands for the one file that matches. Raises EngineError for none or several."""
    if not glob.has_magic(path):
        return path
    found = sorted(glob.glob(path, recursive=True))
    if len(found) != 1:
        inside = ", ".join(os.path.relpath(name, root) for name in found[:10]) or "none"
        raise EngineError(f"{os.path.relpath(path, root)} matches {len(found)} files below {root}: {inside}; name exactly one")
    return found[0]


def fill_part(part: str, values: Mapping[str, str]) -> str:
    """One part of the command line. A model path is below the model root of this node, and may be a pattern."""
    if "{models}" not in part:
        return fill(part, values)
    root = os.environ.get("RECONCILER_MODEL_ROOT", "")
    if not root:
        raise EngineError("a model below the model root is wanted, and this node has no RECONCILER_MODEL_ROOT in its environment")
    return one_file(fill(part, {**values, "models": root}), root)


class Port:
    """A free loopback port, kept from the other replicas of this node by an abstract socket of the same number."""

    def __init__(self) -> None:
        self._keep = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        for _ in range(50):
            with socket.socket() as probe:
                probe.bind((HOST, 0))
                self.number = int(probe.getsockname()[1])
            with contextlib.suppress(OSError):
                self._keep.bind(f"\0reconciler-engine-{self.number}")
                return
        raise EngineError("no free port on this node")

    def release(self) -> None:
        self._keep.close()


def child_environment(spec: EngineSpec, values: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The environment of the engine, and the secrets in it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(RAYS)}
    environ.update({name: fill(value, values) for name, value in spec.env.items()})
    secrets = {name: _secret(name, path) for name, path in spec.secret_files.items()}
    environ.update(secrets)
    return environ, [value for value in secrets.values() if len(value) >= 4]


def _secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise EngineError(f"secret for {name}: {path} cannot be read on node {socket.gethostname()}: {reason}") from None


class EngineProcess:
    """One engine, from start to end. `on_exit` is called once, in a thread of its own, when it ended without being stopped."""

    def __init__(self, spec: EngineSpec, log: Callable[[str], None], on_exit: Callable[[str], None]) -> None:
        self.spec, self._log, self._on_exit = spec, log, on_exit
        self.port = Port()
        self.base = f"http://{HOST}:{self.port.number}"
        self.tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
        self.stopping = False
        self._closing = threading.Lock()
        try:
            environ = self._prepare()
        except BaseException:
            self.port.release()
            raise
        self._guardian = subprocess.Popen(
            ["/bin/sh", "-c", GUARDIAN],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
            env={"PATH": "/usr/bin:/bin"},
        )
        self.process = self._start(environ)
        self._tell_guardian(f"{self.process.pid}\n")
        self._reader = threading.Thread(target=self._read, name="engine-output", daemon=True)
        self._reader.start()
        threading.Thread(target=self._wait, name="engine-exit", daemon=True).start()

    def _prepare(self) -> dict[str, str]:
        values = {"host": HOST, "port": str(self.port.number), "python": sys.executable}
        self.argv = [fill_part(part, values) for part in self.spec.command]
        environ, self._secrets = child_environment(self.spec, values)
        return environ

    def _start(self, environ: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        program = shutil.which(self.argv[0], path=environ.get("PATH"))
        try:
            if program is None:
                raise FileNotFoundError
            return subprocess.Popen(
                [program, *self.argv[1:]],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        except OSError as error:
            self._dismiss()
            self.port.release()
            why = error.strerror or "it is not there, or not on PATH"
            raise EngineError(f"engine program {self.argv[0]} cannot be started on node {socket.gethostname()}: {why}") from None

    def _read(self) -> None:
        output = self.process.stdout
        assert output is not None
        with output:
            while raw := output.readline(LINE_LIMIT):
                self._keep(raw.decode(errors="replace").rstrip())

    def _keep(self, line: str) -> None:
        for secret in self._secrets:
            line = line.replace(secret, "***")
        if line:
            self.tail.append(line)
            self._log(line)

    def _wait(self) -> None:
        self.process.wait()
        self._reader.join(0.5)  # the last lines say why; a worker that lives on may hold the pipe open, so not for ever
        self._end_group(signal.SIGKILL)
        self._dismiss()
        if not self.stopping:
            self._on_exit(self.dead() or "engine exited")

    def dead(self) -> str | None:
        """Why it is dead, None while it lives."""
        code = self.process.poll()
        if code is None:
            return None
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        return f"engine {how}: {self.last_lines()}"

    def port_was_taken(self) -> bool:
        """Did it end because somebody else got the port first?"""
        return self.dead() is not None and any(word in self.last_lines(TAIL_LINES).lower() for word in TAKEN)

    def last_lines(self, count: int = TAIL_SHOWN) -> str:
        return " | ".join(list(self.tail)[-count:]) or "it printed nothing"

    def settle(self) -> None:
        """Wait shortly until everything that a dead engine printed has been read."""
        self._reader.join(0.5)

    def stop(self, grace: float = STOP_GRACE) -> None:
        """SIGTERM to the whole group, SIGKILL after `grace` seconds. Returns when it is gone."""
        with self._closing:
            self.stopping = True
            self._end_group(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
            self._end_group(signal.SIGKILL)
            self.process.wait()
            self._dismiss()
            self.port.release()

    def _end_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _tell_guardian(self, text: str) -> None:
        pipe = self._guardian.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            pipe.write(text.encode())
            pipe.flush()

    def _dismiss(self) -> None:
        self._tell_guardian("done\n")
        with contextlib.suppress(BrokenPipeError):
            assert self._guardian.stdin is not None
            self._guardian.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guardian.wait(5)


class Deadline:
    """Seconds left of a start-up."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._end = seconds, time.monotonic() + seconds

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end
