"""Where a node announces and listens: which addresses multicast goes out from, and which are announced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from peers.interfaces import Interface

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ground:
    """Where this node announces and listens now, and what it says there."""

    interfaces: tuple[Interface, ...]
    addresses: tuple[str, ...]
    """One of each interface and family: multicast goes out there."""
    hosts: tuple[str, ...]
    """All addresses that are announced."""


NOWHERE = Ground((), (), ())


def ground(home: Sequence[Interface]) -> Ground:
    """Return what to open for these interfaces: multicast by one address of each family, all of them announced."""
    senders = []
    for one in home:
        pairs = list(zip(one.addresses, one.networks, strict=True))
        four = [address for address, network in pairs if network.version == 4]
        local = [address for address, network in pairs if network.version == 6 and network.is_link_local]
        senders += [*four[:1], *local[:1]]
    return Ground(tuple(home), tuple(senders), tuple(host for one in home for host in one.addresses))


def loopback(found: Sequence[Interface]) -> Ground:
    """Return this machine alone as the place to be on the air."""
    loops = tuple(one for one in found if LOOPBACK in one.addresses)
    return Ground(loops, (LOOPBACK,), (LOOPBACK,)) if loops else NOWHERE
