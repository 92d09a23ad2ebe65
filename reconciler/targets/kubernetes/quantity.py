"""Quantities as the API server stores them, and where they stand.

Of two spellings of one amount the server keeps the first it is given, unless it is not canonical: then it stores the canonical one. Most of
what it calls canonical is, some is not ("005" and "1.500" stay), so the rule is copied exactly: apimachinery's resource.ParseQuantity and
CanonicalizeBytes, of 1.36. What people write in declarations is read by `schema/quantity.py`.
"""

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Final

_TEXT: Final = re.compile(r"([+-]?)(?=\.?\d)0*(\d*)(?:\.(\d*))?(?:([numk]|[KMGTPE]i|[MGTPE])|[eE]([+-]?\d{1,3}))?", re.ASCII)
_DECIMAL: Final = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_BINARY: Final = {10 * power: f"{letter}i" for power, letter in enumerate("KMGTPE", 1)}
_EXPONENT_OF: Final = {suffix: exponent for exponent, suffix in (*_DECIMAL.items(), *_BINARY.items())}
_LARGEST: Final = 2**63 - 1
_NANO: Final = 10**9

# Where quantities stand in the built-in kinds: below these names (name -> name above it), and as these fields (name above, name).
_BELOW: Final = {"limits": "resources", "requests": "resources", "hard": "spec", "capacity": "spec", "overhead": "spec"}
_FIELDS: Final = frozenset({("emptyDir", "sizeLimit"), ("target", "averageValue"), ("target", "value"), ("resourceFieldRef", "divisor")})


def stands_at(trail: tuple[str, ...]) -> bool:
    """Does a quantity stand in this field of a built-in kind? trail: names down to it, items of lists left out; the last three suffice.

    The names above count, because labels, annotations, selectors and driver attributes may have any name and are plain text.
    """
    beyond, above, name = ("", "", "", *trail)[-3:]
    return (above, name) in _FIELDS or (above in _BELOW and _BELOW[above] == beyond)


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The text that the server stores for `text`. Raises ValueError for what is no quantity, or none that it could store unharmed."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    sign, whole, rest, suffix, power = match[1], match[2] or "0", match[3] or "", match[4] or "", match[5]
    exponent = int(power) if power else _EXPONENT_OF[suffix]
    binary = suffix in _BINARY.values()
    if _kept(whole, rest, exponent, binary):
        return text.strip()
    amount = _nanos(int(whole + rest), exponent, len(rest), binary)
    if not amount:
        return "0"
    return ("-" if sign == "-" else "") + (_binary(amount) if binary else _decimal(amount, power is not None))


def _kept(whole: str, rest: str, exponent: int, binary: bool) -> bool:
    """Does the server keep the text? It asks only where the number is short and exact, and looks at its last digits, no more."""
    digits = whole + rest
    if binary:
        short = not rest and len(whole) + int(exponent * 3 / 10) <= 14
        return short and int(whole) << exponent <= _LARGEST and int(whole) & 7 != 0
    scale = exponent - len(rest)
    return len(digits) <= 18 and scale >= -9 and scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


def _nanos(digits: int, exponent: int, places: int, binary: bool) -> int:
    """The amount in billionths, rounded up; binary amounts end at the largest that fits."""
    if binary:
        return min(_up((digits << exponent) * _NANO, places), _LARGEST * _NANO)
    scale = exponent - places + 9
    return _up(digits * 10 ** max(scale, 0), max(-scale, 0))


def _up(number: int, places: int) -> int:
    """Without its last decimal places, rounded up."""
    divisor: int = 10**places
    return -(-number // divisor)


def _binary(nanos: int) -> str:
    """Below 1024 and for fractions the binary suffixes are left for the decimal ones."""
    amount, fraction = divmod(nanos, _NANO)
    if fraction or amount < 1024:
        return _decimal(nanos, False)
    exponent = 0
    while amount % 1024 == 0:
        amount, exponent = amount // 1024, exponent + 10
    return f"{amount}{_BINARY.get(exponent, '')}"


def _decimal(nanos: int, scientific: bool) -> str:
    amount, exponent = nanos, -9
    while amount % 1000 == 0:
        amount, exponent = amount // 1000, exponent + 3
    if scientific:
        return f"{amount}e{exponent}" if exponent else str(amount)
    if exponent not in _DECIMAL:
        raise ValueError("larger than any suffix says: the server would store it without one")
    return f"{amount}{_DECIMAL[exponent]}"


def of_bytes(number: int) -> str:
    """An amount of memory, as short as it goes: 1Gi, 1536Mi, 16G. number: bytes, above 0."""
    decimal = canonical(str(number * 1000) + "m")
    binary = canonical(f"{number // 1024}Ki") if number % 1024 == 0 else decimal
    return min(binary, decimal, key=len)


def of_cores(number: float) -> str:
    """An amount of CPU: 500m, 2. Kubernetes counts thousandths of a core; what is finer is rounded up."""
    thousandths = (Decimal(str(number)) * 1000).to_integral_value(ROUND_CEILING)
    return canonical(f"{thousandths}m")
