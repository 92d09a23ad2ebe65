"""The gateway as a target: reads its folder, writes it in order, and has Envoy brought up on it where that is ours to do.

Envoy that is away blocks no start of it: whoever may write brings it up before reading. `plan` starts nothing and reads the folder alone.
With `output.run: false` somebody else runs Envoy on the folder; its answers are waited for when it answers, and not when it does not.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Final

from reconciler.change import Change
from reconciler.desired import TargetSpec
from reconciler.errors import LocalError, TargetUnavailable
from reconciler.local import envoy as local
from reconciler.local.envoy_admin import Admin, told
from reconciler.local.envoy_record import Launch
from reconciler.resource import Observation, Resource, ResourceKey
from reconciler.targets.envoy.acknowledge import Envoy
from reconciler.targets.envoy.files import Folder
from reconciler.targets.envoy.generate import Generator, fingerprint
from reconciler.targets.envoy.read import drifted, is_foreign, observation, unacknowledged, undrained
from reconciler.targets.envoy.settings import read_settings
from reconciler.targets.envoy.state import State
from reconciler.targets.envoy.write import GatewayWriter, Live
from reconciler.targets.envoy.xds import Place
from reconciler.targets.protocol import Context, Target, Writer

LOOK: Final = 0.5  # seconds between two looks at the folder


def open_target(spec: TargetSpec, context: Context) -> Target:
    """The gateway in its folder. Nothing is started or asked yet. Raises TargetRefused for settings that mean nothing."""
    return EnvoyTarget(spec, context)


class EnvoyTarget:
    def __init__(self, spec: TargetSpec, context: Context) -> None:
        self._settings = read_settings(spec)
        self._context = context
        self._folder = Folder(context.folder / self._settings.directory)
        self._admin = Admin(self._folder.path)
        place = Place(str(self._folder.path), told(self._folder.path))
        self._generator = Generator(self._settings, place)
        self._made = fingerprint(self._settings, place)
        self._closed = threading.Event()
        self._seen = self._signature()

    def read(self, wanted: Mapping[ResourceKey, Resource]) -> Observation:
        """What stands in the folder. Raises TargetRefused, TargetUnavailable."""
        state = self._folder.read_state()
        if state is None:
            return Observation(self._settings.name, {}, self._beginning())
        if self._context.write and not is_foreign(state, self._context.claim):
            self._bring_up()
        self._seen = self._signature()
        found = observation(self._settings.name, state, self._context.claim, wanted, self._context.now())
        versions = self._versions(state)
        away = self._settings.run and versions is None
        if away and self._process() is not None:
            pending = (*self._pending(state, None), "Envoy does not answer at its admin address")
            return replace(found, pending=pending)
        return replace(found, pending=self._pending(state, versions), notes=("Envoy does not run; apply starts it",) if away else ())

    def _beginning(self) -> tuple[str, ...]:
        """A gateway that does not exist yet is set up by the first pass that may write, so that it answers before its first route."""
        return ("the gateway is not set up yet",) if self._context.write and self._settings.run else ()

    def _pending(self, state: State, versions: Mapping[str, str] | None) -> tuple[str, ...]:
        different = drifted(self._folder, state)
        unseen = unacknowledged(self._folder, versions) if versions is not None and not different else []
        made = () if state.made == self._made else ("the gateway's settings or its generator changed",)
        return (*different, *unseen, *undrained(state), *made)

    def _versions(self, state: State) -> Mapping[str, str] | None:
        envoy = self._envoy() if state.files else None
        return envoy.versions() if envoy else None

    def _envoy(self) -> Envoy | None:
        """The Envoy that runs on the folder: ours by its process, whether or not it answers; somebody else's when it answers."""
        there = self._process() is not None if self._settings.run else self._admin.ready()
        return Envoy(self._folder, self._admin, self._revive) if there else None

    def _process(self) -> int | None:
        found = local.running(self._context.folder, self._settings.name)
        return found.pid if found else None

    def _revive(self) -> bool:
        if not self._settings.run:
            return False
        self._bring_up()
        return True

    def _launch(self) -> Launch:
        settings = self._settings
        return Launch(str(self._folder.path), settings.address, settings.port, settings.workers)

    def _bring_up(self) -> None:
        """Have our Envoy run on the files that are there. Raises TargetUnavailable with the reason why it does not."""
        if not self._settings.run or self._folder.hash("bootstrap.json") == "":
            return
        try:
            local.ensure(self._context.folder, self._settings.name, self._launch())
        except LocalError as error:
            cause = error.problem
            raise TargetUnavailable(
                cause.what, why=cause.why, todo=cause.todo, where=f"{self._settings.name} {cause.where}".strip(), code=cause.code
            ) from error

    def _live(self) -> Live:
        context, home = self._context, local.home_of(self._context.folder, self._settings.name)
        return Live(
            self._settings,
            self._generator,
            self._made,
            context,
            self._folder,
            self._envoy,
            self._bring_up,
            lambda content: local.refuses(content, home),
        )

    def session(self, plan: Sequence[Change]) -> AbstractContextManager[Writer]:
        """Each wave records its own intent first, in the file that is read back: there is nothing else to record."""
        return self._session()

    @contextmanager
    def _session(self) -> Iterator[Writer]:
        try:
            yield GatewayWriter(self._live())
        finally:
            self._seen = self._signature()

    def _signature(self) -> tuple[object, ...]:
        process = self._process() if self._settings.run else None
        return (*self._folder.stamps(), process)

    def changed(self) -> Iterator[None]:
        """Yields when a file was touched by others, and when Envoy ended or was started again."""
        while not self._closed.wait(LOOK):
            now = self._signature()
            if now != self._seen:
                self._seen = now
                yield

    def close(self) -> None:
        self._closed.set()
