"""The real `reconciler run`, looked at from outside: its memory, and what a pass costs when nothing changed."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from bench.envoys import TICKS, processor_time
from bench.kube_site import Site, writes
from tools.controlplane import Entry

INTERVAL: Final = "1s"  # the shortest: each fetches Git and passes
SETTLED: Final = 3  # passes after the last write, before anything is measured
PATIENCE: Final = 180.0  # seconds
POLL: Final = 0.02
PASS: Final = "namespaces"  # each pass asks once for all of these, and nothing else does


@dataclass(frozen=True, slots=True)
class Daemon:
    """memory, peak: MiB that are resident, and that ever were. cpu: seconds of its own per pass, one value a pass. git: seconds of the git
    programs that it starts, per pass. asked: what all measured passes asked of the server, watches left out."""

    memory: float
    peak: float
    cpu: tuple[float, ...]
    git: float
    asked: tuple[Entry, ...]

    @property
    def lists(self) -> int:
        """Of one pass: the pages of each kind, whose beginning is the only one without `continue=`. Passes that were seen in part do not
        count: a beginning may be missing, and so may the last pages."""
        kinds: dict[str, list[int]] = {}
        for entry in self.asked:
            if entry.verb == "list":
                pages = kinds.setdefault(entry.resource, [])
                if "continue=" not in entry.uri:
                    pages.append(1)
                elif pages:
                    pages[-1] += 1
        return sum(max(pages, default=0) for pages in kinds.values())


def daemon(site: Site, passes: int) -> Daemon:
    """Let it converge, compile and apply one more commit, settle, and then pass so often without a change."""
    with _running(site) as pid:
        _wait(site, 0, lambda asked: begun(asked) >= SETTLED)
        mark = site.plane.audit_log.mark()
        changed = site.scale(1)
        _wait(site, mark, lambda asked: len(writes(asked)) >= changed)
        mark = site.plane.audit_log.mark()
        _wait(site, mark, lambda asked: begun(asked) >= SETTLED)
        mark, git = site.plane.audit_log.mark(), _children_time(pid)
        cpu = _each(site, pid, mark, passes)
        memory = _memory(pid)
        asked = tuple(entry for entry in site.plane.audited(mark) if entry.verb != "watch")
        return Daemon(memory["VmRSS"], memory["VmHWM"], cpu, (_children_time(pid) - git) / passes, asked)


def _each(site: Site, pid: int, mark: int, passes: int) -> tuple[float, ...]:
    """Processor time from the beginning of one pass to the beginning of the next: everything that the daemon does."""
    times = [_at_beginning(site, pid, mark, number) for number in range(passes + 1)]
    return tuple(after - before for before, after in pairwise(times))


def _at_beginning(site: Site, pid: int, mark: int, number: int) -> float:
    """What the daemon has used when pass `number` begins."""
    _wait(site, mark, lambda asked: begun(asked) > number)
    return processor_time(pid)


@contextmanager
def _running(site: Site) -> Iterator[int]:
    words = ["run", "--interval", INTERVAL, "--no-publish", "--log", "json"]
    with (site.folder / "daemon.log").open("wb") as log:
        command = [sys.executable, "-m", "reconciler.cli.main", *words]
        child = subprocess.Popen(command, env=site.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield child.pid
        if child.poll() is not None:
            raise RuntimeError(f"the daemon ended: {(site.folder / 'daemon.log').read_text()[-2000:]}")
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def begun(asked: Sequence[Entry]) -> int:
    """How many passes have begun."""
    return sum(entry.verb == "list" and entry.resource == PASS and "continue=" not in entry.uri for entry in asked)


def _wait(site: Site, mark: int, met: Callable[[list[Entry]], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not met(list(site.plane.audit_log.since(mark))):
        if time.monotonic() > end:
            raise TimeoutError(f"the daemon does not come to it: {(site.folder / 'daemon.log').read_text()[-2000:]}")
        time.sleep(POLL)


def _memory(pid: int) -> dict[str, float]:
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Vm"))
    return {words[0].rstrip(":"): int(words[1]) / 1024 for words in lines}


def _children_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS
