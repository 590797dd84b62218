"""Where paired devices may be found besides their own addresses: told by others, or seen on the network. In memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable

from peers.codes import Address
from peers.node_id import NodeId

MAX_PLACES = 8
"""Per device and source; the oldest is dropped."""
MAX_WAKES = 4
WAKES_S = 60.0
"""So often in that time one device may have another one dialled at once by telling new places of it: without a bound
it could keep this one dialling for ever."""


class Hints:
    """A hint wakes whoever waits to dial that device."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[NodeId, NodeId], list[Address]] = {}
        """By the device that it is about and the one that said it: nobody pushes out what another one said."""
        self._woken: dict[tuple[NodeId, NodeId], deque[float]] = {}
        self._seen: dict[NodeId, list[Address]] = {}
        self._newest: dict[NodeId, list[Address]] = {}
        """What a device was called for."""
        self._calls: dict[NodeId, asyncio.Event] = {}

    def told(self, node: NodeId, address: Address, *, by: NodeId) -> None:
        """A paired device says where another one is. A new place is worth a try at once, a few times a minute."""
        key, now = (node, by), self._clock()
        if not _put_first(self._told.setdefault(key, []), address):
            return
        woken = self._woken.setdefault(key, deque(maxlen=MAX_WAKES))
        if len(woken) < MAX_WAKES or now - woken[0] >= WAKES_S:
            woken.append(now)
            _put_first(self._newest.setdefault(node, []), address)
            self.call(node)

    def sighted(self, node: NodeId, address: Address) -> None:
        """A device was seen there just now, so it is worth a try at once, new place or not."""
        _put_first(self._seen.setdefault(node, []), address)
        _put_first(self._newest.setdefault(node, []), address)
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
        """Return where it may be, each once: what was told before what was seen."""
        told = [place for (about, _), places in self._told.items() if about == node for place in places]
        return tuple(dict.fromkeys((*told, *self._seen.get(node, ()))))

    def newest(self, node: NodeId) -> tuple[Address, ...]:
        """Return for which places it was called, what was said last first."""
        return tuple(self._newest.get(node, ()))

    def forget(self, node: NodeId) -> None:
        """The device is not paired any more: neither is it looked for, nor does its word count."""
        for key in [key for key in self._told if node in key]:
            self._told.pop(key)
            self._woken.pop(key, None)
        for known in (self._seen, self._newest, self._calls):
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


def _put_first(known: list[Address], address: Address) -> bool:
    """Put an address first; return whether it is new."""
    is_new = address not in known
    known[:] = [address, *(other for other in known if other != address)][:MAX_PLACES]
    return is_new
