"""The command line of an engine: command, task arguments, parallelism, `engine.args` sorted, shutdown arguments, `extraArgs` as written.

One argument, one spelling: what the user sets replaces what a task or a degree of parallelism would set. Everything is a word of its
own, never a shell string; same inputs, same words. Words may hold `{host}`, `{port}`, `{python}`, `{models}`: the replica fills them in,
also where a user wrote them in an argument.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import prod
from typing import Final, TypeAlias

from reconciler.compile.argument_table import Argument, fold
from reconciler.compile.capabilities import RAY
from reconciler.compile.engines import Version, template_words, variables
from reconciler.compile.findings import Findings, did_you_mean, step
from reconciler.compile.templates import render
from reconciler.errors import CompileError
from reconciler.resource import Json
from reconciler.schema.endpoint import EndpointSpec
from reconciler.schema.engine import ArgStyle

Arguments: TypeAlias = dict[str, tuple[Argument, Json]]  # canonical name -> argument and value

SHOWN: Final = 60  # characters of a wrong value in a message


@dataclass(frozen=True, slots=True)
class Start:
    """What a command is made for. on: kind of cluster; path: of the model, as the engine sees it; grace in seconds."""

    on: str
    path: str
    served_name: str
    grace: float


def command_of(findings: Findings, spec: EndpointSpec, version: Version, start: Start) -> tuple[str, ...]:
    """The words, complete only if nothing was found wrong."""
    given = _given(findings, spec, version)
    _refuse_owned_words(findings, spec, version)
    ours = _task_arguments(spec, version) | _parallelism(findings, spec, version, given)
    if start.on == RAY:  # elsewhere a share is refused (E6)
        ours |= _memory_share(findings, spec, version, given)
    first = {name: entry for name, entry in ours.items() if name not in given}
    style = version.spec.arg_style
    rendered, length = _rendered(findings, version, start), len(version.command(start.on))
    words = list(rendered[:length])
    for argument, value in [*first.values(), *(given[name] for name in sorted(given))]:
        words += words_of(argument, value, style)
    return (*words, *rendered[length:], *spec.engine.extra_args)


def _rendered(findings: Findings, version: Version, start: Start) -> list[str]:
    values = variables(version, start.on, path=start.path, served_name=start.served_name, grace=start.grace)
    if not version.command(start.on):
        why = "ray.command starts it on Ray only; a container needs the image's"
        findings.error("E75", version.pointer, "no command", why, "set command", on=version.engine)
    words = []
    for pointer, word in template_words(version, start.on):
        try:
            words.append(render(word, values))
        except CompileError as error:
            findings.error("E20", pointer, error.problem.what, error.problem.why, "correct the template", on=version.engine)
    return words


def _given(findings: Findings, spec: EndpointSpec, version: Version) -> Arguments:
    """`engine.args`, checked: E58 for what the platform owns, E14 for what is unknown, given twice, or has a wrong value."""
    accepted: Arguments = {}
    for key, value in spec.engine.args.items():
        pointer = f"/spec/engine/args/{step(key)}"
        argument = version.table.find(key)
        if argument is None:
            _unknown(findings, pointer, key, version)
        elif argument.owned:
            _owned(findings, pointer, key, "engine.args", argument)
        elif argument.name in accepted:
            why = f"it is one argument with the spellings {argument.name} and {key}; the engine would take one of the values"
            findings.error("E14", pointer, f"argument '{argument.name}' twice", why, "remove one")
        elif rule := _broken_rule(argument, value):
            shown = json.dumps(value, ensure_ascii=False)[:SHOWN]
            findings.error(
                "E14", pointer, f"{shown} is not {rule}", f"that is what {version.title} accepts for {argument.name}", "correct it"
            )
        else:
            accepted[argument.name] = (argument, value)
    return accepted


def _broken_rule(argument: Argument, value: Json) -> str:
    return "a value: leave the key out instead" if value is None else argument.broken_rule(value)


def _unknown(findings: Findings, pointer: str, key: str, version: Version) -> None:
    open_to = [name for name, argument in version.table.names.items() if not argument.owned and len(name) > 2]
    todo = did_you_mean(fold(key), open_to, "correct it, or put a raw flag in engine.extraArgs")
    why = f"{version.title} accepts {len(version.table.arguments)} arguments, and this is none of them"
    findings.error("E14", pointer, f"unknown argument '{key}'", why, todo)


def _owned(findings: Findings, pointer: str, key: str, where: str, argument: Argument) -> None:
    todo = f"use {argument.use}" if argument.use else "remove it"
    findings.error("E58", pointer, f"'{key}' in {where}", "the platform sets it; probes and routes depend on it", todo)


def _refuse_owned_words(findings: Findings, spec: EndpointSpec, version: Version) -> None:
    for index, word in enumerate(spec.engine.extra_args):
        argument = version.table.of_flag(word) if word.startswith("-") else None
        if argument is not None:
            _owned(findings, f"/spec/engine/extraArgs/{index}", word.partition("=")[0], "engine.extraArgs", argument)


def _task_arguments(spec: EndpointSpec, version: Version) -> Arguments:
    arguments = version.spec.task_args.get(spec.model.task, {})
    found = ((version.table.names[fold(key)], value) for key, value in sorted(arguments.items()))
    return {argument.name: (argument, value) for argument, value in found}


def _parallelism(findings: Findings, spec: EndpointSpec, version: Version, given: Arguments) -> Arguments:
    """`auto` gives tensor what pipeline and data leave of the accelerators, where the engine has an argument for it."""
    wanted, names = spec.parallelism, version.spec.parallel_args
    count = max(1, int(spec.resources.accelerator.count)) if spec.resources.accelerator else 1
    total, spread = count * wanted.nodes, wanted.pipeline * wanted.data
    tensor = wanted.tensor if isinstance(wanted.tensor, int) else (max(1, total // spread) if "tensor" in names else 1)
    if tensor * spread != total and (wanted.tensor != "auto" or spread > 1):
        _unequal(findings, (tensor, wanted.pipeline, wanted.data), count, wanted.nodes)
    _refuse_parts_together(findings, spec, tensor)
    found: Arguments = {}
    for degree, value in (("tensor", tensor), ("pipeline", wanted.pipeline), ("data", wanted.data)):
        argument = version.table.find(names[degree]) if degree in names else None  # type: ignore[index]  # a literal of the table above
        if value > 1 and argument is None:
            what, why = f"{degree} parallel with {version.title}", "this version has no argument for it"
            findings.error("E16", f"/spec/parallelism/{degree}", what, why, "set it to 1, or choose another degree or engine")
        elif value > 1 and argument is not None and argument.name not in given:
            found[argument.name] = (argument, value)
    return found


def _unequal(findings: Findings, degrees: tuple[int, int, int], count: int, nodes: int) -> None:
    what = f"{' x '.join(map(str, degrees))} = {prod(degrees)}"
    has = f"{count} accelerators" + (f" x {nodes} nodes" if nodes > 1 else "")
    why = f"the replica has {has}; the engine would hang or fail"
    findings.error("E15", "/spec/parallelism", what, why, "make them equal, or set parallelism.tensor: auto")


def _refuse_parts_together(findings: Findings, spec: EndpointSpec, tensor: int) -> None:
    accelerator = spec.resources.accelerator
    if accelerator is not None and accelerator.partition and tensor > 1:
        why = "MIG instances cannot talk to each other by NCCL"
        findings.error(
            "E65", "/spec/resources/accelerator/partition", "tensor parallel over partitions", why, "use whole devices or tensor 1"
        )


def _memory_share(findings: Findings, spec: EndpointSpec, version: Version, given: Arguments) -> Arguments:
    """A share of an accelerator is not isolated: the engine is told to use nine tenths of it (E21, W4)."""
    accelerator = spec.resources.accelerator
    if accelerator is None or accelerator.count >= 1:
        return {}
    findings.warn("W4", "/spec/resources/accelerator/count", "no isolation: the process sees the whole device")
    argument = version.table.find(version.spec.memory_fraction_arg) if version.spec.memory_fraction_arg else None
    share = round(accelerator.count * 0.9, 3)
    why = "a fraction is not isolated; neighbours would run out of memory"
    if argument is None:
        what = f"{accelerator.count:g} of an accelerator, and {version.title} has no argument that bounds its memory"
        findings.error("E21", "/spec/resources/accelerator/count", what, why, "use a whole accelerator, or allow E21")
        return {}
    mine = given[argument.name][1] if argument.name in given else share
    if isinstance(mine, int | float) and mine > accelerator.count:
        what = f"{accelerator.count:g} of an accelerator but memory share {mine:g}"
        todo = f"remove the argument (it is set to {share:g}) or lower it"
        findings.error("E21", f"/spec/engine/args/{argument.name}", what, why, todo)
    return {argument.name: (argument, share)}


def words_of(argument: Argument, value: Json, style: ArgStyle) -> list[str]:
    """An argument as words, by the style of its version."""
    flag = "--" + (argument.name.replace("_", "-") if style.case == "kebab" else argument.name)
    if isinstance(value, bool):
        return _boolean(argument, flag, value, style)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _list(flag, [_text(entry) for entry in value], argument.list_style or style.list_)
    return [flag, _text(value)]


def _boolean(argument: Argument, flag: str, value: bool, style: ArgStyle) -> list[str]:
    if style.bool_ == "value":
        return [flag, "true" if value else "false"]
    if value:
        return [flag]
    if argument.no:
        return [argument.no]
    return [f"--no-{flag[2:]}" if style.case == "kebab" else f"--no_{flag[2:]}"] if style.bool_ == "negate" else []


def _list(flag: str, entries: list[str], style: str) -> list[str]:
    if style == "repeat":
        return [word for entry in entries for word in (flag, entry)]
    return [flag, ",".join(entries)] if style == "comma" else [flag, *entries]


def _text(value: Json) -> str:
    """Numbers without exponent, mappings as JSON with sorted keys, texts as they are."""
    if isinstance(value, Mapping):
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)
