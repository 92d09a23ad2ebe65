"""Where the demo plays: one folder with the config repo, the state folder and a home, and everything that was started from it.

At the end, however it comes, nothing is left: the daemon gets SIGTERM, `reconciler local stop` ends Ray and Envoy, and the folder is
removed. A process belongs to the demo when its environment or its command line names the folder.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools.demo import DemoFailed
from tools.demo.screen import Screen

CHECKOUT: Final = Path(__file__).resolve().parent.parent.parent
RECONCILER: Final = (sys.executable, "-m", "reconciler.cli.main")
LOG_TAIL: Final = 25  # lines of the daemon's log that a failure shows
TEMP_FOLDER: Final = re.compile(r"--(?:temp[-_]dir|session[-_]dir)[= ](/\S+)")
BRANCH: Final = "main"
# What the caller's own settings must not change: whose repo, state and git identity these are.
OWN: Final = re.compile(r"^(RECONCILER_|GIT_|XDG_|OPENAI_|RAY_|https?_proxy$|HTTPS?_PROXY$|all_proxy$|ALL_PROXY$)")

Status = Mapping[str, Any]  # one endpoint of `reconciler status --json`


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said. code: its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise DemoFailed(f"this should be JSON: {self.out!r} {self.err!r}") from error


@dataclass(slots=True)
class Stage:
    folder: Path
    screen: Screen
    daemon: subprocess.Popen[bytes] | None = None
    ray_folders: set[Path] = field(default_factory=set)

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "run.log"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not OWN.match(name)}
        return kept | {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp"), "PYTHONPATH": str(CHECKOUT)}

    # --- commands -----------------------------------------------------------------------------------------------------------------

    def run(self, *command: str, codes: tuple[int, ...] | None = (0,), where: Path | None = None) -> Answer:
        """Run a command to its end. Raises DemoFailed for an exit code that is not among `codes` (None: any)."""
        done = subprocess.run(
            command,
            cwd=where or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # Ctrl-C is for us: we end things in order
        )
        if codes is not None and done.returncode not in codes:
            shown = " ".join(command if command[: len(RECONCILER)] != RECONCILER else ("reconciler", *command[len(RECONCILER) :]))
            raise DemoFailed(f"{shown}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return Answer(done.returncode, done.stdout, done.stderr)

    def git(self, *words: str) -> str:
        return self.run("git", *words, where=self.config).out

    def reconciler(self, verb: str, *words: str, codes: tuple[int, ...] | None = (0,)) -> Answer:
        return self.run(*RECONCILER, verb, *words, codes=codes)

    def commit(self, message: str, *trailers: str) -> str:
        """Commit everything in the config repo, and tell the daemon. The commit's hash."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message, *(word for trailer in trailers for word in ("--trailer", trailer)))
        if self.daemon is not None:
            self.trigger()
        return self.git("rev-parse", "HEAD").strip()

    def trigger(self) -> Answer:
        """Tell the daemon, and wait for its pass. The exit code is that of the pass: a person reads it, the story checks what follows."""
        return self.reconciler("trigger", "--state", str(self.state), codes=None)

    def plan(self, codes: tuple[int, ...] | None = None, branch: str = BRANCH) -> Answer:
        return self.reconciler("plan", "--repo", str(self.config), "--branch", branch, "--state", str(self.state), codes=codes)

    def plan_of(self, branch: str, message: str) -> Answer:
        """What everybody does who wants to see first: commit everything on a branch, plan that, and only then merge it and tell the
        daemon. Of a commit that is on the daemon's own branch it may have made everything before a plan is begun."""
        self.git("checkout", "--quiet", "-b", branch)
        self.git("commit", "--quiet", "--all", "-m", message)
        planned = self.plan(codes=(2,), branch=branch)
        self.git("checkout", "--quiet", BRANCH)
        self.git("merge", "--quiet", "--ff-only", branch)
        self.trigger()
        return planned

    def plan_form(self) -> Mapping[str, Any]:
        words = ("--repo", str(self.config), "--branch", BRANCH, "--state", str(self.state), "--json")
        form: Mapping[str, Any] = self.reconciler("plan", *words, codes=None).json()
        return form

    def statuses(self) -> dict[str, Status]:
        """Endpoints by their name within the workspace."""
        form = self.reconciler("status", "--state", str(self.state), "--json", codes=None).json()
        return {str(item["owner"]).rsplit("/", 1)[-1]: item for item in form.get("endpoints", [])}

    def wait(self, what: str, reached: Callable[[dict[str, Status]], bool], seconds: float = 90.0) -> dict[str, Status]:
        """Look at the status until it is reached. Raises DemoFailed with the last status when the time is up."""
        end = time.monotonic() + seconds
        while True:
            now = self.statuses()
            if reached(now):
                return now
            words = ", ".join(f"{name} {item['status']} {item['ready']}/{item['desired']}" for name, item in sorted(now.items()))
            if time.monotonic() > end:
                raise DemoFailed(f"{what}: not within {seconds:.0f} s; the status is: {words or 'empty'}")
            if self.daemon is not None and self.daemon.poll() is not None:
                raise DemoFailed(f"{what}: `reconciler run` has ended with exit code {self.daemon.returncode}")
            self.screen.progress(f"{what}: {words or 'nothing yet'}")
            time.sleep(0.3)

    def settle(self, what: str, seconds: float = 90.0) -> Answer:
        """Wait until the plan is empty. Raises DemoFailed with the last plan when the time is up."""
        end = time.monotonic() + seconds
        while (answer := self.plan()).code != 0:
            if time.monotonic() > end:
                raise DemoFailed(f"{what}: the plan is not empty within {seconds:.0f} s:\n{answer.out}{answer.err}")
            self.screen.progress(what)
            time.sleep(0.3)
        return answer

    # --- the daemon ---------------------------------------------------------------------------------------------------------------

    def start_daemon(self, **extra: str) -> None:
        """`extra`: environment variables of this daemon alone."""
        words = ("run", "--repo", str(self.config), "--branch", BRANCH, "--state", str(self.state))
        with self.log.open("ab") as out:
            self.daemon = subprocess.Popen(
                [*RECONCILER, *words],
                cwd=self.folder,
                env=self.environment | extra,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill_daemon(self, number: signal.Signals, seconds: float = 20.0) -> None:
        if self.daemon is not None:
            self.daemon.send_signal(number)
            try:
                self.daemon.wait(seconds)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
            self.daemon = None

    def log_tail(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()[-LOG_TAIL:] if self.log.exists() else []

    # --- what was started ---------------------------------------------------------------------------------------------------------

    def processes(self) -> dict[int, str]:
        """Command lines by pid of everything that belongs to the demo, this process left out."""
        found = {}
        needle = str(self.folder).encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if command and (needle in command or needle in (entry / "environ").read_bytes()):
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
        self.ray_folders |= {Path(place) for text in found.values() for place in TEMP_FOLDER.findall(text)}
        return found

    def megabytes(self) -> float:
        """Memory of all of it: proportional set size, so that shared pages count once."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024

    def clear(self) -> list[str]:
        """End and remove everything. What should have gone by itself and had not: a line each, and it is gone now."""
        self.processes()
        self.kill_daemon(signal.SIGTERM)
        stopped = self.reconciler("local", "stop", "--state", str(self.state), codes=None)
        left = [] if stopped.code == 0 else [f"local stop: exit code {stopped.code}: {stopped.out}{stopped.err}"]
        left += [f"still running: {pid} {text}" for pid, text in self._ended(10.0).items()]
        left += [f"still there: {place}" for place in sorted(self.ray_folders) if place.exists() and self.folder not in place.parents]
        for place in (*self.ray_folders, self.folder):
            shutil.rmtree(place, ignore_errors=True)
        if self.folder.exists():
            left.append(f"still there: {self.folder}")
        return left

    def _ended(self, seconds: float) -> dict[int, str]:
        """Wait for the last ones; those still there then are killed, by pid."""
        end = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left


@contextlib.contextmanager
def stage(screen: Screen) -> Iterator[Stage]:
    """A new stage; cleared at the end. Raises DemoFailed if something was left and no other error is on its way."""
    here = Stage(Path(tempfile.mkdtemp(prefix="rcl-demo-")), screen)
    for name in ("home", "tmp"):
        (here.folder / name).mkdir()
    try:
        yield here
    except BaseException:
        for line in (*here.log_tail(), *here.clear()):
            screen.line(f"   | {line}")
        raise
    screen.progress("ending what was started")
    if left := here.clear():
        raise DemoFailed("something was left behind:\n" + "\n".join(left))
