"""Random edits of manifests: what people, controllers and careless templates do to them. Many make no sense; the server refuses those."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from itertools import cycle
from typing import Any, TypeVar

T = TypeVar("T")

VALUES: dict[str, tuple[Any, ...]] = {  # other values of a field, by its name
    "image": ("registry.example.com/other:2", "registry.example.com/vllm/vllm-openai:v0.11.0"),
    "replicas": (0, 1, 3, 2.0),
    "cpu": ("1", "1000m", "0.5", "500m", 2, "8", "8000m", 0.5),
    "memory": ("1Gi", "1024Mi", "1.5Gi", "1536Mi", "64Gi", 1073741824),
    "storage": ("200Gi", "204800Mi", "1Ti"),
    "sizeLimit": ("16Gi", "16384Mi", "1024Mi", "1Gi", "1"),
    "averageValue": ("2500m", "2.5", "3", "1k"),
    "value": ("2k", "2000", "1000m", "1", "", "x"),
    "divisor": ("1", "1000m", "0"),
    "requests.cpu": ("16", "16000m"),
    "protocol": ("TCP", "UDP"),
    "maxUnavailable": (1, "1", "25%", 0, 2),
    "maxSurge": (1, "1", "25%", 0),
    "targetPort": ("http", 8000, "8000"),
    "interval": ("15s", "0m15s", "30s"),
    "minReplicaCount": (0, 1),
    "sampleLimit": (0, 5, 0.0),
}
ADDITIONS: dict[str, tuple[tuple[str, Any], ...]] = {  # members for a map, by its name; "" for items of lists
    "": (("workingDir", "/w"), ("stdin", False), ("tty", True), ("value", ""), ("terminationMessagePolicy", "FallbackToLogsOnError")),
    "metadata": (
        ("finalizers", ["example.com/a", "example.com/b"]),
        ("ownerReferences", [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "00000000-0000-0000-0000-000000000001"}]),
        ("annotations", {"added": "1"}),
    ),
    "spec": (("minReadySeconds", 5), ("paused", True), ("hostNetwork", False), ("dnsPolicy", "Default"), ("volumes", [])),
    "emptyDir": (("medium", "Memory"), ("sizeLimit", "1024Mi")),
    "securityContext": (("runAsGroup", 5), ("runAsNonRoot", False), ("capabilities", {})),
    "resources": (("claims", []), ("limits", {}), ("requests", {"cpu": "1000m"})),
    "fieldRef": (("apiVersion", "v1"),),
}
ITEMS: dict[str, tuple[Any, ...]] = {  # items for a list, by its name
    "env": ({"name": "ADDED", "value": "x"}, {"name": "EMPTY", "value": ""}, {"name": "ONE", "value": "1"}),
    "containers": ({"name": "sidecar", "image": "registry.example.com/sidecar:1"},),
    "ports": ({"containerPort": 7777, "protocol": "TCP"}, {"containerPort": 8080, "protocol": "TCP"}, {"name": "b", "port": 7777}),
    "tolerations": ({"key": "x", "operator": "Exists"},),
    "volumes": ({"name": "extra", "emptyDir": {}},),
    "volumeMounts": ({"name": "models", "mountPath": "/extra"},),
    "imagePullSecrets": ({"name": "extra"},),
    "finalizers": ("example.com/c",),
    "args": ("--added",),
    "topologySpreadConstraints": ({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},),
}
NOTHINGS: tuple[Any, ...] = ({}, [], None, "", 0, False)


class Dice:
    """Choices out of a row of numbers, so that one row is one case and a failing one can be made smaller."""

    def __init__(self, rolls: Sequence[int]) -> None:
        self._rolls: Iterator[int] = cycle(rolls)

    def pick(self, options: Sequence[T]) -> T:
        return options[next(self._rolls) % len(options)]

    def one_in(self, chances: int) -> bool:
        return next(self._rolls) % chances == chances - 1


def edited(tree: Any, dice: Dice, edits: int = 1) -> Any:
    """A copy with that many edits, below metadata.labels, metadata.annotations, metadata itself or the content."""
    tree = deepcopy(tree)
    for _ in range(edits):
        _edit(tree, dice)
    return tree


def _edit(tree: Any, dice: Dice) -> None:
    places = list(_places(tree, ()))
    if not places:
        return
    path = dice.pick(places)
    parent = _at(tree, path[:-1])
    dice.pick((_set, _set, _set, _drop, _drop, _add, _add, _add, _respell, _empty, _swap, _twice))(parent, path, dice)


def _places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Every path that may be edited: not identity, not what the server keeps for itself."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in members:
        here = (*path, step)
        if here in {("apiVersion",), ("kind",), ("status",)} or (path == ("metadata",) and step not in KEPT_METADATA):
            continue
        if here != ("metadata",):
            yield here
        yield from _places(below, here)


KEPT_METADATA = frozenset({"labels", "annotations", "finalizers", "ownerReferences"})


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def _name(path: tuple[Any, ...]) -> str:
    """Of the field, "" for an item of a list."""
    return path[-1] if path and isinstance(path[-1], str) else ""


def _set(parent: Any, path: tuple[Any, ...], dice: Dice) -> None:
    value = parent[path[-1]]
    if isinstance(value, dict | list):
        return _add(parent, path, dice)
    if isinstance(value, bool):
        other: Any = not value
    elif isinstance(value, int):
        other = dice.pick((value + 1, 1, value))
    else:
        other = dice.pick((f"{value}x", "x", "1"))
    parent[path[-1]] = dice.pick((*VALUES.get(_name(path), ()), other))


def _drop(parent: Any, path: tuple[Any, ...], dice: Dice) -> None:
    del parent[path[-1]]


def _add(parent: Any, path: tuple[Any, ...], dice: Dice) -> None:
    """To the map or list that is there, or that it stands in."""
    value = parent[path[-1]]
    if isinstance(value, list):
        item = deepcopy(dice.pick(ITEMS.get(_name(path), ("x", {"name": "x"}))))
        value.insert(dice.pick(range(len(value) + 1)), item)
    elif isinstance(value, dict):
        name, member = dice.pick(ADDITIONS.get(_name(path), (("added", "1"),)))
        value.setdefault(name, deepcopy(member))
    elif len(path) > 1 and isinstance(parent, dict):
        name, member = dice.pick(ADDITIONS.get(_name(path[:-1]), (("added", "1"),)))
        parent.setdefault(name, deepcopy(member))


def _respell(parent: Any, path: tuple[Any, ...], dice: Dice) -> None:
    value = parent[path[-1]]
    if isinstance(value, bool) or not isinstance(value, int | str):
        return
    spellings: tuple[Any, ...] = (float(value), str(value)) if isinstance(value, int) else (f"{value} ", f"0{value}", value.lower())
    if isinstance(value, str) and value.isdecimal():
        spellings = (f"{value}000m", int(value), f"{value}.0")
    elif isinstance(value, str) and value.endswith("Gi") and value[:-2].isdecimal():
        spellings = (f"{int(value[:-2]) * 1024}Mi", str(int(value[:-2]) * 2**30))
    parent[path[-1]] = dice.pick(spellings)


def _empty(parent: Any, path: tuple[Any, ...], dice: Dice) -> None:
    parent[path[-1]] = deepcopy(dice.pick(NOTHINGS))


def _swap(parent: Any, path: tuple[Any, ...], dice: Dice) -> None:
    value = parent[path[-1]]
    if isinstance(value, list) and len(value) > 1:
        value.append(value.pop(dice.pick(range(len(value) - 1))))


def _twice(parent: Any, path: tuple[Any, ...], dice: Dice) -> None:
    value = parent[path[-1]]
    if isinstance(value, list) and value:
        value.insert(dice.pick(range(len(value) + 1)), deepcopy(dice.pick(value)))
