"""Where paired devices may be found besides their own addresses: told by others, or seen on the network. In memory."""

from __future__ import annotations

import asyncio
import contextlib

from peers.codes import Address
from peers.node_id import NodeId

MAX_PLACES = 8
"""Per device and source; the oldest is dropped."""


class Hints:
    """A hint wakes whoever waits to dial that device."""

    def __init__(self) -> None:
        self._told: dict[NodeId, list[Address]] = {}
        self._seen: dict[NodeId, list[Address]] = {}
        self._newest: dict[NodeId, list[Address]] = {}
        self._calls: dict[NodeId, asyncio.Event] = {}

    def told(self, node: NodeId, address: Address) -> None:
        """A paired device says where another one is. A new place is worth a try at once."""
        if _put_first(self._told, node, address):
            _put_first(self._newest, node, address)
            self.call(node)

    def sighted(self, node: NodeId, address: Address) -> None:
        """A device was seen there just now, so it is worth a try at once, new place or not."""
        _put_first(self._seen, node, address)
        _put_first(self._newest, node, address)
        self.call(node)

    def wake(self) -> None:
        """Every device is worth a try now."""
        for node in self._calls:
            self.call(node)

    def call(self, node: NodeId) -> None:
        """A device is worth a try now."""
        if node in self._calls:
            self._calls[node].set()

    def places(self, node: NodeId) -> tuple[Address, ...]:
        """Return where it may be: what was told before what was seen."""
        return (*self._told.get(node, ()), *self._seen.get(node, ()))

    def newest(self, node: NodeId) -> tuple[Address, ...]:
        """Return the same, what was said last first."""
        return tuple(self._newest.get(node, ()))

    def forget(self, node: NodeId) -> None:
        """The device is not paired any more."""
        for known in (self._told, self._seen, self._newest, self._calls):
            known.pop(node, None)

    async def called(self, node: NodeId, timeout_s: float) -> bool:
        """Wait so long, and return whether a hint ended the wait."""
        call = self._calls.setdefault(node, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await call.wait()
        called = call.is_set()
        call.clear()
        return called


def _put_first(known: dict[NodeId, list[Address]], node: NodeId, address: Address) -> bool:
    """Put an address first; return whether it is new."""
    before = known.get(node, [])
    known[node] = [address, *(other for other in before if other != address)][:MAX_PLACES]
    return address not in before
