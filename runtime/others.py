"""Other devices, as placing and running work sees them. It never learns how they are reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from models.errors import ModelsError
from models.types import Specialist
from runtime.seats import Seat
from runtime.speeds import Speed


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

    async def close(self) -> None:
        return
