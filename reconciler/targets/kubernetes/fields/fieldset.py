"""A manager's field set (`fieldsV1` of an entry of managedFields), compiled: what of an object it says belongs to that manager.

No schema is needed to read one. Names that begin with `f:` are members of a map, `k:` items of a list by their keys, `v:` members of a set;
a name with nothing below it is a scalar, an empty map, or a value that is owned as a whole (atomic). `.` says that the parent itself is
a member, which follows from what stands in it. A list that may hold several of one item, or that is owned by index, stays opaque.

Objects of one shape have one and the same text, so the compiled form is kept by text.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Final, TypeAlias

from reconciler.resource import Json
from reconciler.targets.kubernetes import quantity

FieldSet: TypeAlias = "Mapping[str, FieldSet]"  # fieldsV1
Trail: TypeAlias = tuple[str, ...]  # names from the root down to a field; items of lists are left out

# Map-valued fields that are owned as a whole (`x-kubernetes-map-type: atomic` in the schemas of 1.36). Of any other map without names below
# it nobody can say whether it is atomic or was empty when it was last applied.
ATOMIC_MAPS: Final = frozenset(
    {
        *("claimRef", "configMapKeyRef", "dataSource", "fieldRef", "fileKeyRef", "nodePublishSecretRef", "resourceFieldRef", "roleRef"),
        *("secretKeyRef", "secretRef", "targetRef"),
        *("labelSelector", "namespaceSelector", "nodeSelector", "podSelector", "scopeSelector", "selector"),
        *("port", "preference", "required", "requiredDuringSchedulingIgnoredDuringExecution"),
    }
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """Owned as a whole. atomic: known to be one value whatever it holds. amount: a quantity, in a built-in kind."""

    trail: Trail
    atomic: bool
    amount: bool


@dataclass(frozen=True, slots=True)
class Names:
    """Of a map or struct, these members."""

    below: "Mapping[str, Fields]"


@dataclass(frozen=True, slots=True)
class Items:
    """Of a list, the items with these keys. key_of: an item's key, as `below` has it; raises KeyError for an item without one."""

    keys: tuple[str, ...]
    key_of: Callable[[Mapping[str, Json]], Json]
    below: "Mapping[Json, Fields]"


@dataclass(frozen=True, slots=True)
class Members:
    """Of a set of scalars, these."""

    values: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Opaque:
    """By index, or something that we do not know."""

    trail: Trail


Fields: TypeAlias = Leaf | Names | Items | Members | Opaque


def fields_of(fields_v1: bytes | str) -> Names:
    """The compiled form of a fieldsV1 text as the server wrote it. Raises ValueError for what is not JSON."""
    return _compiled(fields_v1)


@lru_cache(maxsize=1024)
def _compiled(text: bytes | str) -> Names:
    found = _fields(json.loads(text), ())
    return found if isinstance(found, Names) else Names({})


def _fields(value: FieldSet, trail: Trail) -> Fields:
    names = [name for name in value if name != "."]
    if not names:
        return leaf(trail)
    sorts = {name[:2] for name in names}
    made = _SORTS.get(sorts.pop()) if len(sorts) == 1 else None
    return made(value, names, trail) if made else Opaque(trail)


def leaf(trail: Trail, atomic: bool = False) -> Leaf:
    return Leaf(trail[-3:], atomic or (trail != () and trail[-1] in ATOMIC_MAPS), quantity.stands_at(trail))


def _names(value: FieldSet, names: list[str], trail: Trail) -> Fields:
    return Names({name[2:]: _fields(value[name], (*trail[-2:], name[2:])) for name in names})


def _items(value: FieldSet, names: list[str], trail: Trail) -> Fields:
    keys = {name: json.loads(name[2:]) for name in names}
    used = {tuple(sorted(key)) for key in keys.values()}
    if len(used) != 1:
        return Opaque(trail)
    fields = used.pop()
    key_of = itemgetter(*fields)
    return Items(fields, key_of, {key_of(key): _item(value[name], trail) for name, key in keys.items()})


def _item(value: FieldSet, trail: Trail) -> Fields:
    """An item that is owned without anything below it is atomic: a granular one would at least own its key."""
    return _fields(value, trail) if value.keys() - {"."} else leaf(trail, atomic=True)


def _members(value: FieldSet, names: list[str], trail: Trail) -> Fields:
    return Members(tuple(json.loads(name[2:]) for name in names))


_SORTS: Final = {"f:": _names, "k:": _items, "v:": _members}


# Lists whose items are owned one by one, in the kinds that we write, and the keys of an item (facts/kubernetes.md 2.2).
_KEYS: Final = {
    **dict.fromkeys(("containers", "initContainers", "env", "volumes", "imagePullSecrets", "schedulingGates", "claims"), ("name",)),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "hostAliases": ("ip",),
    "ownerReferences": ("uid",),
}
_PORTS_OF: Final = {"containers": "containerPort", "initContainers": "containerPort", "spec": "port"}  # a policy's ports are one value
_KEY_DEFAULTS: Final = {"protocol": "TCP"}


def shape_of(wanted: Json, trail: Trail) -> Fields:
    """How a value of which we own nothing would be owned, as far as its name tells; the set itself is empty."""
    above, name = ("", "", *trail)[-2:]
    if isinstance(wanted, Mapping):
        return Names({}) if wanted and name not in ATOMIC_MAPS else leaf(trail, atomic=True)
    keys = (_PORTS_OF[above], "protocol") if name == "ports" and above in _PORTS_OF else _KEYS.get(name)
    return leaf(trail, atomic=True) if keys is None else Items(keys, itemgetter(*keys), {})


def with_key(item: Json) -> Json:
    """An item with those parts of its key that may be left to their default."""
    return {**_KEY_DEFAULTS, **item} if isinstance(item, Mapping) else item
