"""The JSON Schemas of what `--json` prints, made from the types that print it. `schemas/` holds the same text, by test."""

import json
from collections.abc import Mapping
from typing import cast

from reconciler.report.forms import ErrorForm, PlanForm, StatusForm, ValidationForm
from reconciler.resource import Json

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schemas() -> dict[str, str]:
    """File name in `schemas/` -> its text."""
    from pydantic import TypeAdapter

    made = {
        "plan.json": TypeAdapter(PlanForm).json_schema(),
        "status.json": TypeAdapter(StatusForm).json_schema(),
        "error.json": TypeAdapter(ErrorForm).json_schema(),
        "validation.json": TypeAdapter(ValidationForm).json_schema(),
    }
    return {name: _schema_text(name, schema) for name, schema in made.items()}


def _schema_text(name: str, made: Mapping[str, Json]) -> str:
    schema = {"$schema": DRAFT, "$id": f"https://reconciler.dev/schemas/{name}", **cast("dict[str, Json]", _closed(made))}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _closed(value: Json) -> Json:
    """Every object with named properties refuses others: a typo in our own output would show."""
    if isinstance(value, Mapping):
        closed = {key: _closed(item) for key, item in value.items()}
        return {**closed, "additionalProperties": False} if isinstance(value.get("properties"), Mapping) else closed
    if isinstance(value, list):
        return [_closed(item) for item in value]
    return value
