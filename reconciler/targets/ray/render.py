"""An endpoint as a Serve application: one deployment, whose replicas each supervise one engine process.

The manifest is the application as it is sent, without what the writer adds late: the mark (in `user_config`) and `_attempt` (in `args`).
Everything is written in the type in which Ray gives it back (seconds as floats), so that live and desired compare equal. Nothing here is
ever a secret: Ray stores and returns arguments in clear, so a replica reads secrets itself, from files on its node.
"""

from typing import Final

from reconciler.desired import TargetSpec
from reconciler.errors import CompileError
from reconciler.nodes import VERSION
from reconciler.resource import DriftMode, Json, Resource, ResourceKey
from reconciler.targets.ray.settings import settings_of
from reconciler.targets.rendering import Accelerator, Backend, Rendered, SecretEnv, Workload

KIND: Final = "ServeApplication"
DEPLOYMENT: Final = "Engine"  # the name in the code: another one ends in DEPLOY_FAILED
IMPORT_PATH: Final = "reconciler.nodes.engine:build"
GPU: Final = ("GPU", "nvidia.com/gpu")  # Ray counts these as num_gpus and gives each replica its own

# Above what one engine batches: the queue belongs in the engine, which knows its slots; this only bounds what a replica may hold.
MAX_ONGOING: Final = 256
MAX_QUEUED: Final = 256
LOOK_AT_LEAST: Final = 2.0  # seconds; requests come past Serve, so only this check tells it (and the gateway) of a lost replica
STOP_LOOP: Final = 0.5  # seconds between two looks whether a stopping replica is idle; Serve's 2 make every stop slower


def application_name(workspace: str, name: str) -> str:
    """`<workspace>_<endpoint>`: neither may contain `_`, so that it splits back."""
    return f"{workspace}_{name}"


def render_workload(workload: Workload, target: TargetSpec) -> Rendered:
    """The application of an endpoint and the backend that routes send to. Raises CompileError for what Ray cannot do here.

    Of a paused one there is none: Serve refuses zero replicas, so its application is left out.
    """
    if workload.paused:
        return Rendered((), None)
    key = ResourceKey(target.name, KIND, workload.workspace, workload.name)
    prefix = f"/{workload.workspace}/{workload.name}"
    manifest: dict[str, Json] = {
        "name": application_name(workload.workspace, workload.name),
        "route_prefix": prefix,
        "import_path": IMPORT_PATH,
        "args": _args(workload, target),
        "deployments": [_deployment(workload)],
    }
    meta = workload.meta
    drift = DriftMode(meta.drift)
    resource = Resource.make(key, manifest, owner=meta.owner, source=meta.source, protect=meta.protect, drift=drift)
    return Rendered((resource,), Backend(key, prefix))


def _args(workload: Workload, target: TargetSpec) -> dict[str, Json]:
    args: dict[str, Json] = {
        "command": list(workload.command),
        "env": dict(sorted(workload.env.items())),
        "health_path": workload.health_path,
        "startup_timeout_s": float(workload.startup_timeout),
        "node_version": VERSION,
    }
    if workload.secrets:
        args["secret_files"] = _secret_files(workload.secrets, target)
    if workload.restarted_at:
        args["restartedAt"] = workload.restarted_at
    return args


def _secret_files(secrets: tuple[SecretEnv, ...], target: TargetSpec) -> dict[str, Json]:
    directory = settings_of(target).secrets_directory.rstrip("/")
    if not directory:
        raise CompileError(
            f"env {secrets[0].name}: cluster {target.name} has no directory of secrets",
            code="E32",
            why="Ray returns every argument and environment variable in clear, so replicas read secrets from files on their node",
            todo="set spec.secrets.directory of the cluster",
            where=target.source,
        )
    return {entry.name: f"{directory}/{entry.secret}/{entry.key}".rstrip("/") for entry in sorted(secrets, key=lambda entry: entry.name)}


def _deployment(workload: Workload) -> dict[str, Json]:
    deployment: dict[str, Json] = {
        "name": DEPLOYMENT,
        "num_replicas": workload.replicas,
        "max_ongoing_requests": MAX_ONGOING,
        "max_queued_requests": MAX_QUEUED,
        "max_surge_percent": 100 if workload.surge else 0,
        "health_check_period_s": min(float(workload.health_period), LOOK_AT_LEAST),
        "health_check_timeout_s": float(workload.health_timeout),
        "graceful_shutdown_wait_loop_s": STOP_LOOP,
        "graceful_shutdown_timeout_s": float(workload.grace),
        "ray_actor_options": _actor(workload),
    }
    if workload.spread_required:
        deployment["max_replicas_per_node"] = 1
    return deployment


def _actor(workload: Workload) -> dict[str, Json]:
    """All of them, always: the dict in a request replaces the one in the code, and what is missing gets Ray's defaults, not ours."""
    options: dict[str, Json] = {"num_cpus": float(workload.cpu), "memory": float(workload.memory)}
    if workload.accelerator is not None:
        options |= _accelerator(workload.accelerator)
    return options


def _accelerator(wanted: Accelerator) -> dict[str, Json]:
    count = float(wanted.count)
    options: dict[str, Json] = {"num_gpus": count} if wanted.resource_key in GPU else {"resources": {wanted.resource_key: count}}
    if wanted.node_selector:
        options["label_selector"] = dict(sorted(wanted.node_selector.items()))
    return options
