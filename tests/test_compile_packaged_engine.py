"""The server program that comes with this package takes a part of llama-server's options: its schema is that part, no more and no less.

So what `validate` accepts does start. `python tests/test_compile_packaged_engine.py` writes the schema again.
"""

import json
from pathlib import Path

import pytest
from declarations_text import BASE, CHAT, LLAMA, desired

from reconciler.compile.argument_table import Argument, table_of
from reconciler.compile.commands import words_of
from reconciler.nodes.llama_flags import FLAGS
from reconciler.nodes.llama_server import parse
from reconciler.resource import Json
from reconciler.schema.engine import ArgStyle

FILE = Path(__file__).parent.parent / "schemas" / "engines" / "llama.cpp-b11549-xllamacpp.json"
STYLE = ArgStyle.model_validate({"as": "flags", "case": "kebab", "bool": "flag", "list": "comma", "object": "json"})
SAMPLES: dict[str, Json] = {"integer": 1, "number": 0.5, "boolean": True, "array": [1], "object": {"a": 1}}


def text_of_part() -> str:
    """The full schema without what the program does not take."""
    full = json.loads((FILE.parent / "llama.cpp-b11549.json").read_text())
    taken = {name.removeprefix("--").replace("-", "_") for flag in FLAGS for name in flag.names}
    rules = {name: rule for name, rule in full.pop("properties").items() if name in taken or rule.get("x-platform-owned")}
    full["title"] = "Arguments of llama-server out of the xllamacpp package"
    full["description"] = "Those options of llama-server that `python -m reconciler.nodes.llama_server` takes."
    head = json.dumps(full, indent=2)[:-2]
    body = ",\n".join(f"    {json.dumps(name)}: {json.dumps(rule)}" for name, rule in rules.items())
    return f'{head},\n  "properties": {{\n{body}\n  }}\n}}\n'


def arguments() -> list[Argument]:
    return [argument for argument in table_of(json.loads(text_of_part())).arguments.values() if not argument.owned]


def values_of(argument: Argument) -> list[Json]:
    """Values that the schema allows, one of each sort."""
    if argument.choices:
        return list(argument.choices)
    if argument.pattern:
        return [1, "auto", "all"]
    if argument.items and "string" in argument.items.types:
        return [["a", "b"]]
    if argument.types == ("boolean",):
        return [True, False]
    return ["{}" if kind == "string" else SAMPLES[kind] for kind in argument.types]


def test_the_schema_is_the_part_of_the_full_one_that_the_program_takes() -> None:
    assert FILE.read_text() == text_of_part()


@pytest.mark.parametrize("argument", arguments(), ids=lambda argument: argument.name)
def test_the_program_takes_what_the_schema_allows(argument: Argument, tmp_path: Path) -> None:
    readable = tmp_path / "text"
    readable.write_text("x")
    for value in values_of(argument):
        given = str(readable) if argument.name.endswith("_file") else value
        assert argument.broken_rule(given) == ""

        words = words_of(argument, given, STYLE)

        assert len(parse(["-m", "model.gguf", *words])) == (2 if words else 1), words


def test_an_argument_that_the_program_lacks_is_told_before_anything_starts() -> None:
    chat = CHAT.replace("version: b11549}", "version: b11549, args: {lora: [a]}}")
    found = desired(LLAMA.replace("b11549.json", "b11549-xllamacpp.json"), *BASE[1:], chat)

    assert [problem.what for problem in found.problems] == ["unknown argument 'lora'"]


if __name__ == "__main__":
    FILE.write_text(text_of_part())
