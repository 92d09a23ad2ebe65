"""The programs on this box as text and JSON. It knows their shape (`reconciler.local.LocalProgram`), not how they are found."""

from collections.abc import Sequence
from typing import Protocol

from reconciler.report.json_form import dumps
from reconciler.report.style import clean, paint, table


class Program(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def processes(self) -> int: ...
    @property
    def address(self) -> str: ...
    @property
    def log(self) -> str: ...
    @property
    def note(self) -> str: ...


def local_as_text(programs: Sequence[Program], colour: bool = False) -> str:
    if not programs:
        return "Nothing was started from this state folder.\n"
    rows = [("PROGRAM", "STATE", "PID", "PROCESSES", "ADDRESS", "LOG", "NOTE")]
    rows += [(clean(p.name), p.state, str(p.pid or "-"), str(p.processes), p.address or "-", p.log or "-", clean(p.note)) for p in programs]
    head, *lines = table(rows)
    return "\n".join([paint(head, "bold", colour), *lines]) + "\n"


def local_as_json(programs: Sequence[Program]) -> str:
    names = ("name", "state", "pid", "processes", "address", "log", "note")
    return dumps({"format": "reconciler.dev/local/v1", "programs": [{name: getattr(p, name) for name in names} for p in programs]})
