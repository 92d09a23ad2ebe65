"""Hand-made reports, one per thing that a report can say: input of the golden texts and of the JSON's schema test."""

from dataclasses import replace

from reconciler.change import (
    ABSENT,
    ChangeClass,
    Create,
    Delete,
    Effects,
    FieldChange,
    Held,
    Operation,
    Outcome,
    Plan,
    Reason,
    Rebind,
    Replace,
    Trip,
    Update,
)
from reconciler.errors import Problem, Severity
from reconciler.report.model import EndpointStatus, Report
from reconciler.resource import (
    Binding,
    Health,
    Json,
    LiveResource,
    Mark,
    Replica,
    ReplicaState,
    Resource,
    ResourceKey,
    Unreadable,
    digest_of,
)

COMMIT = "8d1f0c2" + "a" * 33
DIGEST = "sha256:3f9c2a17be04d1c86a5e7f0b92c4d83e61fa07b5c9e2d4483b1670fe95acd21f"
NOW = 1_795_000_000.0


def app(name: str, target: str = "gpu-east") -> ResourceKey:
    return ResourceKey(target, "ServeApplication", *name.split("/"))


def route(name: str) -> ResourceKey:
    return ResourceKey("envoy-eu", "Route", *name.split("/"))


def wanted(key: ResourceKey, manifest: dict[str, Json] | None = None, kind: str = "Endpoint") -> Resource:
    source = f"endpoints/{key.namespace}/{key.name}.yaml:1"
    return Resource.make(key, manifest or {"replicas": 1}, owner=f"{kind}/{key.namespace}/{key.name}", source=source)


def live(key: ResourceKey, kind: str = "Endpoint") -> LiveResource:
    return LiveResource(key, {"replicas": 1}, Mark("default", "r", f"{kind}/{key.namespace}/{key.name}", digest_of({})))


def update(key: ResourceKey, kind: ChangeClass, text: str, *fields: FieldChange, restarts: int = 0, drift: bool = False) -> Update:
    return Update(wanted(key), live(key), fields, Effects(kind, text, restarts), drift=drift)


CREATE = Create(wanted(app("team-c/rerank")), Effects(ChangeClass.CREATE, "1 replica"))
CREATE_ROUTE = Create(wanted(route("team-c/rerank")), Effects(ChangeClass.CREATE, "POST /v1/rerank, 1 path"))
IN_PLACE = update(app("team-a/chat"), ChangeClass.IN_PLACE, "replicas 1 -> 2", FieldChange("/replicas", 1, 2))
RESTART = update(
    app("team-a/embed"),
    ChangeClass.RESTART,
    "2 of 2 replicas, one at a time",
    FieldChange("/args/5", "32768", "65536"),
    FieldChange("/env/HF_TOKEN", "hf_old", "hf_new"),
    FieldChange("/env/MODE", ABSENT, "fast\x1b[31m"),
    restarts=2,
)
TRAFFIC = update(route("team-a/chat"), ChangeClass.TRAFFIC, "time-out 300 -> 600 s", FieldChange("/timeout", 300, 600))
PAUSE = Delete(live(app("team-a/nightly")), Effects(ChangeClass.PAUSE, "2 replicas stop"))
REPLACE = Replace(
    wanted(app("team-a/router")),
    live(app("team-a/router")),
    (FieldChange("/router", "a", "b"),),
    Effects(ChangeClass.REPLACE, "/router cannot be changed in place", restarts=1, downtime=True),
)
DELETES = tuple(Delete(live(app(f"team-b/old-{n}")), Effects(ChangeClass.DELETE, "2 replicas serving now")) for n in (1, 2, 3))
KEY = Delete(live(ResourceKey("envoy-eu", "Key", "team-a", "ci"), "ApiKey"), Effects(ChangeClass.TRAFFIC, "1 key stops working"))
DRIFT = update(app("team-a/chat"), ChangeClass.IN_PLACE, "replicas 5 -> 2", FieldChange("/replicas", 5, 2), drift=True)
REBIND = Rebind(live(route("team-a/chat")), Binding(), "2 addresses -> 3")

BROKEN = Problem(
    "E12",
    "unknown field; did you mean name?",
    "engine accepts: name, version, args, extraArgs",
    "write spec.engine.name, or remove the line",
    "endpoints/chat.yaml:9",
    "Endpoint/team-a/chat",
    "spec.engine.nmae",
    owner="Endpoint/team-a/chat",
)
CAREFUL = Problem("W3", "the last tag of the model is not pinned", todo="set model.version", where="a.yaml:3", severity=Severity.WARNING)
AWAY = Problem("T2", "no answer from http://127.0.0.1:8265", "connection refused", "start the head, or wait", "gpu-west")


