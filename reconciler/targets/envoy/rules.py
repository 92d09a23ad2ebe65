"""The gateway's tables: routes and keys are written together, nothing is immutable, every change is one of traffic."""

from typing import Final

from reconciler.change import ChangeClass, Effects, FieldChange
from reconciler.resource import LiveResource, Resource
from reconciler.targets.envoy.render import KEY, ROUTE
from reconciler.targets.protocol import TargetRules

WORDS: Final = {  # first part of the changed pointer -> what that does to clients; the first that fits is said
    "paused": "",
    "backends": "requests go elsewhere; running ones finish where they are",
    "models": "the model names that clients may write",
    "grants": "which keys may use it",
    "credentials": "which keys are valid",
    "timeoutSeconds": "the longest that a new request may take",
    "paths": "which API paths are open",
}


def effects(desired: Resource, live: LiveResource, fields: tuple[FieldChange, ...]) -> Effects:
    """Traffic only: no update of a gateway restarts a replica."""
    touched = {field.path.split("/")[1] for field in fields if "/" in field.path}
    if "paused" in touched and desired.manifest.get("paused") is True:
        return Effects(ChangeClass.TRAFFIC, "paused: answers 503 until it is resumed")
    return Effects(ChangeClass.TRAFFIC, next((text for word, text in WORDS.items() if word in touched and text), ""))


RULES: Final = TargetRules(
    ranks=(frozenset({ROUTE, KEY}),),
    serves=frozenset(),
    routes=frozenset({ROUTE}),
    immutable={},
    effects=effects,
)
