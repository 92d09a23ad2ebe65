"""What may stand in the state: checked per route and key before anything is written, so that one of them never takes the others along.

Envoy rejects a whole file for one bad entry. So whatever these checks let through must be accepted by it, whatever a name holds.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from reconciler.targets.envoy.clusters import BALANCING, split
from reconciler.targets.envoy.gate import expires, lower
from reconciler.targets.envoy.manifest import BackendRef, KeyManifest, RouteManifest
from reconciler.targets.envoy.state import RouteEntry, State

NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
PATH: Final = re.compile(r"[A-Z]{3,10} /v1/[A-Za-z0-9._~!$&'()*+,;=:@/-]{1,200}")
PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]{1,100}){0,10}")
SHA256: Final = re.compile(r"[0-9a-f]{64}")
KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST_NAME: Final = 256  # bytes of a model name; the gate looks at no longer one
LONGEST_TIMEOUT: Final = 7 * 86400.0


def route_faults(name: str, manifest: RouteManifest) -> Iterator[str]:
    """What is wrong with a route by itself."""
    if not NAME.fullmatch(name):
        yield f"{name!r} is not <workspace>/<endpoint> in small letters, digits, - and ."
    yield from (f"model name {model[:40]!r} is empty or longer than 256 bytes" for model in manifest.models if not _fits(model))
    yield from (f"path {path!r} is not METHOD /v1/..." for path in manifest.paths if not PATH.fullmatch(path))
    if manifest.strategy not in BALANCING:
        yield f"strategy {manifest.strategy!r} is none of {', '.join(BALANCING)}"
    if not 0 < manifest.timeout <= LONGEST_TIMEOUT:
        yield f"timeoutSeconds {manifest.timeout} is not above 0 and at most {LONGEST_TIMEOUT:.0f}"
    yield from _backend_faults(manifest.backends)


def _fits(model: str) -> bool:
    return 0 < len(model.encode("utf-8", "surrogatepass")) <= LONGEST_NAME


def _backend_faults(backends: tuple[BackendRef, ...]) -> Iterator[str]:
    yield from (f"prefix {part.prefix!r} is not a path" for part in backends if not PREFIX.fullmatch(part.prefix))
    yield from (f"weight {part.weight} is not from 1 to 1000000" for part in backends if not 0 < part.weight <= 10**6)
    if len({part.prefix for part in backends}) > 1:
        yield "backends with different path prefixes cannot share one route"
    if len({part.key for part in backends}) < len(backends):
        yield "one backend stands twice"


def address_faults(entry: RouteEntry) -> Iterator[str]:
    for _, hosts in entry.addresses:
        for host in hosts:
            try:
                split(host)
            except ValueError as error:
                yield f"replica address {error}"


def key_faults(name: str, manifest: KeyManifest) -> Iterator[str]:
    """What is wrong with a key by itself."""
    for row in manifest.credentials:
        if not SHA256.fullmatch(row.sha256):
            yield f"{name}: sha256 {row.sha256[:70]!r} is not 64 hex digits"
        if not KEY_ID.fullmatch(row.id):
            yield f"{name}: id {row.id[:70]!r} is not made of letters, digits, - and _"
        if row.expires_at and not _is_time(row.expires_at):
            yield f"{name}: expiresAt {row.expires_at!r} is not a time"


def _is_time(text: str) -> bool:
    try:
        expires(text)
    except (ValueError, OverflowError):
        return False
    return True


def route_conflicts(state: State, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Model names of these routes that another one has. An endpoint's own name cannot be taken away by an alias."""
    holders: dict[str, set[str]] = {}
    for other, entry in state.routes.items():
        for model in () if entry.withdrawn else entry.manifest.models:
            holders.setdefault(lower(model), set()).add(other)
    for name in names:
        for model in state.routes[name].manifest.models:
            others = sorted(holders.get(lower(model), set()) - {name})
            if others and model != name:
                yield name, f"the model name {model!r} is held by {others[0]} [E60]"


def key_conflicts(state: State, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Credentials of these keys that another one has: whose grants would count?"""
    holders: dict[str, set[str]] = {}
    for other, entry in state.keys.items():
        for row in entry.manifest.credentials:
            holders.setdefault(row.sha256, set()).add(other)
    for name in names:
        for row in state.keys[name].manifest.credentials:
            others = sorted(holders[row.sha256] - {name})
            if others:
                yield name, f"credential {row.id} is held by the key {others[0]}"
