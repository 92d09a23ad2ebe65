"""What a Gateway declares, as this target uses it, and the bounds of its files."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.desired import TargetSpec
from reconciler.errors import TargetRefused
from reconciler.resource import Json

UNITS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
BODY_LIMIT: Final = 10 * 2**20  # bytes, where limits.maxRequestBytes says nothing
LARGEST_BODY: Final = 2**32 - 1  # what Envoy's field holds


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """directory: below the state folder. max_request_bytes: the longest request body. workers: Envoy's threads."""

    name: str
    directory: str
    run: bool
    address: str
    port: int
    max_request_bytes: int
    workers: int


def read_settings(spec: TargetSpec) -> GatewaySettings:
    """The settings of a Gateway of type envoy. Raises TargetRefused for what no gateway can be made of."""
    output, listen, limits = (_object(spec, name) for name in ("output", "listen", "limits"))
    directory, address = output.get("directory", "gateway"), listen.get("address", "127.0.0.1")
    port, workers = listen.get("port", 8080), output.get("workers", 0)
    if not isinstance(directory, str) or not directory or directory.startswith("/") or ".." in directory.split("/"):
        raise _refused(spec, f"output.directory {directory!r} is not a folder below the state folder")
    if not isinstance(address, str) or not is_ip(address):
        raise _refused(spec, f"listen.address {address!r} is not an IP address")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise _refused(spec, f"listen.port {port!r} is not a port from 1 to 65535")
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise _refused(spec, f"output.workers {workers!r} is not a number of threads")
    size = _bytes(limits.get("maxRequestBytes", BODY_LIMIT))
    if size is None or not 0 < size <= LARGEST_BODY:
        raise _refused(spec, f"limits.maxRequestBytes {limits.get('maxRequestBytes')!r} is not a size up to 4Gi")
    return GatewaySettings(spec.name, directory, output.get("run") is True, address, port, size, workers)


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _object(spec: TargetSpec, name: str) -> Mapping[str, Json]:
    value = spec.settings.get(name)
    return value if isinstance(value, Mapping) else {}


def _bytes(value: Json) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    found = re.fullmatch(r"(\d{1,12})(k|M|G|Ki|Mi|Gi)?", value) if isinstance(value, str) else None
    return int(found[1]) * UNITS[found[2] or ""] if found else None


def _refused(spec: TargetSpec, what: str) -> TargetRefused:
    return TargetRefused(f"{spec.name}: {what}", where=spec.source, todo="correct the Gateway's declaration", code="T31")
