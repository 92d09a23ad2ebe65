"""The envelope of every file that Envoy watches, and the names that several of them share: one constant each.

Compact JSON in one order, `version_info` = hash of the resources: the same state gives the same bytes, and the version is what an
acknowledgement looks for.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.resource import Json

TYPES: Final = "type.googleapis.com/envoy."
LISTENER: Final = "gw"  # also the prefix of the listener's statistics
ROUTES: Final = "reconciler"
GATE: Final = "reconciler.gate"
ROUTE_HEADER: Final = "x-reconciler-route"
KEY_HEADER: Final = "x-reconciler-key-id"
OURS: Final = "x-reconciler-"

BOOTSTRAP: Final = "bootstrap.json"
LDS: Final = "xds/lds.json"
RDS: Final = "xds/rds.json"
CDS: Final = "xds/cds.json"
ECDS: Final = "xds/ecds_authn.json"
VALIDATE: Final = "validate.json"
STATE: Final = "state.json"


VERSION: Final = re.compile(rb'"version_info":"([0-9a-f]{16})"}$')


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files stand: absolute, without a trailing slash. admin: path of Envoy's Unix socket as Envoy is told."""

    folder: str
    admin: str

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}"


def typed(kind: str, /, **fields: Json) -> dict[str, Json]:
    return {"@type": TYPES + kind, **fields}


def ascii_json(value: Json) -> str:
    """ASCII only, so that no reader can disagree about an encoding."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def compact(value: Json) -> bytes:
    return ascii_json(value).encode()


def document(resources: Sequence[Json]) -> bytes:
    body = ascii_json(list(resources))
    version = hashlib.sha256(body.encode()).hexdigest()[:16]
    return f'{{"resources":{body},"version_info":"{version}"}}'.encode()


def version_of(content: bytes) -> str:
    """The version that Envoy reports once it runs this file, "" in what `document` has not made. Read from its end: no need to parse."""
    found = VERSION.search(content[-64:])
    return found[1].decode() if found else ""


def hash_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def openai_error(message: str, kind: str, code: str, param: Json = None) -> dict[str, Json]:
    """The form in which OpenAI's clients expect an error."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
