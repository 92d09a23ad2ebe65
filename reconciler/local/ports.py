"""Who listens on a TCP port of this box, as far as /proc says it."""

import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Final

LISTENING: Final = "0A"
UNSEEN: Final = "a program that cannot be seen"  # another user's, or one that is just ending


def why_taken(address: str, port: int) -> str:
    """Why nobody can listen there now, or "". Envoy alone would not say: it shares a port with every other Envoy of the same user."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            return f"port {port} on {address} is taken by {holder_of(port)}" if taken else f"{address}:{port}: {error.strerror}"
    return ""


def holder_of(port: int) -> str:
    """`nginx (pid 4711)`, or words for a holder that cannot be seen."""
    inodes = _listeners(port)
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _has_socket(entry, inodes):
            return f"{_name(entry)} (pid {entry})"
    return UNSEEN


def _listeners(port: int) -> set[str]:
    wanted, found = f":{port:04X}", set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            rows = (line.split() for line in Path(table).read_text().splitlines()[1:])
            found |= {row[9] for row in rows if row[1].endswith(wanted) and row[3] == LISTENING}
    return found


def _has_socket(pid: str, inodes: set[str]) -> bool:
    names = {f"socket:[{inode}]" for inode in inodes}
    with contextlib.suppress(OSError):
        return any(_target(f"/proc/{pid}/fd/{handle}") in names for handle in os.listdir(f"/proc/{pid}/fd"))
    return False


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _name(pid: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return "a program"
