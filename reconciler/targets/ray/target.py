"""A Ray cluster as a target: opened with its token, read and written through `read.py` and `write.py`, looked at once a second.

`ray: {local: true}`: whoever may write makes sure that Ray runs before it reads, `run` without waiting for it: a Ray that is starting is
unavailable to this pass, and a change when it answers. `plan` starts nothing, so that a Ray that was never started is an empty cluster, and
one that was and does not answer is unavailable.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from reconciler.change import Change
from reconciler.desired import TargetSpec
from reconciler.errors import LocalError, Problem, TargetError, TargetRefused, TargetUnavailable
from reconciler.local import ray
from reconciler.local.ray_head import environment
from reconciler.resource import Observation, Resource, ResourceKey
from reconciler.targets import own_store
from reconciler.targets.protocol import Context, Writer
from reconciler.targets.ray.answer import ServeState
from reconciler.targets.ray.client import LIGHT_TIMEOUT, RayClient, Token
from reconciler.targets.ray.problems import local_problems
from reconciler.targets.ray.read import FailedSince, observe, read_state
from reconciler.targets.ray.settings import RaySettings, settings_of
from reconciler.targets.ray.write import First, RayWriter

LOOK: Final = 1.0  # seconds between two looks
LOOK_CLOSER: Final = 0.2  # while something starts or stops: a replica that is ready should not wait for traffic
SETTLED: Final = ("RUNNING", "DEPLOY_FAILED")


def open_target(spec: TargetSpec, context: Context) -> "RayTarget":
    """Opens nothing yet: the first reading does. Raises CompileError for settings that mean nothing, TargetRefused for a missing token."""
    settings = settings_of(spec)
    return LocalRayTarget(spec, context, settings) if settings.local else RayTarget(spec, context, settings)


class RayTarget:
    """A cluster at a given address."""

    def __init__(self, spec: TargetSpec, context: Context, settings: RaySettings) -> None:
        self._spec, self._context, self._settings = spec, context, settings
        self._closed = threading.Event()
        self._clients: dict[str, RayClient] = {}
        self._failed = FailedSince()

    def read(self, wanted: Mapping[ResourceKey, Resource]) -> Observation:
        client = self._client("pass")
        seen = observe(self._spec.name, read_state(client), wanted, self._context.claim, client, self._context.now())
        return self._failed.put_in(seen)

    @contextlib.contextmanager
    def session(self, plan: Sequence[Change]) -> Iterator[Writer]:
        """The marks in the list are the record of intent: there is nothing to write down before."""
        yield RayWriter(self._client("pass"), self._context, self._first())

    def changed(self) -> Iterator[None]:
        """Yields when applications, replicas or addresses are others than at the last look; also when looking fails or works again."""
        last = self._look()
        while not self._closed.wait(LOOK_CLOSER if _moving(last) else LOOK):
            now = self._look()
            if now != last:
                last = now
                yield

    def close(self) -> None:
        self._closed.set()
        for client in self._clients.values():
            client.close()

    def _look(self) -> "Look":
        try:
            return _look_at(read_state(self._client("look"), LIGHT_TIMEOUT))
        except TargetError as error:
            return error.problem.code

    def _client(self, use: str) -> RayClient:
        """One connection for the pass and one for the looks: they run in different threads."""
        address, token = self._settings.address, _token(self._settings)
        return self._connected(use, address, token)

    def _connected(self, use: str, address: str, token: Token) -> RayClient:
        client = self._clients.get(use)
        if client is None or not client.fits(address, token):  # the token was renewed, or the head is another
            if client is not None:
                client.close()
            client = self._clients[use] = RayClient(address, token)
        return client

    def _first(self) -> First:
        return First()


class LocalRayTarget(RayTarget):
    """The Ray that we keep up on this box."""

    def read(self, wanted: Mapping[ResourceKey, Resource]) -> Observation:
        if not self._context.write and ray.running(self._context.folder, self._spec.name) is None:
            observation = Observation(self._spec.name, {}, notes=("Ray is not started yet; apply and run start it",))
        else:
            if self._context.write:
                self._up()
            observation = super().read(wanted)
        return replace(observation, problems=(*observation.problems, *self._problems(wanted)))

    def _up(self) -> ray.RunningRay:
        go = ray.ensure if self._context.patient else ray.begin
        try:
            found = go(self._context.folder, self._spec.name, self._models())
        except LocalError as error:
            problem = error.problem
            raise TargetUnavailable(problem.what, why=problem.why, todo=problem.todo, where=problem.where, code=problem.code) from error
        if found is None:
            todo = "nothing: a pass follows as soon as it answers"
            raise TargetUnavailable("the local Ray is starting", code="RAY1", where=self._spec.name, todo=todo)
        return found

    def _problems(self, wanted: Mapping[ResourceKey, Resource]) -> tuple[Problem, ...]:
        path = environment(ray.home_of(self._context.folder, self._spec.name))["PATH"]
        return local_problems(wanted.values(), self._models(), path)

    def _models(self) -> Path:
        return Path(self._settings.model_root or self._context.folder / "models")

    def _client(self, use: str) -> RayClient:
        running = ray.running(self._context.folder, self._spec.name)
        if running is None:
            raise TargetUnavailable("the local Ray is not started", code="RAY1", where=self._spec.name, todo="apply or run start it")
        return self._connected(use, running.address, Token(running.token))

    def _first(self) -> First:
        running = self._up()
        return First(running.host, running.serve_port)


Look = str | tuple[tuple[str, str, tuple[str, ...], tuple[tuple[str, str], ...]], ...]


def _look_at(state: ServeState) -> Look:
    return tuple(
        (
            app.name,
            app.status,
            app.addresses,
            tuple((one.id, one.state) for deployment in app.deployments.values() for one in deployment.replicas),
        )
        for _, app in sorted(state.applications.items())
    )


def _moving(look: Look) -> bool:
    return not isinstance(look, str) and any(status not in SETTLED for _, status, _, _ in look)


def _token(settings: RaySettings) -> Token:
    """The cluster's token out of our own store. Raises TargetRefused."""
    if settings.token is None:
        return Token("")
    name, key = settings.token
    if entry := own_store.find(name, key, "token"):
        return Token(entry.text)
    variable = own_store.variable_of(name, key)
    raise TargetRefused(
        f"the token {name} of the cluster is not in the store",
        code="RAY2",
        where=settings.address,
        why=f"neither {variable} is set, nor is there a file for it below $RECONCILER_SECRETS",
        todo=f"set {variable}",
    )
