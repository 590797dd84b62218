"""Other devices, as placing and running work sees them. It never learns how they are reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from models.errors import ModelsError
from models.types import Specialist
from runtime.seats import Seat
from runtime.speeds import Speed

if TYPE_CHECKING:  # a node without other devices imports nothing of theirs
    from peers.book import Peer
    from peers.courier import Courier
    from peers.link_messages import HubCard


@dataclass(frozen=True, slots=True)
class Lender:
    """A paired device and a hub that this one may use through it."""

    peer: Peer
    card: HubCard


class Others(Protocol):
    """The paired devices of a node."""

    async def seats(self, known: dict[tuple[str, str], Speed], *, call: bool) -> Sequence[Seat]:
        """Return the devices that work can be given to now.

        `known`: speeds measured by this node, which win over what a device says of itself. `call`: ask
        those that have no link to this node, because nothing here can do the work.
        """
        ...

    def specialist(self, node: str, capability: str, reason: str) -> Specialist:
        """Return what does the work there. `reason` is for the ledger."""
        ...

    def failed(self, node: str, error: ModelsError) -> None:
        """Take note that a device could not do what it was given."""
        ...

    def lenders(self) -> Sequence[Lender]:
        """Return the hubs that can be used now through a device which has a link to this one."""
        ...

    def courier(self, node: str) -> Courier:
        """Return what brings a released request to a device."""
        ...

    async def close(self) -> None:
        """Hang up, where this opened anything."""
        ...


class Nobody:
    """No other device."""

    async def seats(self, known: dict[tuple[str, str], Speed], *, call: bool) -> Sequence[Seat]:
        return ()

    def specialist(self, node: str, capability: str, reason: str) -> Specialist:
        raise AssertionError("nothing is placed on nobody")

    def failed(self, node: str, error: ModelsError) -> None:
        return

    def lenders(self) -> Sequence[Lender]:
        return ()

    def courier(self, node: str) -> Courier:
        raise AssertionError("nothing is brought to nobody")

    async def close(self) -> None:
        return
