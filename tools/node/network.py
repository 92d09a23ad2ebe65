"""One network between this machine and the nodes, of which nothing is left when its processes are gone.

The nodes are joined by a bridge in a network namespace that belongs to one process (the switch) and has no name. This machine has one end
of a pair of virtual devices in it, each node has another. When the last process of a namespace ends, the kernel takes its devices, their
other ends and every route over them; nobody has to be alive to do it.

    10.NET.255.1          this machine, device knNET           10.NET.<node>.0/24    the pods of a node
    10.NET.255.<2+node>   a node                               10.(NET+1).0.0/16     Services, by the first node

NET is even, and claimed by making the device: two clusters at once have two. No setting of the machine is changed.
"""

import contextlib
import ipaddress
import json
import os
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

NETS: Final = (98, *range(100, 130, 2), *range(70, 98, 2))
PATIENCE: Final = 30.0  # seconds


class NoNetwork(Exception):
    """The network cannot be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every address, made of NET."""

    net: int

    @property
    def device(self) -> str:
        """Of this machine; also the beginning of the names of the nodes' control groups."""
        return f"kn{self.net}"

    @property
    def host(self) -> str:
        return f"10.{self.net}.255.1"

    @property
    def services(self) -> str:
        return f"10.{self.net + 1}.0.0/16"

    @property
    def first_service(self) -> str:
        """The address of the Service `kubernetes`."""
        return f"10.{self.net + 1}.0.1"

    @property
    def all_pods(self) -> str:
        """Without this machine's own address: kube-proxy would masquerade its requests, and answers across nodes would be lost."""
        return f"10.{self.net}.0.0/17"

    @property
    def ours(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"10.{self.net}.0.0/15")

    def node(self, index: int) -> str:
        return f"10.{self.net}.255.{index + 2}"

    def hardware(self, index: int) -> str:
        """A fixed one: a node that comes back is not mistaken for the one that is gone."""
        return f"02:00:0a:{self.net:02x}:ff:{index + 2:02x}"

    def pods(self, index: int) -> str:
        return f"10.{self.net}.{index}.0/24"


def ip(*words: str, inside: int | None = None) -> str:
    """Run `ip` here, or in the network namespace of a process. Raises NoNetwork with what it said."""
    enter = [] if inside is None else ["nsenter", f"--net=/proc/{inside}/ns/net"]
    done = subprocess.run([*enter, "ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoNetwork(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def wait_for_namespace(pid: int) -> None:
    """Until the process has a network namespace of its own. Raises NoNetwork."""
    ours, until = os.readlink("/proc/self/ns/net"), time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/net") != ours:
                return
        time.sleep(0.01)
    raise NoNetwork(f"process {pid} has no network namespace of its own")


def claim(switch: int, nodes: int) -> Plan:
    """Join this machine and the switch (a process in a network namespace of its own) by a NET that nobody has. Raises NoNetwork."""
    taken = routed()
    for plan in map(Plan, NETS):
        if not any(plan.ours.overlaps(other) for other in taken) and _claimed(plan, switch):
            _join(plan, switch, nodes)
            return plan
    raise NoNetwork("every network that the nodes may use (10.70.0.0 to 10.129.255.255) is routed by this machine already")


def routed() -> list[ipaddress.IPv4Network]:
    """What this machine has routes for, the default left out."""
    listed: list[dict[str, str]] = json.loads(ip("-json", "-4", "route", "show", "table", "all"))
    return [ipaddress.IPv4Network(route["dst"], strict=False) for route in listed if route["dst"] != "default"]


def _claimed(plan: Plan, switch: int) -> bool:
    try:
        ip("link", "add", plan.device, "type", "veth", "peer", "name", "machine", "netns", str(switch))
    except NoNetwork as error:
        if "exists" in str(error):
            return False
        raise
    return True


def _join(plan: Plan, switch: int, nodes: int) -> None:
    ip("addr", "add", f"{plan.host}/24", "dev", plan.device)
    ip("link", "set", plan.device, "up")
    ip("link", "add", "switch", "type", "bridge", inside=switch)
    ip("link", "set", "switch", "up", inside=switch)
    ip("link", "set", "machine", "master", "switch", "up", inside=switch)
    for index in range(nodes):
        ip("route", "add", plan.pods(index), "via", plan.node(index))
    ip("route", "add", plan.services, "via", plan.node(0))


def cut(switch: int, index: int) -> None:
    """Take the cable of a node out, if it is in. `plug` puts another in when the node is started again."""
    port = f"node{index}"
    if any(link["ifname"] == port for link in json.loads(ip("-json", "link", "show", inside=switch))):
        ip("link", "delete", port, inside=switch)


def plug(plan: Plan, switch: int, index: int, node: int, all_nodes: Iterable[int]) -> None:
    """Give a node (a process in a network namespace of its own) its device `up0`, its address and its routes."""
    port = f"node{index}"
    ip("link", "add", port, "type", "veth", "peer", "name", "up0", "netns", str(node), inside=switch)
    ip("link", "set", port, "master", "switch", "up", inside=switch)
    ip("link", "set", "lo", "up", inside=node)
    ip("link", "set", "up0", "address", plan.hardware(index), inside=node)
    ip("addr", "add", f"{plan.node(index)}/24", "dev", "up0", inside=node)
    ip("link", "set", "up0", "up", inside=node)
    ip("route", "add", "default", "via", plan.host, inside=node)
    for other in all_nodes:
        if other != index:
            ip("route", "add", plan.pods(other), "via", plan.node(other), inside=node)
