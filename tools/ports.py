"""Ports for servers that are started here: below those that the kernel hands to outgoing connections, where a port that somebody holds in
mind (until its server is up, or while it is started again) could be lost at any moment.
"""

import contextlib
import random
import socket
from typing import Final

PORTS: Final = range(12000, 19900)
TRIES: Final = 200


def free_port(address: str = "127.0.0.1") -> int:
    """A TCP port of this address that nobody listens on now. Raises OSError when there is none."""
    return free_ports(address)[0]


def free_ports(*addresses: str) -> list[int]:
    """One for each address, all different."""
    found: list[int] = []
    numbers = iter(random.sample(PORTS, TRIES))
    for address in addresses:
        found.append(next((port for port in numbers if _is_free(address, port)), 0))
    if 0 in found:
        raise OSError(f"no free port between {PORTS.start} and {PORTS.stop}")
    return found


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind((address, port))
        return True
    return False
