"""The argument schemas that are shipped, read once: `compile` is pure and gets them as a value."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Final, cast

from reconciler import resources
from reconciler.resource import Manifest

FOLDER: Final = "engines"


@cache
def engine_schemas() -> Mapping[str, Manifest]:
    """`builtin:engines/llama.cpp-b11549.json` -> JSON Schema."""
    names = resources.listing(f"schemas/{FOLDER}")
    return {f"builtin:{FOLDER}/{name}": cast(Manifest, json.loads(resources.text(f"schemas/{FOLDER}/{name}"))) for name in names}
