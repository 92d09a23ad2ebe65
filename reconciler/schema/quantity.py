"""Quantities as Kubernetes writes them: memory to bytes, CPU to cores, shares to numbers between 0 and 1.

Kubernetes' grammar (resource.Quantity) without its exponents: a number and one suffix. "1G" and "1Gi" differ, "1GB" is nothing.
"""

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

from reconciler.schema.base import fault

_BINARY: Final = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTP", 1)}
_DECIMAL: Final = {letter: 1000**power for power, letter in enumerate("kMGTP", 1)}
MOST_BYTES: Final = 1024**6
BYTES: Final = {"": 1, **_BINARY, **_DECIMAL}
_QUANTITY: Final = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)([A-Za-z]{0,3})", re.ASCII)
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,4})?)%", re.ASCII)


def _split(value: object) -> tuple[Decimal, str] | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    match = _QUANTITY.fullmatch(str(value))
    return (Decimal(match[1]), match[2]) if match else None


def parse_bytes(value: object) -> int:
    """`1Gi` -> 1073741824. A plain number is bytes. Raises a fault (E75)."""
    parts = _split(value)
    if parts is None or parts[1] not in BYTES:
        raise fault(
            "E75", f"{value!r} is not an amount of memory", "a number and one of k M G T P Ki Mi Gi Ti Pi", "write it like 512Mi or 16Gi"
        )
    number = int(parts[0] * BYTES[parts[1]])
    if number <= 0:
        raise fault("E39", f"{value!r} is no memory at all", "it must be above 0", "write it like 1Gi")
    if number > MOST_BYTES:
        raise fault("E39", f"{value!r} is more memory than anything has", "it is at most 1024Pi", "write it like 16Gi")
    return number


def parse_cores(value: object) -> float:
    """`500m` -> 0.5, `"2"` -> 2.0, 0.5 -> 0.5. Raises a fault (E75)."""
    parts = _split(value)
    if parts is None or parts[1] not in ("", "m"):
        raise fault(
            "E75",
            f"{value!r} is not an amount of CPU",
            "a number of cores, or thousandths of a core with m",
            "write it like 0.5, 500m or 2",
        )
    cores = float(parts[0] / 1000 if parts[1] == "m" else parts[0])
    if cores <= 0:
        raise fault("E39", f"{value!r} is no CPU at all", "it must be above 0", "write it like 0.5 or 500m")
    return cores


def parse_share(value: object) -> float:
    """`20%` -> 0.2. Raises a fault (E75, E39)."""
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise fault("E75", f"{value!r} is not a share", "a share is a percentage of the endpoints (of the keys)", "write it like 20%")
    share = float(match[1]) / 100
    if share > 1:
        raise fault("E39", f"{value!r} is more than everything", "a share is at most 100%", "write 100%")
    return share


Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?([kMGTP]|[KMGTP]i)?$"}, {"type": "integer", "minimum": 1}]}),
]
Cores = Annotated[
    float,
    BeforeValidator(parse_cores),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^\d+(\.\d+)?m?$"}, {"type": "number", "exclusiveMinimum": 0}]}),
]
Share = Annotated[float, BeforeValidator(parse_share), WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?%$"})]
