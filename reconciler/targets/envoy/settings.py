"""What a Gateway declares, as this target uses it, and the bounds of its files."""

import ipaddress
from dataclasses import dataclass
from typing import Final

from reconciler.desired import TargetSpec
from reconciler.errors import TargetRefused
from reconciler.resource import Json

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
    """The settings that compile made of a Gateway of type envoy: all there, all typed. Raises TargetRefused for what no gateway can be
    made of; a missing one is refused too, since a default here could start nothing in silence."""
    given = spec.settings
    directory, address, port = given.get("directory"), given.get("address"), given.get("port")
    size, run, workers = given.get("maxRequestBytes"), given.get("run"), given.get("workers", 0)
    if not isinstance(directory, str) or not directory or directory.startswith("/") or ".." in directory.split("/"):
        raise _refused(spec, f"output.directory {directory!r} is not a folder below the state folder")
    if not isinstance(address, str) or not is_ip(address):
        raise _refused(spec, f"listen.address {address!r} is not an IP address")
    if not isinstance(run, bool):
        raise _refused(spec, f"output.run {run!r} is neither true nor false")
    return GatewaySettings(
        spec.name,
        directory,
        run,
        address,
        _whole(spec, "listen.port", port, 1, 65535),
        _whole(spec, "limits.maxRequestBytes", size, 1, LARGEST_BODY),
        _whole(spec, "output.workers", workers, 0, 1024),
    )


def _whole(spec: TargetSpec, name: str, value: Json, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _refused(spec, f"{name} {value!r} is not a whole number from {least} to {most}")
    return value


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refused(spec: TargetSpec, what: str) -> TargetRefused:
    return TargetRefused(f"{spec.name}: {what}", where=spec.source, todo="correct the Gateway's declaration", code="T31")
