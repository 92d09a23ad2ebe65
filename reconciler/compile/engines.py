"""Engine versions, made ready once a pass: the table of what each accepts, its platform arguments checked, its templates tried.

A version that is broken blocks the endpoints that use it and no others.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from reconciler.compile.argument_table import ArgumentTable, fold, table_of
from reconciler.compile.capabilities import RAY
from reconciler.compile.findings import Findings, did_you_mean, listed, step
from reconciler.compile.references import Declared
from reconciler.compile.source import Declaration, EngineSchemas
from reconciler.compile.templates import Variables, render
from reconciler.errors import CompileError, Problem
from reconciler.resource import Json
from reconciler.schema.endpoint import EndpointSpec
from reconciler.schema.engine import EngineSpec, EngineVersion

HOST: Final = "{host}"  # these three are filled in by each replica
PORT: Final = "{port}"
PYTHON: Final = "{python}"
MODELS: Final = "{models}"  # as is this one, where the cluster names no model root: the model root of the box


@dataclass(frozen=True, slots=True)
class Version:
    """A version that endpoints can use. pointer: of the version in the Engine's document."""

    engine: Declaration[EngineSpec]
    pointer: str
    spec: EngineVersion
    table: ArgumentTable

    @property
    def title(self) -> str:
        return f"{self.engine.name} {self.spec.version}"

    def command(self, on: str) -> tuple[str, ...]:
        """How it starts on a kind of cluster: on Ray by a command of its own, where it has one."""
        return (self.spec.ray.command if on == RAY else ()) or self.spec.command

    def command_pointer(self, on: str) -> str:
        return f"{self.pointer}/ray/command" if on == RAY and self.spec.ray.command else f"{self.pointer}/command"


class Engines:
    """Every version of every engine: ready, or with what is wrong with it."""

    def __init__(self, declared: Declared, schemas: EngineSchemas) -> None:
        self.problems: list[Problem] = []
        self._declared = declared
        self._ready: dict[tuple[str, str], Version] = {}
        self._broken: dict[tuple[str, str], tuple[Problem, ...]] = {}
        tables: dict[str, ArgumentTable | str] = {}
        for engine in declared.of(EngineSpec):
            for index, spec in enumerate(engine.spec.versions):
                findings = Findings(engine)
                self._prepare(findings, engine, index, spec, schemas, tables)
                self.problems += findings.problems
                if findings.broken:
                    self._broken[engine.name, spec.version] = findings.errors

    def resolve(self, findings: Findings, endpoint: EndpointSpec) -> Version | None:
        """The version an endpoint asks for; without a number the newest that is declared (W2)."""
        choice = endpoint.engine
        engine = self._declared.refer(findings, EngineSpec, "Engine", choice.name, "/spec/engine/name")
        if engine is None:
            return None
        names = [version.version for version in engine.spec.versions]
        wanted = choice.version or max(names, key=_age)
        if wanted not in names:
            what = f"version '{wanted}' of engine '{engine.name}' is not declared"
            todo = did_you_mean(wanted, names, "correct it, or declare the version")
            findings.error("E67", "/spec/engine/version", what, f"declared are {listed(names)}", todo)
            return None
        if not choice.version:
            findings.warn("W2", "/spec/engine", f"version '' moves; it is {wanted} now", "", "pin it for repeatable plans")
        if (engine.name, wanted) in self._broken:
            findings.blame("Engine", f"{engine.name} {wanted}", self._broken[engine.name, wanted], "/spec/engine")
            return None
        return self._ready[engine.name, wanted]

    def _prepare(
        self,
        findings: Findings,
        engine: Declaration[EngineSpec],
        index: int,
        spec: EngineVersion,
        schemas: EngineSchemas,
        tables: dict[str, ArgumentTable | str],
    ) -> None:
        pointer = f"/spec/versions/{index}"
        table = _table(findings, f"{pointer}/argsSchema", spec.args_schema, schemas, tables)
        if table is None:
            return
        version = Version(engine, pointer, spec, table)
        _check_names(findings, version)
        _check_templates(findings, version)
        self._ready[engine.name, spec.version] = version


