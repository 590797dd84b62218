"""Whose place a new socket takes among those that have proved nothing: a pure choice, so that no host keeps all out.

A socket that says nothing costs its sender nothing, so the newcomer is not the one to be turned away: the oldest of
those who hold most is. A device at an address where a paired one answered gives way to no stranger.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

MAX_HANDSHAKES = 32
"""Sockets that are in the TLS handshake at once. More come from a flood, and each costs a file descriptor."""
KEPT_PER_HOST = 4
"""Of an address at which a paired device was found; what it has beyond that is like a stranger's."""
MAX_UNPAIRED = 16
"""Connections without a client certificate at once: the owner's other device, and room for those who lost their way."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One socket that was accepted and has not proved anything yet."""

    number: int
    """Rises with each socket."""
    host: str
    """The address that it comes from."""
    known: bool
    """Whether a paired device was last found at that address."""

    @property
    def network(self) -> str:
        """The host, or of IPv6 the first 64 bits: within them one machine has as many addresses as it likes."""
        try:
            address = ipaddress.ip_address(self.host.partition("%")[0])
        except ValueError:
            return self.host
        return self.host if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def gives_way(waiting: Collection[Waiting], newcomer: Waiting, *, most: int = MAX_HANDSHAKES) -> Waiting | None:
    """Return who has to go for a newcomer: None while there is room; the newcomer itself where all others are kept."""
    if len(waiting) < most:
        return None
    held = Counter(one.host for one in waiting)
    loose = [one for one in waiting if not one.known or held[one.host] > KEPT_PER_HOST]
    if not loose:
        return _oldest(waiting) if newcomer.known else newcomer
    crowds = Counter(one.network for one in loose)
    return _oldest([one for one in loose if crowds[one.network] == max(crowds.values())])


def _oldest(waiting: Collection[Waiting]) -> Waiting:
    return min(waiting, key=lambda one: one.number)
