"""`ecds_authn.json`: the gate, a Lua filter with the tables of keys, endpoints and names as Lua source.

Never in the listener: a revoked key would live on in connections that are open. Hashes only, so that the file is safe to log and dump.
Every string is escaped byte by byte, so that a name can hold anything and stays a string.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from reconciler import resources
from reconciler.resource import Json
from reconciler.targets.envoy.manifest import CredentialRow, KeyManifest, RouteManifest
from reconciler.targets.envoy.settings import GatewaySettings
from reconciler.targets.envoy.state import State
from reconciler.targets.envoy.xds import GATE, ascii_json, typed

PARTS: Final = ("sha256.lua", "scan.lua", "gate.lua")
PLAIN: Final = re.compile(r"[ !#-\[\]-~]*")
ROWS: Final = 1000  # rows in one Lua function: LuaJIT allows 65,536 constants in each


def gate(state: State, settings: GatewaySettings) -> list[Json]:
    """The one extension configuration."""
    lua = typed("extensions.filters.http.lua.v3.Lua", default_source_code={"inline_string": source(state, settings)})
    return [typed("config.core.v3.TypedExtensionConfig", name=GATE, typed_config=lua)]


def source(state: State, settings: GatewaySettings) -> str:
    """The whole Lua text: program, then tables."""
    program = "\n".join(resources.text(f"templates/envoy/{part}") for part in PARTS)
    tables = [*_calls("endpoints", _endpoints(state)), *_calls("names", _names(state)), *_calls("keys", _keys(state))]
    return f"local LIMIT = {settings.max_request_bytes}\n{program}\n" + "".join(tables)


def _calls(function: str, rows: Iterator[str]) -> Iterator[str]:
    while chunk := list(islice(rows, ROWS)):
        yield f";(function() {function}{{\n" + ",\n".join(chunk) + "} end)()\n"


def _endpoints(state: State) -> Iterator[str]:
    for name, entry in sorted(state.routes.items()):
        if not entry.withdrawn:
            grants = ",".join(quoted(grant) for grant in entry.manifest.grants)
            yield f"[{quoted(name)}]={{grants={{{grants}}},paths={_paths(entry.manifest)}}}"


def _paths(manifest: RouteManifest) -> str:
    methods: dict[str, list[str]] = {}
    for line in sorted(manifest.paths):
        method, _, path = line.partition(" ")
        methods.setdefault(path, []).append(f"[{quoted(method)}]=1")
    return "{" + ",".join(f"[{quoted(path)}]={{{','.join(found)}}}" for path, found in methods.items()) + "}"


def _names(state: State) -> Iterator[str]:
    for model, endpoint in sorted(claimed(state).items()):
        shown = ascii_json({"id": model, "object": "model", "owned_by": endpoint.partition("/")[0]})
        yield f"{{{quoted(model)},{quoted(endpoint)},{quoted(shown)}}}"


def claimed(state: State) -> dict[str, str]:
    """Model name -> endpoint. Names are equal ignoring case; an endpoint's own name goes before any alias, then the first by name."""
    found = {name: name for name, entry in state.routes.items() if not entry.withdrawn}
    taken = set(found)
    for name in sorted(found):
        for model in state.routes[name].manifest.models:
            if lower(model) not in taken:
                found[model] = name
                taken.add(lower(model))
    return found


def lower(name: str) -> str:
    """As Lua does it: ASCII letters only."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in name)


def _keys(state: State) -> Iterator[str]:
    rows: dict[str, tuple[KeyManifest, CredentialRow]] = {}
    for _, entry in sorted(state.keys.items()):
        for credential in entry.manifest.credentials:
            rows.setdefault(credential.sha256, (entry.manifest, credential))
    for digest, (manifest, credential) in sorted(rows.items()):
        yield f"[{quoted(digest)}]={{{_record(manifest, credential)}}}"


def _record(manifest: KeyManifest, credential: CredentialRow) -> str:
    grants = ",".join(f"[{quoted(grant)}]=1" for grant in manifest.grants)
    expiry = f",exp={expires(credential.expires_at)}" if credential.expires_at else ""
    return f"id={quoted(credential.id)},ws={quoted(manifest.workspace)},grants={{{grants}}}{expiry}"


def expires(text: str) -> int:
    """Seconds since the epoch; a time without a zone is UTC. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def quoted(text: str) -> str:
    """A Lua string: printable ASCII except quote and backslash as it is, every other byte as three decimal digits."""
    if PLAIN.fullmatch(text):
        return f'"{text}"'
    raw = text.encode("utf-8", "surrogatepass")
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\{b:03d}" for b in raw) + '"'
