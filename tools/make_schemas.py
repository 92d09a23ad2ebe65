"""JSON Schemas of our kinds, from the models: `python tools/make_schemas.py [folder]`. Editors use them, and people read them.

Descriptions are the texts below the fields in the source; pydantic could take them on its own, at 40 ms for every start of the program.
"""

import ast
import inspect
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from reconciler.schema.base import Declared
from reconciler.schema.kinds import KINDS

FOLDER = Path(__file__).parent.parent / "schemas"


def file_name(kind: str) -> str:
    """ApiKey -> api-key.json"""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind).lower() + ".json"


def descriptions_of(model: type[Declared]) -> dict[str, str]:
    """Field -> the text below it, the model's own before those of its bases."""
    found: dict[str, str] = {}
    for owner in reversed([base for base in model.__mro__ if issubclass(base, Declared)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(text):
                found[field.target.id] = inspect.cleandoc(ast.literal_eval(text.value))  # type: ignore[attr-defined]
    return found


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _models(base: type[Declared] = Declared) -> dict[str, type[Declared]]:
    found: dict[str, type[Declared]] = {}
    for model in base.__subclasses__():
        found |= {model.__name__: model} | _models(model)
    return found


def schema_of(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind's documents, with every field described."""
    schema = KINDS[kind].model_json_schema(by_alias=True)
    models = _models()
    for name, part in {**schema.get("$defs", {}), kind: schema}.items():
        if name not in models:
            continue  # JsonValue: whatever YAML can hold
        texts = descriptions_of(models[name])
        for field, info in models[name].model_fields.items():
            alias = info.alias or field
            if field in texts:
                part["properties"][alias] = {**part["properties"][alias], "description": texts[field]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def text_of(kind: str) -> str:
    return json.dumps(schema_of(kind), indent=2, ensure_ascii=False) + "\n"


def main(folder: Path) -> None:
    for kind in KINDS:
        (folder / file_name(kind)).write_text(text_of(kind), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
