"""Serve's words as serving facts (pure): the class of each replica, whether the target still moves, whether it gave up.

Source of the rules: a replica is failing while its deployment failed or is unhealthy and it does not run; a dead one counts only
while something is missing, or when a second one died lately: Serve keeps the last ten, and one that was replaced is history.
"""

import re
from typing import Final

from reconciler.resource import Replica, ReplicaState, Serving
from reconciler.targets.ray.answer import Application, ServeDeployment, ServeReplica

GONE: Final = ("STOPPING", "STOPPED")
FAILED: Final = ("DEPLOY_FAILED", "UNHEALTHY")
MOVING: Final = ("UPDATING", "UPSCALING", "DOWNSCALING")
NO_ROOM: Final = "to be scheduled"  # "... has taken more than 30s to be scheduled"
RECENT: Final = 300.0  # seconds
EXCEPTION: Final = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Exit|Timeout)?: (.+)$")
TEXT_LIMIT: Final = 600


def serving(app: Application, declared: int, now: float) -> Serving:
    """declared: replicas in the submitted document, for as long as Serve does not say how many it wants."""
    if app.deleting:
        return Serving(0, deleting=True, rollout=True, since=app.deployed_at or None)
    deployment = next(iter(app.deployments.values()), None)
    desired = declared if deployment is None or deployment.target is None else deployment.target
    replicas = _replicas(app, deployment, desired, now)
    ready = sum(replica.state is ReplicaState.SERVING for replica in replicas)
    moving = app.status in ("DEPLOYING", "NOT_STARTED") or (deployment is not None and deployment.status in MOVING)
    return Serving(
        desired,
        tuple(replicas),
        rollout=moving,
        since=app.deployed_at or None,
        gave_up=app.status == "DEPLOY_FAILED",
        unsettled=_flap(app, ready, desired),
        reason=deployment.trigger if deployment is not None and app.status in FAILED else "",
        message=message_of(app),
    )


def _flap(app: Application, ready: int, desired: int) -> bool:
    """Any PUT turns every application to DEPLOYING for a tenth of a second, also those that it does not touch."""
    healthy = bool(app.deployments) and all(deployment.status == "HEALTHY" for deployment in app.deployments.values())
    return app.status == "DEPLOYING" and healthy and ready >= desired


def _replicas(app: Application, deployment: ServeDeployment | None, desired: int, now: float) -> list[Replica]:
    if deployment is None:
        return [_failure(app, "DeployFailed")] if app.status in FAILED else []
    found = [_replica(app, deployment, one) for one in deployment.replicas if one.state not in GONE]
    ready = sum(replica.state is ReplicaState.SERVING for replica in found)
    failing = any(replica.state is ReplicaState.FAILING for replica in found)
    if not failing and (
        app.status == "DEPLOY_FAILED" or (app.status == "UNHEALTHY" and ready < desired) or _dying(app, deployment, ready, desired, now)
    ):
        found.append(_failure(app, deployment.trigger))
    return sorted(found, key=lambda replica: (replica.state is not ReplicaState.FAILING, replica.name))


def _replica(app: Application, deployment: ServeDeployment, one: ServeReplica) -> Replica:
    if one.state == "RUNNING":
        return Replica(one.id, ReplicaState.SERVING, node=one.node)
    if deployment.status in FAILED:
        return Replica(one.id, ReplicaState.FAILING, deployment.trigger, message_of(app), one.node)
    if one.state == "STARTING" and NO_ROOM in deployment.message:
        return Replica(one.id, ReplicaState.PENDING, "Unschedulable", message_of(app), one.node)
    return Replica(one.id, ReplicaState.STARTING, node=one.node)


def _dying(app: Application, deployment: ServeDeployment, ready: int, desired: int, now: float) -> bool:
    since = [one for one in deployment.dead if one.started >= app.deployed_at]
    lately = [one for one in since if now - one.started < RECENT]
    return bool(since) and (ready < desired or len(lately) > 1)


def _failure(app: Application, reason: str) -> Replica:
    """What failed is not listed any more, or never was; the word needs it all the same."""
    last = next((one for deployment in app.deployments.values() for one in reversed(deployment.dead)), None)
    return Replica(last.id if last else "", ReplicaState.FAILING, reason or app.status, message_of(app), last.node if last else "")


def message_of(app: Application) -> str:
    """What a person should read: the deployment's word (its last exception, not the traceback above it), else the application's."""
    for deployment in app.deployments.values():
        if deployment.message:
            return last_words(deployment.message)
    return last_words(app.message)


def last_words(text: str) -> str:
    """The last exception's text, with the lines after it; a text without one as it is, at most TEXT_LIMIT characters of its end."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    for number in range(len(lines) - 1, -1, -1):
        if match := EXCEPTION.match(lines[number]):
            return " ".join([match.group(1), *(line.strip() for line in lines[number + 1 :])])[:TEXT_LIMIT]
    return " ".join(line.strip() for line in lines)[-TEXT_LIMIT:]
