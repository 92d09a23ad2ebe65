"""API keys: `rcl_<id>_<secret><checksum>`, 64 characters.

id: 10 characters, lower case without look-alikes; public: it stands in logs, Git and status, and stays when a key rotates.
secret: 43 base62 characters, 256 bit. checksum: 6 base62 characters, CRC-32 of everything before it: a typing mistake is found before
anything is asked, and scanners find a leaked key. Git holds the SHA-256 of the whole key, never the key: 256 random bits need no salt.

Pure: the random source and the time are passed in. The prefix and the form are load-bearing: gateways and scanners know them.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from reconciler.errors import UsageError

PREFIX: Final = "rcl"
BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # no l, o, 0, 1
PATTERN: Final = re.compile(r"rcl_([a-km-np-z2-9]{10})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")
GRACE: Final = 24 * 3600.0  # seconds that the old key of a rotation stays valid
DURATION: Final = re.compile(r"(\d{1,6})(s|m|h|d|w)")
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

Below = Callable[[int], int]  # random number from 0 to n - 1: `secrets.randbelow`


class NewKey:
    """A key in clear, in a type that cannot be printed by accident: only `reveal` gives it away."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"NewKey({PREFIX}_{parse(self._text)}_...)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a key in clear is not written anywhere")


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """What Git holds of a key. Times are RFC 3339; expires_at "" = never."""

    id: str
    sha256: str
    hint: str
    created_at: str
    expires_at: str = ""

    def fields(self) -> Mapping[str, str]:
        """As they stand in a declaration; an expiry only where there is one."""
        named = {"id": self.id, "sha256": self.sha256, "hint": self.hint, "createdAt": self.created_at, "expiresAt": self.expires_at}
        return {name: text for name, text in named.items() if text}


def mint(below: Below, key_id: str = "") -> NewKey:
    """A new key; with `key_id` one under the same public id, for a rotation."""
    key_id = key_id or _pick(ID_ALPHABET, 10, below)
    body = f"{PREFIX}_{key_id}_{_pick(BASE62, 43, below)}"
    return NewKey(body + checksum(body))


def _pick(alphabet: str, length: int, below: Below) -> str:
    return "".join(alphabet[below(len(alphabet))] for _ in range(length))


def checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), 6)


def _base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def parse(text: str) -> str:
    """The public id of a well-formed key. Raises UsageError, whose text does not repeat the key."""
    match = PATTERN.fullmatch(text)
    if not match:
        raise UsageError("this is not an API key", why="a key is rcl_<10>_<49 characters>", todo="copy it again, whole", code="K1")
    if checksum(text[:-6]) != match[3]:
        raise UsageError("this API key has a typing mistake", why="its checksum does not fit", todo="copy it again, whole", code="K1")
    return match[1]


def hash_of(key: NewKey) -> str:
    """64 hex digits: what the gateway compares."""
    return hashlib.sha256(key.reveal().encode()).hexdigest()


def record(key: NewKey, now: float, ttl: float | None = None) -> CredentialRecord:
    """What Git holds of a new key. now: seconds since the epoch; ttl: seconds that it is good for, None = for ever."""
    expires = "" if ttl is None else time_text(now + ttl)
    text = key.reveal()
    return CredentialRecord(parse(text), hash_of(key), text[-4:], time_text(now), expires)


def time_text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_of(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time; infinity for "" (never). Raises UsageError."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else float("inf")
    except ValueError as error:
        raise UsageError(f"'{text}' is not a time", todo="write it like 2026-12-31T00:00:00Z", code="K3") from error


def duration_of(text: str) -> float:
    """Seconds of `90d`, `24h`, `30m`, `2w`; `0` is none at all. Raises UsageError."""
    if text == "0":
        return 0.0
    match = DURATION.fullmatch(text)
    if not match:
        raise UsageError(f"'{text}' is not a duration", why="a number and one of s, m, h, d, w", todo="write it like 90d", code="K2")
    return float(int(match[1]) * UNITS[match[2]])


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """An ApiKey to be declared. endpoints None: every endpoint of the workspace."""

    workspace: str
    name: str
    owner: str
    endpoints: Sequence[str] | None
    credential: CredentialRecord


def declaration(declared: NewApiKey) -> str:
    """The ApiKey as a YAML document. Every text is quoted: a hash of digits alone would be read as a number, a time as a date."""
    lines = [
        "apiVersion: reconciler.dev/v1alpha1",
        "kind: ApiKey",
        f"metadata: {{name: {quoted(declared.name)}, workspace: {quoted(declared.workspace)}}}",
        "spec:",
        f"  owner: {quoted(declared.owner)}",
    ]
    if declared.endpoints is not None:
        lines.append(f"  endpoints: [{', '.join(quoted(name) for name in declared.endpoints)}]")
    return "\n".join([*lines, "  credentials:", *block_item(declared.credential, "    ")]) + "\n"


def block_item(credential: CredentialRecord, indent: str) -> list[str]:
    """A credential as an item of a block sequence."""
    pairs = [f"{name}: {quoted(text)}" for name, text in credential.fields().items()]
    return [f"{indent}- {pairs[0]}", *(f"{indent}  {pair}" for pair in pairs[1:])]


def flow_item(credential: CredentialRecord) -> str:
    """A credential as an item of a flow sequence."""
    return "{" + ", ".join(f"{name}: {quoted(text)}" for name, text in credential.fields().items()) + "}"


def quoted(text: str) -> str:
    """A YAML double-quoted scalar; plain names stay plain."""
    if re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", text) and text not in {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in escaped) + '"'
