"""Template files as trees, and how an engine's own file is laid over the default one. Each file is read once per process.

`templates/kubernetes/<part>.yaml` is the default; `templates/<engine>/<part>.yaml`, where there is one, says only what is different.
Mappings merge, lists merge where every new item is a mapping with a `name` (same name: merged; new name: added), anything else is
replaced, and `null` removes. `$include: pod` puts another part in, with the engine's overlay of that part and what stands beside the key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, TypeAlias

import yaml

from reconciler import resources
from reconciler.errors import CompileError
from reconciler.resource import Json

DEFAULT: Final = "kubernetes"  # folder of the default templates
INCLUDE: Final = "$include"
LARGEST: Final = 64 * 1024  # characters of a file
DEEPEST: Final = 40
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where PyYAML has it
SCALARS: Final = frozenset({"str", "int", "bool", "float", "null"})


@dataclass(frozen=True, slots=True)
class Leaf:
    value: Json
    where: str


@dataclass(frozen=True, slots=True)
class Branch:
    entries: Mapping[str, "Tree"]
    where: str

    @property
    def name(self) -> Json:
        """What tells this item from its neighbours in a list, if anything does."""
        found = self.entries.get("name")
        return found.value if isinstance(found, Leaf) else None


@dataclass(frozen=True, slots=True)
class Row:
    items: tuple["Tree", ...]
    where: str


Tree: TypeAlias = Leaf | Branch | Row


def wrong(where: str, what: str) -> CompileError:
    """E20, in the words of the checklist."""
    return CompileError(f"template {where}: {what}", code="E20", why="the object cannot be created", todo="correct the template")


def part(name: str, engine: str = "") -> Tree:
    """The default part with the engine's overlay on it, nothing evaluated. Raises CompileError (E20) for a file that is no template."""
    base = _included(_file(DEFAULT, name), engine)
    return laid_over(base, _included(_file(engine, name), engine)) if has_overlay(name, engine) else base


@cache
def has_overlay(name: str, engine: str) -> bool:
    """Has the engine a file of its own for this part? Its name comes from a repo: one that leads elsewhere is none."""
    if not engine or engine == DEFAULT or "/" in engine:
        return False
    try:
        return f"{name}.yaml" in resources.listing(f"templates/{engine}")
    except OSError:  # no such folder; or a name that no folder can have
        return False


def laid_over(base: Tree, over: Tree) -> Tree:
    if isinstance(base, Branch) and isinstance(over, Branch):
        merged = dict(base.entries)
        for key, value in over.entries.items():
            merged[key] = laid_over(merged[key], value) if key in merged else value
        return Branch({key: value for key, value in merged.items() if not _removed(value)}, base.where)
    if (
        isinstance(base, Row)
        and isinstance(over, Row)
        and over.items
        and all(isinstance(item, Branch) and item.name for item in over.items)
    ):
        return Row(_by_name(base.items, over.items), base.where)
    return over


def _by_name(base: tuple[Tree, ...], over: tuple[Tree, ...]) -> tuple[Tree, ...]:
    wanted = {item.name: item for item in over if isinstance(item, Branch)}
    merged = [laid_over(item, wanted.pop(item.name)) if isinstance(item, Branch) and item.name in wanted else item for item in base]
    return (*merged, *wanted.values())


def _removed(value: Tree) -> bool:
    return isinstance(value, Leaf) and value.value is None


def _included(tree: Tree, engine: str) -> Tree:
    if isinstance(tree, Row):
        return Row(tuple(_included(item, engine) for item in tree.items), tree.where)
    if isinstance(tree, Leaf):
        return tree
    entries = {key: _included(value, engine) for key, value in tree.entries.items()}
    include = entries.pop(INCLUDE, None)
    if include is None:
        return replace(tree, entries=entries)
    if not isinstance(include, Leaf) or not isinstance(include.value, str):
        raise wrong(tree.where, f"{INCLUDE} names another part")
    return laid_over(part(include.value, engine), replace(tree, entries=entries))


@cache
def _file(folder: str, name: str) -> Tree:
    where = f"{folder}/{name}.yaml"
    return parsed(resources.text(f"templates/{where}"), where)


def parsed(text: str, where: str) -> Tree:
    """The tree of a YAML text; `where` is its name in messages. Raises CompileError (E20)."""
    if len(text) > LARGEST:
        raise wrong(where, f"{len(text)} characters; at most {LARGEST} are allowed")
    try:
        root = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise wrong(f"{where}:{mark.line + 1}" if mark else where, getattr(error, "problem", None) or "is no YAML") from error
    if root is None:
        raise wrong(where, "is empty")
    return _tree(root, where, 0, set())


def _tree(node: yaml.Node, file: str, depth: int, seen: set[int]) -> Tree:
    where = f"{file}:{node.start_mark.line + 1}"
    if id(node) in seen:
        raise wrong(where, "an alias; write it out")
    if depth > DEEPEST:
        raise wrong(where, f"nested more than {DEEPEST} deep")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        return Branch(_entries(node, file, depth, seen), where)
    if isinstance(node, yaml.SequenceNode):
        return Row(tuple(_tree(item, file, depth + 1, seen) for item in node.value), where)
    return Leaf(_scalar(node, where), where)


def _entries(node: yaml.MappingNode, file: str, depth: int, seen: set[int]) -> dict[str, Tree]:
    entries: dict[str, Tree] = {}
    for key, value in node.value:
        where = f"{file}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            raise wrong(where, "a key that is no text")
        if key.value in entries:
            raise wrong(where, f"key '{key.value}' twice")
        entries[key.value] = _tree(value, file, depth + 1, seen)
    return entries


def _scalar(node: yaml.Node, where: str) -> Json:
    kind = node.tag.rpartition(":")[2]
    if kind not in SCALARS:
        raise wrong(where, f"a value of type {kind}")
    read = getattr(yaml.constructor.SafeConstructor(), f"construct_yaml_{kind}")
    value: Json = read(node)
    return value