def _table(
    findings: Findings, pointer: str, name: str, schemas: EngineSchemas, tables: dict[str, ArgumentTable | str]
) -> ArgumentTable | None:
    if name not in schemas:
        todo = did_you_mean(name, schemas, "name one of these")
        findings.error("E67", pointer, f"argument schema '{name}' does not exist", f"there are {listed(schemas)}", todo)
        return None
    if name not in tables:
        try:
            tables[name] = table_of(schemas[name])
        except (ValueError, TypeError) as error:
            tables[name] = str(error)
    table = tables[name]
    if isinstance(table, str):
        findings.error("E75", pointer, f"argument schema '{name}': {table}", "arguments could not be checked", "correct the schema")
        return None
    return table


def _check_names(findings: Findings, version: Version) -> None:
    """The arguments that the version itself names must be in its schema."""
    spec, table = version.spec, version.table
    named: list[tuple[str, str, Json]] = [
        (f"{version.pointer}/taskArgs/{step(task)}/{step(key)}", key, value)
        for task, arguments in spec.task_args.items()
        for key, value in arguments.items()
    ]
    named += [(f"{version.pointer}/parallelArgs/{degree}", key, 2) for degree, key in spec.parallel_args.items()]
    named += [(f"{version.pointer}/memoryFractionArg", key, 0.5) for key in (spec.memory_fraction_arg,) if key]
    for pointer, key, value in named:
        argument = table.find(key)
        if argument is None:
            todo = did_you_mean(fold(key), table.arguments, "correct it, or the schema")
            findings.error("E14", pointer, f"unknown argument '{key}'", f"{version.title} accepts {len(table.arguments)} arguments", todo)
        elif rule := argument.broken_rule(value):
            findings.error("E14", pointer, f"{key}: {value!r} is not {rule}", f"that is what {version.title} accepts", "correct the value")


def _check_templates(findings: Findings, version: Version) -> None:
    """Every word is tried with sample values, so that a mistake is the engine's and not that of each endpoint.

    Only what no kind of cluster could fill in: what one of them cannot is found with the first endpoint there.
    """
    if not version.command(RAY):
        findings.error("E75", version.pointer, "no command", "nothing says how the engine is started", "set command")
    sample = variables(version, "", path="/models/sample", served_name="sample", grace=330.0)
    for pointer, word in template_words(version, RAY):
        try:
            render(word, sample)
        except CompileError as error:
            findings.error("E20", pointer, error.problem.what, error.problem.why, "correct the template")


def template_words(version: Version, on: str) -> list[tuple[str, str]]:
    """(pointer, source) of the words of the command, then of the shutdown arguments."""
    command = [(f"{version.command_pointer(on)}/{index}", word) for index, word in enumerate(version.command(on))]
    return command + [(f"{version.pointer}/shutdown/args/{index}", word) for index, word in enumerate(version.spec.shutdown.args)]


def variables(version: Version, on: str, *, path: str, served_name: str, grace: float) -> Variables:
    """The template variables on a kind of cluster; "" = every one that there is."""
    return {
        "host": HOST,
        "python": PYTHON,
        "ports": _ports(version, on),
        "model": {"path": path, "servedName": served_name},
        "shutdown": {"graceSeconds": int(grace) if float(grace).is_integer() else grace},
    }


def _ports(version: Version, on: str) -> dict[str, str | int]:
    """A replica on Ray has one free port: management and metrics only where they share it. A container has the version's numbers."""
    ports = version.spec.ports
    found: dict[str, str | int] = {"http": PORT}
    for name, port in (("management", ports.management), ("metrics", ports.metrics)):
        if port in (None, ports.http):
            found[name] = PORT
        elif on != RAY and port is not None:
            found[name] = port
    return found


@lru_cache(maxsize=256)
def _age(version: str) -> tuple[tuple[int, int, str], ...]:
    """Versions in the order of their numbers: v0.9.2 before v0.10.0."""
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.findall(r"\d+|\D+", version))
