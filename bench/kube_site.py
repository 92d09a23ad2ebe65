"""A fleet on a control plane, and the whole processes that are compared on it: ours, kubectl, a raw client; all as one ordinary user."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from bench import fleet, kube_bodies
from bench.envoys import processor_time
from reconciler.state.compiled import FOLDER as COMPILED
from reconciler.state.compiled import PACKAGE
from reconciler.targets.kubernetes.kinds import MANAGER
from reconciler.targets.kubernetes.remember import FOLDER as SEEN
from reconciler.targets.own_store import variable_of
from tools import controlplane
from tools.controlplane import ControlPlane, Entry, assets

USER: Final = "reconciler"
SERVER_SIDE: Final = ("--server-side", "--force-conflicts", f"--field-manager={MANAGER}")
BYTE_CODE: Final = "bytecode"
CHANGED: Final = 100  # one endpoint of so many is changed in a commit


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of one whole process: by the clock, of processors, and of the server's processors meanwhile."""

    wall: float
    cpu: float
    server: float


def prepare(scratch: Path) -> None:
    """Compile the package to byte code, once for all that follows, as pip does."""
    command = [sys.executable, "-m", "compileall", "-q", str(PACKAGE)]
    subprocess.run(command, env=os.environ | {"PYTHONPYCACHEPREFIX": str(scratch / BYTE_CODE)}, check=True)


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement, and what it asked of the server as the server's audit log has it."""

    took: Took
    asked: Sequence[Entry]


Rounds: TypeAlias = dict[str, list[Run]]  # by name of what was measured, one run a round


@contextmanager
def plane(scratch: Path) -> Iterator[ControlPlane]:
    """A fresh, quiet server: etcd and the API server, no controllers. Its files are in `scratch`, until it is stopped."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        found = controlplane.start(Path(folder), "api")
        try:
            yield found
        finally:
            found.stop()


@dataclass(frozen=True)
class Site:
    """So many endpoints, declared in Git for one cluster; nothing of it applied yet. cluster: also the prefix of its namespaces."""

    plane: ControlPlane
    folder: Path
    cluster: str
    endpoints: int

    @classmethod
    def make(cls, plane: ControlPlane, cluster: str, endpoints: int) -> "Site":
        found = cls(plane, plane.folder / f"site-{cluster}", cluster, endpoints)
        fleet.write_kubernetes(found.repo, endpoints, cluster)
        return found

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @cached_property
    def bodies(self) -> Sequence[kube_bodies.Body]:
        """What its first commit wants, as it is sent."""
        return kube_bodies.bodies_of(self.repo, self.cluster, self.folder / "scratch")

    @cached_property
    def one_file(self) -> Path:
        file = self.folder / "all.json"
        kube_bodies.as_one_file(self.bodies, file)
        return file

    @cached_property
    def many_files(self) -> Path:
        folder = self.folder / "all"
        kube_bodies.as_folder(self.bodies, folder)
        return folder

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """Python finds its byte code ready, as where pip installed the package."""
        ours = {
            "RECONCILER_REPO": str(self.repo),
            "RECONCILER_STATE": str(self.state),
            variable_of(self.cluster): self.plane.user_kubeconfig.read_text(),
            "PYTHONPYCACHEPREFIX": str(self.plane.folder.parent / BYTE_CODE),
            "KUBECTL_KUBERC": "false",
        }
        return {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | ours

    # What is measured.

    def reconciler(self, *words: str, codes: Collection[int] = (0,)) -> Took:
        return self._timed([sys.executable, "-m", "reconciler.cli.main", *words], codes)

    def kubectl(self, *words: str) -> Took:
        """By its own exit code: 1 of `diff` (there are differences) is a mistake of the benchmark."""
        options = [f"--kubeconfig={self.plane.user_kubeconfig}", f"--cache-dir={self.folder / 'kubectl'}"]
        return self._timed([str(assets.kubectl()), *words, *options, *SERVER_SIDE])

    def raw(self, stages: kube_bodies.Stages, user: str = USER) -> Took:
        """The raw client."""
        where, token, requests = urlsplit(self.plane.url), self.folder / "token", self.folder / "requests"
        token.write_text(self.plane.tokens[user])
        requests.write_text("\n\n".join("\n".join(stage) for stage in stages))
        words = [str(where.hostname), str(where.port), str(self.plane.ca), str(token), str(requests)]
        return self._timed([sys.executable, "-m", "bench.kube_raw", *words])

    def _timed(self, command: Sequence[str], codes: Collection[int] = (0,)) -> Took:
        server, begin = self._server(), time.perf_counter()
        with tempfile.TemporaryFile() as said:
            child = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
            _, status, used = os.wait4(child.pid, 0)  # of this child and its own children, whoever else ends meanwhile
            wall = time.perf_counter() - begin
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode not in codes:
                said.seek(0)
                raise RuntimeError(f"{' '.join(command)[:300]} ended with {child.returncode}: {said.read().decode()[-2000:]}")
        return Took(wall, used.ru_utime + used.ru_stime, self._server() - server)

    def _server(self) -> float:
        return sum(processor_time(pid) for pid in self.plane.processes.pids.values())

    # What is done between.

    def forget(self) -> None:
        """As after a restart on another machine: what was compiled and what was compared is computed anew. The record stays."""
        for name in (COMPILED, SEEN):
            shutil.rmtree(self.state / name, ignore_errors=True)

    def scale(self, replicas: int) -> int:
        """In one commit, give one endpoint of a hundred so many replicas; how many endpoints that were."""
        files = fleet.endpoints_of(self.repo)[: max(1, self.endpoints // CHANGED)]
        for file in files:
            lines = file.read_text().splitlines(keepends=True)
            file.write_text("".join(f"  replicas: {replicas}\n" if line.startswith("  replicas:") else line for line in lines))
        fleet.commit(self.repo, f"{replicas} replicas")
        return len(files)

    def asked(self, action: Callable[[], Took]) -> Run:
        mark = self.plane.audit_log.mark()
        took = action()
        return Run(took, self.plane.audited(mark))


def writes(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.write]


def rate(entries: Sequence[Entry]) -> float:
    """Writes per second, from the first to the last."""
    times = sorted(datetime.fromisoformat(entry.received) for entry in writes(entries))
    return (len(times) - 1) / (times[-1] - times[0]).total_seconds()
