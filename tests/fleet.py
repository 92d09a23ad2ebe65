"""A small vocabulary for tests of the plan: what is declared, what lives, and what the plan says, each in one short line."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.change import Plan
from reconciler.desired import Desired, Guards, Owner, TargetSpec
from reconciler.errors import Problem
from reconciler.plan.make import make_plan
from reconciler.plan.situation import Situation
from reconciler.resource import (
    Binding,
    DriftMode,
    Json,
    Live,
    LiveResource,
    Mark,
    Observation,
    Replica,
    ReplicaState,
    Resource,
    ResourceKey,
    Serving,
    Unreadable,
)

NOW = 1_700_000_000.0
EAST, WEST, EDGE = "gpu-east", "gpu-west", "edge"
REPO, INSTANCE = "7" * 40, "default"
APPLIED, HEAD = "a" * 40, "b" * 40
AWAY = Problem("T2", "no answer")
TARGETS = {
    EAST: TargetSpec(EAST, "memory", drain_seconds=30),
    WEST: TargetSpec(WEST, "memory", drain_seconds=30),
    EDGE: TargetSpec(EDGE, "memory", binds=(EAST, WEST)),
}


def work_key(name: str, target: str = EAST) -> ResourceKey:
    return ResourceKey(target, "Workload", "team-a", name)


def route_key(name: str) -> ResourceKey:
    return ResourceKey(EDGE, "Route", "team-a", name)


def owner_of(name: str) -> str:
    return f"Endpoint/team-a/{name}"


def workload(name: str, target: str = EAST, *, drift: DriftMode = DriftMode.HEAL, protect: bool = False, **fields: Json) -> Resource:
    manifest: dict[str, Json] = {"command": ["serve", name], "replicas": 1, **fields}
    source = f"{name}.yaml:1"
    return Resource.make(work_key(name, target), manifest, owner=owner_of(name), source=source, drift=drift, protect=protect)


def route(name: str, *backends: ResourceKey, drift: DriftMode = DriftMode.HEAL, **fields: Json) -> Resource:
    """To the workload of its own name, unless told where else. `route("a", *NOWHERE)` is how a paused endpoint answers."""
    needs = tuple(key for key in (backends or (work_key(name),)) if key is not NOBODY)
    manifest: dict[str, Json] = {"models": [f"team-a/{name}"], "backends": [str(key) for key in needs], **fields}
    return Resource.make(route_key(name), manifest, owner=owner_of(name), source=f"{name}.yaml:1", needs=needs, drift=drift)


NOBODY = ResourceKey("", "", "", "")
NOWHERE = (NOBODY,)


def api_key(name: str) -> Resource:
    manifest: dict[str, Json] = {"grants": ["ws:team-a"]}
    return Resource.make(ResourceKey(EDGE, "Key", "team-a", name), manifest, owner=f"ApiKey/team-a/{name}", source="keys.yaml:1")


def endpoint(name: str) -> tuple[Resource, Resource]:
    return workload(name), route(name)


def endpoints(*names: str) -> tuple[Resource, ...]:
    return tuple(part for name in names for part in endpoint(name))


def desired(
    *resources: Resource,
    asleep: Iterable[str] = (),
    blocked: Iterable[str] = (),
    guards: Guards | None = None,
    no_deletes: str = "",
    revision: str = HEAD,
) -> Desired:
    owners = {one.owner: Owner(one.owner, one.source, targets=(EAST, EDGE)) for one in resources}
    owners |= {owner_of(name): Owner(owner_of(name), f"{name}.yaml:1", asleep=True, targets=(EAST, EDGE)) for name in asleep}
    return Desired(
        revision=revision,
        instance=INSTANCE,
        repo=REPO,
        resources={one.key: one for one in resources},
        owners=owners,
        targets=TARGETS,
        guards=guards or Guards(),
        blocked={owner_of(name): (Problem("E12", "unknown field", owner=owner_of(name)),) for name in blocked},
        no_deletes=no_deletes,
    )


def serving(ready: int = 1, wanted: int = 1, **facts: object) -> Serving:
    replicas = tuple(Replica(f"r{n}", ReplicaState.SERVING) for n in range(ready))
    return replace(Serving(wanted, replicas), **facts)  # type: ignore[arg-type]


def live(wanted: Resource, **changes: object) -> LiveResource:
    """It runs as it is wanted: a workload serves on one address, a route knows it."""
    works = wanted.key.kind == "Workload"
    found = LiveResource(
        key=wanted.key,
        manifest=wanted.manifest,
        mark=wanted.mark(INSTANCE, REPO),
        version="1",
        needs=wanted.needs,
        binding=Binding(tuple((key, (address(key),)) for key in sorted(wanted.needs))),
        addresses=(address(wanted.key),) if works else (),
        serving=serving() if works else None,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def address(key: ResourceKey) -> str:
    return f"{key.target}-{key.name}:80"


def foreign(wanted: Resource, instance: str = "", repo: str = REPO) -> LiveResource:
    mark = Mark(instance, repo, "Endpoint/x/y", "sha256:0") if instance else None
    return live(wanted, mark=mark)


def draining(wanted: Resource, *backends: ResourceKey, since: float = NOW) -> LiveResource:
    """A withdrawn route whose former backends may still answer requests."""
    return live(wanted, withdrawn=True, needs=(), binding=Binding(drains=tuple((key, since) for key in backends)))


def world(*resources: Resource | LiveResource, dark: Iterable[str] = (), pending: Mapping[str, tuple[str, ...]] | None = None) -> Live:
    """What was read: a Resource lives as it is wanted. dark: targets that cannot be read."""
    found = [one if isinstance(one, LiveResource) else live(one) for one in resources]
    readings = {
        name: Observation(name, {one.key: one for one in found if one.key.target == name}, (pending or {}).get(name, ()))
        for name in TARGETS
    }
    return {**readings, **{name: Unreadable(name, AWAY) for name in dark}}


def plan(wanted: Desired, seen: Live, **situation: object) -> Plan:
    """The plan at NOW, at a revision that follows an applied one, unless told otherwise."""
    given: dict[str, object] = {"applied": APPLIED, "targets": TARGETS, **situation}
    return make_plan(wanted, seen, Situation(NOW, **given))  # type: ignore[arg-type]


def said(found: Plan) -> list[str]:
    """The plan in short lines: `delete gpu-east: Workload/team-a/a`, `guard: delete ...`, `rebind ...`, sorted by key."""
    runs = [(op.key, _line(op)) for op in found.changes] + [(op.key, f"rebind {op.key}") for op in found.rebinds]
    holds = [(one.change.key, f"{one.reason}: {_line(one.change)}") for one in found.held if one.change]
    others = [f"{one.reason}: {one.subject}" for one in found.held if not one.change]
    return [line for _, line in sorted([*runs, *holds])] + others


def _line(change: object) -> str:
    return f"{type(change).__name__.lower()} {change.key}"  # type: ignore[attr-defined]


def runs(found: Plan) -> list[str]:
    return [_line(op) for op in found.changes]


def why(found: Plan) -> str:
    """The sentences of everything that is held, one per line."""
    return "\n".join(one.text for one in found.held)
