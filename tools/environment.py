"""One virtual environment per lock file, built once and shared by every checkout.

    python3 tools/environment.py                       print the path of its Python
    python3 tools/environment.py -m tools.demo         run its Python, with this checkout importable
    python3 tools/environment.py pytest tests          run one of its programs in the same way

It stands in the user's cache under a name made from what decides its content: the lock file and the version of Python. The checkout
itself is not installed into it but put on PYTHONPATH, so checkouts that share an environment never fight over it. An environment
counts as built when its last file, `complete`, is there: one whose building was interrupted is removed and built again. Builders wait
for each other at a lock.

The only file of the project that runs before anything is installed: the standard library alone, and no syntax that an old Python
could not read far enough to say that it is too old.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

OLDEST = (3, 11)
CHECKOUT = Path(__file__).resolve().parent.parent
LOCK_FILE = CHECKOUT / "requirements.lock"
NEWS_EVERY = 5.0  # seconds between two lines about a pip that is still at work


def cache_root() -> Path:
    """`$XDG_CACHE_HOME/reconciler`, by default `~/.cache/reconciler`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "reconciler"


def folder() -> Path:
    """Where the environment of this lock file and this Python stands, built or not."""
    what = (LOCK_FILE.read_text(), platform.python_implementation(), platform.python_version(), platform.machine(), sys.base_prefix)
    return cache_root() / f"venv-{hashlib.sha256(chr(0).join(what).encode()).hexdigest()[:16]}"


class StepFailed(Exception):
    """A step of a building ended badly; the text has the end of its output."""


class Building:
    """What is built once into the cache: its news on stderr, the lock at which builders wait, its steps. who: begins each line of news."""

    def __init__(self, who: str) -> None:
        self.who = who

    def say(self, text: str) -> None:
        sys.stderr.write(f"{self.who}: {text}\n")
        sys.stderr.flush()

    @contextlib.contextmanager
    def only_one(self, path: Path) -> Iterator[None]:
        """Hold the lock file, and say so when somebody else has it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.say("another process is building it; waiting")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def step(
        self, what: str, command: Sequence[str], log: Path, *, where: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Run one step with its output at the end of `log`, and a line now and then. Raises StepFailed."""
        begin = news = time.monotonic()
        self.say(what)
        with log.open("ab") as out:
            child = subprocess.Popen(command, cwd=where, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            try:
                while child.poll() is None:
                    time.sleep(0.05)
                    if time.monotonic() - news >= NEWS_EVERY:
                        news = time.monotonic()
                        self.say(f"{what}: {news - begin:.0f} s")
            finally:
                child.terminate()  # `go` ends its compilers, `pip` its own children
                child.wait()
        if child.returncode != 0:
            tail = log.read_text(errors="replace").splitlines()[-15:]
            raise StepFailed("\n".join([f"{what} failed; the end of {log}:", *(f"  {line}" for line in tail)]))
        self.say(f"{what}: done in {time.monotonic() - begin:.0f} s")


BUILDING = Building("environment")


def build(place: Path) -> None:
    """Make the environment at `place`, which holds none or the remains of an interrupted building."""
    begin = time.monotonic()
    shutil.rmtree(place, ignore_errors=True)
    log = place.with_name(place.name + ".log")
    log.unlink(missing_ok=True)
    count = sum("==" in line for line in LOCK_FILE.read_text().splitlines())
    BUILDING.say(f"building {place} (once; 900 MB)")
    BUILDING.step("making it (needs the Python packages venv and ensurepip)", [sys.executable, "-m", "venv", str(place)], log)
    pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off", "--no-deps"]
    BUILDING.step(f"installing {count} packages", [*pip, "--only-binary", ":all:", "-r", str(LOCK_FILE)], log)
    (place / "complete").write_text(LOCK_FILE.read_text())
    BUILDING.say(f"built in {time.monotonic() - begin:.0f} s")


def ready() -> Path:
    """The Python of the environment, which is built first if need be. Raises SystemExit with what to do."""
    if sys.version_info[:2] < OLDEST:
        raise SystemExit(f"environment: Python {platform.python_version()} is too old, 3.11 is needed: make PYTHON=/path/to/python3.11 ...")
    place = folder()
    if not (place / "complete").exists():
        with BUILDING.only_one(place.with_name(place.name + ".lock")):
            if not (place / "complete").exists():
                try:
                    build(place)
                except StepFailed as error:
                    raise SystemExit(f"environment: {error}") from None
    return place / "bin" / "python"


def main() -> None:
    python = ready()
    if len(sys.argv) == 1:
        print(python)
        return
    os.environ["PATH"] = f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.environ["PYTHONPATH"] = str(CHECKOUT)
    program = python if sys.argv[1].startswith("-") else python.with_name(sys.argv[1])
    os.execv(program, [str(program), *sys.argv[1 + (program != python) :]])


if __name__ == "__main__":
    main()
