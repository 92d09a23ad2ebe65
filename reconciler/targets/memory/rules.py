"""The tables of the memory target: a cluster (Workload) and a gateway (Route, Key) in one."""

from typing import Final

from reconciler.change import ChangeClass, Effects, FieldChange
from reconciler.resource import LiveResource, Resource
from reconciler.targets.protocol import TargetRules

IN_PLACE: Final = ("/replicas",)


def effects(wanted: Resource, live: LiveResource, fields: tuple[FieldChange, ...]) -> Effects:
    if wanted.key.kind != "Workload":
        return Effects(ChangeClass.TRAFFIC)
    if all(change.path.startswith(IN_PLACE) for change in fields):
        return Effects(ChangeClass.IN_PLACE, "no restart")
    count = live.serving.desired if live.serving else 0
    return Effects(ChangeClass.RESTART, f"{count} replica{'s restart' if count != 1 else ' restarts'}, new ones first", restarts=count)


RULES: Final = TargetRules(
    ranks=(frozenset({"Workload"}), frozenset({"Route", "Key"})),
    serves=frozenset({"Workload"}),
    routes=frozenset({"Route"}),
    immutable={"Workload": ("/zone",)},
    effects=effects,
)
