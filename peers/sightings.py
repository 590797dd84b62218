"""What an announcement on the network means here: which paired device, at which addresses. A hint and no more.

Anybody on the network can send one, so it is matched, bounded and never trusted: who is dialled
because of it still has to prove the key. No socket, no clock.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from peers.codes import MAX_PORT, Address
from peers.nameplate import names_around
from peers.node_id import NodeId

MAX_HOSTS = 4
"""Addresses taken from one announcement; a device has one or two, a forger would have us dial a thousand."""
REPEAT_S = 1.0
"""One look at a device per second: a storm of announcements costs no more than that."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Announcement:
    """What was read from the network, as it stands there."""

    name: str
    """First part of the service's name."""
    hosts: tuple[str, ...]
    """IP addresses, with the interface behind `%` where they need one."""
    port: int
    boot: str = ""


@dataclass(frozen=True, slots=True)
class Matcher:
    """Tells whose announcement one is, on one day."""

    names: Mapping[str, NodeId]
    own: NodeId

    def whose(self, name: str) -> NodeId | None:
        """Return the paired device (or this one) that has this name, or None."""
        return self.names.get(name.lower())


def matcher(own: NodeId, paired: Iterable[NodeId], day: int) -> Matcher:
    """Return what tells the announcements of these devices, and of whoever has this one's key."""
    return Matcher(names_around([own, *paired], day), own)


class Pace:
    """Lets one look at each device through per second."""

    def __init__(self) -> None:
        self._last_s: dict[NodeId, float] = {}

    def is_due(self, node: NodeId, now_s: float) -> bool:
        """Return whether this device may be looked at now, and remember that it was. For paired devices only."""
        if now_s - self._last_s.get(node, -REPEAT_S) < REPEAT_S:
            return False
        self._last_s[node] = now_s
        return True


def places(found: Announcement, near: Sequence[Network]) -> list[Address]:
    """Return where an announcement says its device is, as far as that is worth a try.

    `near`: the networks on which this node listens. An address elsewhere in the world is left out: nobody on
    the network can make this node dial out of the house.
    """
    if not 0 < found.port <= MAX_PORT:
        return []
    usable = [host for host in dict.fromkeys(found.hosts) if _is_near(host, near)]
    return [Address(host, found.port) for host in usable[:MAX_HOSTS]]


def is_double(found: Announcement, boot: str, own_hosts: Iterable[str]) -> bool:
    """Return whether an announcement under this node's own name is from elsewhere: a copy of it, or a forger."""
    own = {_bare(host) for host in own_hosts}
    return found.boot != boot and bool(found.hosts) and not any(_bare(host) in own for host in found.hosts)


def _is_near(host: str, near: Sequence[Network]) -> bool:
    try:
        address = ipaddress.ip_address(_bare(host))
    except ValueError:
        return False
    if address.is_multicast or address.is_unspecified:
        return False
    if any(address in network for network in near if network.version == address.version):
        return True
    return address.is_private and not address.is_loopback and not address.is_link_local


def _bare(host: str) -> str:
    return host.partition("%")[0]
