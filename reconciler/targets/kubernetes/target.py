"""A Kubernetes cluster as a target: opened with its kubeconfig, read in a handful of LISTs, written by server-side apply, watched."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from reconciler.change import Change, Create, Delete, Replace
from reconciler.desired import TargetSpec
from reconciler.errors import Busy, TargetError, TargetRefused
from reconciler.resource import Observation, Resource, ResourceKey
from reconciler.targets import own_store
from reconciler.targets.kubernetes.address import address_of
from reconciler.targets.kubernetes.api import kubeconfig
from reconciler.targets.kubernetes.api.access import Access
from reconciler.targets.kubernetes.api.client import KubeClient
from reconciler.targets.kubernetes.api.failures import CREDENTIALS, KUBECONFIG, NOBODY
from reconciler.targets.kubernetes.gather import Sight
from reconciler.targets.kubernetes.inventory import ApplySet, Members, Parent, record
from reconciler.targets.kubernetes.read import read
from reconciler.targets.kubernetes.remember import Memory
from reconciler.targets.kubernetes.settings import KubernetesSettings, settings_of
from reconciler.targets.kubernetes.watch import Watches
from reconciler.targets.kubernetes.write import KubernetesWriter
from reconciler.targets.protocol import Context, Writer

WIDE: Final = 16  # requests in flight: polite to a server's priority and fairness, and enough to keep it busy
LOOK: Final = 1.0  # seconds that `changed` blocks at the most
RENEWABLE: Final = frozenset({NOBODY, CREDENTIALS, KUBECONFIG})  # what a kubeconfig that was renewed meanwhile may cure


def open_target(spec: TargetSpec, context: Context) -> "KubernetesTarget":
    """Reads the kubeconfig and opens no connection yet. Raises TargetRefused for a kubeconfig that cannot mean a cluster."""
    settings = settings_of(spec)
    return KubernetesTarget(settings, context, access_of(settings))


def access_of(settings: KubernetesSettings) -> Access:
    """How this cluster is reached, out of our own store or the pod that we run in. Raises TargetRefused."""
    if settings.in_cluster:
        return kubeconfig.in_cluster()
    if settings.kubeconfig is None:
        raise TargetRefused(f"cluster {settings.name} has neither kubeconfigRef nor inCluster", code=KUBECONFIG, where=settings.name)
    name, key = settings.kubeconfig
    variable = own_store.variable_of(name, key)
    entry = own_store.find(name, key, "kubeconfig")
    if entry is None:
        raise TargetRefused(
            f"the kubeconfig {name} of cluster {settings.name} is not in the store",
            code=KUBECONFIG,
            where=settings.name,
            why=f"neither {variable} is set, nor is there a file for it below ${own_store.FOLDER}",
            todo=f"set {variable} to the kubeconfig's text, or put it into the file {name}/{key or 'kubeconfig'} below ${own_store.FOLDER}",
        )
    if entry.file is not None:
        return kubeconfig.read_file(entry.file, settings.context)
    if "\n" not in entry.text and entry.text.startswith(("/", "~", ".")):
        raise TargetRefused(
            f"{variable} holds a path, and not the text of a kubeconfig",
            code=KUBECONFIG,
            where=settings.name,
            why="what stands in the variable is the secret itself",
            todo=f"set it to the text, or put the file at {name}/{key or 'kubeconfig'} below ${own_store.FOLDER}",
        )
    return kubeconfig.read_text(entry.text, settings.context, Path.cwd(), where=variable)


class KubernetesTarget:
    """Reader and Target. One pool of threads and of connections for as long as it is open, and its access stays the same."""

    def __init__(self, settings: KubernetesSettings, context: Context, access: Access) -> None:
        self._settings, self._context, self._access = settings, context, access
        self._client = self._connected(access)
        self._applyset = ApplySet(settings, context.claim)
        self._pool = ThreadPoolExecutor(WIDE, thread_name_prefix=f"kubernetes-{settings.name}")
        self._memory = Memory(context.folder, settings.name)
        self._sight: Sight | None = None
        self._watches: Watches | None = None
        self._closed = threading.Event()

    def _connected(self, access: Access) -> KubeClient:
        return KubeClient(access, cancelled=lambda: not self._context.still_held())

    def read(self, wanted: Mapping[ResourceKey, Resource]) -> Observation:
        try:
            return self._read(wanted)
        except TargetError as error:
            if error.problem.code not in RENEWABLE or not self._renewed():
                raise
        return self._read(wanted)

    def _renewed(self) -> bool:
        """Is the kubeconfig (in a pod: the cluster's CA) another one than when it was read? Then that one holds from now on. Raises
        TargetRefused where it means nothing now."""
        access = access_of(self._settings)
        if access == self._access:
            return False
        old, self._access, self._client = self._client, access, self._connected(access)
        old.close()  # and with it the watches, which begin again by the new one
        return True

    def _read(self, wanted: Mapping[ResourceKey, Resource]) -> Observation:
        if self._memory.server != self._client.where:  # asked once, and not again at every pass: a pass is its LISTs
            self._client.version()
            self._memory.knows(self._client.where)
        observation, self._sight = read(self._client, self._applyset, wanted, self._memory.verified, self._pool, self._context.now())
        self._memory.save()
        return replace(observation, notes=(*observation.notes, *self._unwatched()))

    def _unwatched(self) -> Iterator[str]:
        """A hint that is missing is no error: it costs the time to the next poll."""
        for kind, problem in sorted(self._watches.refused.items()) if self._watches else ():
            why = ", ".join(part for part in (problem.what, problem.why, problem.todo) if part)
            yield f"{self._settings.name}: {kind}s are not watched, so their changes show a poll later: {why}"

    @contextlib.contextmanager
    def session(self, plan: Sequence[Change]) -> Iterator[Writer]:
        """The set's parent names every kind and namespace of the plan before the first write, and only those in use after the last."""
        writer = KubernetesWriter(self._client, self._applyset, self._context, self._pool)
        before = self._sight or Sight({}, Parent(), {}, {})
        members = frozenset(before.members(self._context.claim, self._applyset.id))
        used = Members.of(address_of(self._settings, key)[:2] for key in members)
        ending = {change.key for change in plan if isinstance(change, Delete | Replace)}
        coming = Members.of(address_of(self._settings, change.key)[:2] for change in plan if isinstance(change, Create))
        if not plan:
            yield writer
            return
        self._check_lock()
        parent = record(self._client, self._applyset, before.parent, used | coming, exact=False)
        yield writer
        if not writer.failed:
            left = Members.of(address_of(self._settings, key)[:2] for key in members if key not in ending)
            record(self._client, self._applyset, parent, left | coming, exact=True)

    def _check_lock(self) -> None:
        if not self._context.still_held():
            raise Busy(f"{self._settings.name} is no longer ours to write", where=self._settings.name)

    def changed(self) -> Iterator[None]:
        """Yields when a workload, its readiness or its addresses changed; also when watching fails and works again."""
        while not self._closed.is_set():
            client = self._client
            with Watches(client, self._applyset) as watches:
                self._watches = watches
                while self._client is client and not self._closed.is_set():
                    if watches.wait(LOOK):
                        yield

    def close(self) -> None:
        self._closed.set()
        self._client.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
