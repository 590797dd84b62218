"""Whose place a new socket takes while others wait in the TLS handshake: a pure choice, so that no host keeps all out.

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
MAX_PER_HOST = 4
"""Of one address: a device that dials makes one, or two when its link and its work begin at the same moment."""


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


def gives_way(waiting: Collection[Waiting], newcomer: Waiting) -> Waiting | None:
    """Return who has to go for a newcomer: None while there is room; the newcomer itself where all others are known."""
    same = [one for one in waiting if one.host == newcomer.host]
    if len(same) >= MAX_PER_HOST:
        return _oldest(same)
    if len(waiting) < MAX_HANDSHAKES:
        return None
    strangers = [one for one in waiting if not one.known]
    if not strangers:
        return _oldest(waiting) if newcomer.known else newcomer
    held = Counter(one.network for one in strangers)
    most = max(held.values())
    return _oldest([one for one in strangers if held[one.network] == most])


def _oldest(waiting: Collection[Waiting]) -> Waiting:
    return min(waiting, key=lambda one: one.number)
