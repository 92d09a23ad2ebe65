"""The application as Serve holds it, and as we speak of it: the mark and the attempt counter go in when it is written, out when it is read.

The mark stands in the first deployment's `user_config`, which Serve gives back and changes without a restart; `_attempt` stands in `args`,
where a change restarts replicas: that is what it is for.
"""

from collections.abc import Mapping
from typing import Final

from reconciler.resource import Binding, Json, Manifest, Mark, ResourceKey
from reconciler.targets.ray.render import KIND, application_name

ATTEMPT: Final = "_attempt"


def key_of(target: str, name: str) -> ResourceKey | None:
    """The key of an application's name, None where it cannot be one of ours."""
    workspace, divider, endpoint = name.partition("_")
    if not (workspace and divider and endpoint) or "_" in endpoint:
        return None
    return ResourceKey(target, KIND, workspace, endpoint)


def name_of(key: ResourceKey) -> str:
    return application_name(key.namespace, key.name)


def mark_of(config: Manifest) -> Mark | None:
    """The mark in a submitted document. A mark that was copied to another name is none."""
    mark = Mark.from_json(_first(config).get("user_config"))
    if mark is None or mark.owner != "Endpoint/" + str(config.get("name", "")).replace("_", "/", 1):
        return None
    return mark


def attempt_of(config: Manifest) -> int:
    args = config.get("args")
    count = args.get(ATTEMPT) if isinstance(args, Mapping) else None
    return count if isinstance(count, int) else 0


def plain(config: Manifest) -> Manifest:
    """A submitted document of ours without mark and attempt: equal to the rendered manifest when nobody has touched it."""
    args, deployments = config.get("args"), config.get("deployments")
    value: dict[str, Json] = dict(config)
    if isinstance(args, Mapping):
        value["args"] = {name: part for name, part in args.items() if name != ATTEMPT}
    if isinstance(deployments, list) and deployments:
        first = {name: part for name, part in _first(config).items() if name != "user_config"}
        value["deployments"] = [first, *deployments[1:]]
    return value


def marked(manifest: Manifest, mark: Mark, binding: Binding) -> dict[str, Json]:
    """The document to submit."""
    args, deployments = manifest.get("args"), manifest.get("deployments")
    value: dict[str, Json] = dict(manifest)
    if binding.attempt and isinstance(args, Mapping):
        value["args"] = {**args, ATTEMPT: binding.attempt}
    rest = list(deployments[1:]) if isinstance(deployments, list | tuple) else []
    value["deployments"] = [{**_first(manifest), "user_config": mark.as_json()}, *rest]
    return value


def replicas_of(config: Manifest) -> int:
    count = _first(config).get("num_replicas")
    return count if isinstance(count, int) else 1


def _first(config: Manifest) -> Mapping[str, Json]:
    deployments = config.get("deployments")
    first = deployments[0] if isinstance(deployments, list | tuple) and deployments else {}
    return first if isinstance(first, Mapping) else {}