def plan(*changes: Operation, held: tuple[Held, ...] = (), endpoints: int = 10) -> Plan:
    return Plan(COMMIT, changes, held, (), DIGEST, endpoints=endpoints, targets=2)


def report(planned: Plan, *problems: Problem, outcomes: tuple[Outcome, ...] | None = None) -> Report:
    return Report(planned, STATUSES, problems, outcomes, NOW, applied=COMMIT)


def holds(reason: Reason, text: str, *operations: Operation) -> tuple[Held, ...]:
    return tuple(Held(operation.owner, reason, text, operation) for operation in operations)


STATUSES = (
    EndpointStatus("Endpoint/team-a/chat", Health.READY, "Ready", "", 2, 2, (), "http://h:8080/team-a/chat/v1", COMMIT, NOW - 300, True),
    EndpointStatus("Endpoint/team-a/new", Health.READY, "Ready", "", 1, 1, (), "", COMMIT, NOW - 8, False),
    EndpointStatus(
        "Endpoint/team-a/embed",
        Health.ERROR,
        "CrashLoop",
        "llama-server ended with code 1 on node-7: cannot open /srv/models/x.gguf (10.0.0.7:8080)",
        0,
        2,
        (
            Replica("embed#b", ReplicaState.STARTING, "Starting", "", "node-8"),
            Replica("embed#a", ReplicaState.FAILING, "CrashLoop", "code 1", "node-7"),
        ),
        revision=COMMIT,
        since=NOW - 90_000 * 3,
        routed=True,
        targets=("gpu-east", "envoy-eu"),
        versions={"engine": "v1", "model": "abc"},
    ),
    EndpointStatus("Endpoint/team-b/idle", Health.PAUSED, "Paused", "", 0, 0, since=NOW - 7200),
)

GUARD = "3 of 10 endpoints would be deleted, 2 are allowed (20 %)"
TRIP = Trip("maxDeletes", tuple(item.owner for item in DELETES), 2, 10, GUARD)
GUARDED = replace(plan(IN_PLACE, held=holds(Reason.GUARD, "maxDeletes", *DELETES)), trips=(TRIP,))

CASES = {
    "no-changes": report(plan(endpoints=42)),
    "no-changes-but-a-problem": report(plan(endpoints=42), BROKEN),
    "everything-that-runs": report(plan(CREATE, CREATE_ROUTE, IN_PLACE, RESTART, TRAFFIC, PAUSE, REPLACE, DELETES[0], KEY)),
    "held-by-a-guard": report(GUARDED),
    "waiting": report(
        plan(CREATE, held=holds(Reason.WAITING, "waits for gpu-east: ServeApplication/team-c/rerank to serve", CREATE_ROUTE))
    ),
    "conflict-and-protected": report(
        plan(
            held=(
                *holds(Reason.CONFLICT, "somebody else holds gpu-east: ServeApplication/team-c/rerank", CREATE),
                *holds(Reason.PROTECTED, "protect: true; remove it in a commit of its own first", DELETES[0]),
            )
        )
    ),
    "unreadable-target": report(
        replace(
            plan(IN_PLACE, held=(Held("gpu-west", Reason.UNREADABLE, "what stands there is not known"),)),
            unreadable=(Unreadable("gpu-west", AWAY),),
        )
    ),
    "unreadable-and-nothing-else": report(replace(plan(), unreadable=(Unreadable("gpu-west", AWAY),))),
    "invalid": report(
        plan(IN_PLACE, held=(Held("Endpoint/team-a/embed", Reason.INVALID, "keeps running as it is"),), endpoints=41), BROKEN, CAREFUL
    ),
    "drift-healed": report(replace(plan(DRIFT), drifted=(DRIFT.key,))),
    "drift-reported": report(replace(plan(held=holds(Reason.DRIFT, "Settings say: report", DRIFT)), drifted=(DRIFT.key,))),
    "address-changes-only": report(replace(plan(), rebinds=(REBIND,))),
    "a-fleet": report(
        plan(*(Create(wanted(app(f"team-a/e{n:03}")), Effects(ChangeClass.CREATE, "1 replica")) for n in range(60)), endpoints=60)
    ),
    "applied": report(plan(IN_PLACE, RESTART), outcomes=(Outcome(IN_PLACE, True), Outcome(RESTART, True))),
    "applied-one-failed-one-waits": report(
        plan(CREATE, IN_PLACE, held=holds(Reason.WAITING, "waits for gpu-east: ServeApplication/team-c/rerank to serve", CREATE_ROUTE)),
        outcomes=(Outcome(CREATE, True), Outcome(IN_PLACE, False, "the target refused it", AWAY)),
    ),
    "applied-nothing-to-do": report(plan(), outcomes=()),
}
