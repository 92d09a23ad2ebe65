"""Reading Serve: one GET for everything, whose answer is complete or an error.

An answer without a controller may mean "no Serve runs" or "it was not found". It counts as empty only when a second source, the list of
actors, says that no controller is alive. What carries a mark of ours is ours; whoever else holds a wanted name is a conflict. A name that
Serve is deleting is free: what is put under it waits there.
"""

from collections.abc import Mapping
from dataclasses import replace

from reconciler.errors import Problem, TargetUnavailable
from reconciler.resource import Binding, LiveResource, Mark, Observation, Replica, ReplicaState, Resource, ResourceKey, Serving
from reconciler.targets.protocol import Claim
from reconciler.targets.ray.answer import Application, ServeReplica, ServeState, parse
from reconciler.targets.ray.client import TIMEOUT, RayClient
from reconciler.targets.ray.document import attempt_of, key_of, mark_of, plain, replicas_of
from reconciler.targets.ray.health import message_of, serving


class FailedSince:
    """When Serve gave up on each application, for as long as this process lives: any PUT, also of another application, moves the time that
    Serve itself tells, and a waiting retry would wait for ever in a busy repo."""

    def __init__(self) -> None:
        self._known: dict[ResourceKey, tuple[LiveResource, float]] = {}

    def put_in(self, observation: Observation) -> Observation:
        """The reading with these times in it."""
        found = {key: self._settled(key, live) for key, live in observation.resources.items()}
        self._known = {key: known for key, known in self._known.items() if key in found}
        return replace(observation, resources=found)

    def _settled(self, key: ResourceKey, live: LiveResource) -> LiveResource:
        facts, known = live.serving, self._known.get(key)
        if known is not None and (known[0].manifest, known[0].binding) != (live.manifest, live.binding):
            known = None
            del self._known[key]
        if facts is None or not facts.gave_up or facts.since is None:
            return live
        since = known[1] if known is not None else facts.since
        self._known[key] = (live, since)
        return replace(live, serving=replace(facts, since=since))


def read_state(client: RayClient, timeout: float = TIMEOUT) -> ServeState:
    """Serve as it is. Raises TargetUnavailable for an empty answer that nothing confirms."""
    state = parse(client.applications(timeout))
    if not state.started and not client.no_controller():
        raise TargetUnavailable(
            "Serve's list is empty, and a controller is there",
            code="RAY6",
            where=client.address,
            why="Ray answers the same when it does not find the controller in time; taken for empty, a write would delete what runs",
            todo="nothing, if it passes; else see the GCS and the controller's log on the head",
        )
    return state


def observe(
    target: str, state: ServeState, wanted: Mapping[ResourceKey, Resource], claim: Claim, client: RayClient, now: float
) -> Observation:
    """The reading as a value: ours, and whatever else holds a wanted key."""
    resources: dict[ResourceKey, LiveResource] = {}
    notes = [f"{app.name} is being deleted" for app in state.applications.values() if app.deleting]
    for app in state.applications.values():
        key = key_of(target, app.name)
        if key is None or app.deleting:
            continue
        mark = mark_of(app.config) if app.config is not None else None
        if key in wanted or (mark is not None and mark.instance == claim.instance):
            resources[key] = live_of(key, app, mark, now, client)
    return Observation(target, resources, problems=_taken_prefixes(state, wanted), notes=tuple(notes))


def live_of(key: ResourceKey, app: Application, mark: Mark | None, now: float, client: RayClient | None = None) -> LiveResource:
    """One application. With a client, the reason of a replica that died is fetched from its log where Serve does not say it."""
    config = app.config or {}
    facts = serving(app, replicas_of(config), now)
    if client is not None and mark is not None:
        facts = _with_reason(facts, app, client)
    return LiveResource(
        key,
        plain(config) if mark is not None else config,
        mark,
        version=f"{app.deployed_at:.6f}",
        binding=Binding(attempt=attempt_of(config)),
        addresses=app.addresses,
        serving=facts,
        message=facts.message or message_of(app),
    )


def _with_reason(facts: Serving, app: Application, client: RayClient) -> Serving:
    dead = next((one for deployment in app.deployments.values() for one in reversed(deployment.dead)), None)
    if dead is None or app.status == "DEPLOY_FAILED" or not facts.count(ReplicaState.FAILING):
        return facts
    words = _last_words_of(dead, client)
    if not words:
        return facts
    replicas = tuple(_explained(replica, words) if replica.state is ReplicaState.FAILING else replica for replica in facts.replicas)
    return replace(facts, replicas=replicas, message=words)


def _explained(replica: Replica, words: str) -> Replica:
    return replace(replica, message=words)


def _last_words_of(dead: ServeReplica, client: RayClient) -> str:
    """The line in which the supervisor says why the engine is gone."""
    lines = client.log_tail(dead.node_id, dead.log).splitlines() if dead.node_id and dead.log else []
    said = [line for line in lines if "engine exited" in line or "engine was killed" in line]
    return "engine" + said[-1].split("engine", 1)[1] if said else ""


def _taken_prefixes(state: ServeState, wanted: Mapping[ResourceKey, Resource]) -> tuple[Problem, ...]:
    """Two applications cannot have one prefix: Serve would refuse the whole list."""
    holders = {app.config.get("route_prefix"): app.name for app in state.applications.values() if app.config is not None}
    found = []
    for resource in wanted.values():
        prefix, name = resource.manifest.get("route_prefix"), resource.manifest.get("name")
        if prefix in holders and holders[prefix] != name:
            what = f"the application {holders[prefix]} has the route prefix {prefix}"
            found.append(Problem("RAY4", what, "a prefix belongs to one application", where=resource.source, owner=resource.owner))
    return tuple(found)
