"""The open connections of paired devices: so many of each, so many in all; without room, the idlest gives way.

Without a bound one device could open connections until this one has no file descriptor left, and then neither the
ledger nor the list of devices could be opened either.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

try:
    import resource
except ImportError:  # a system that has no such limit
    resource = None  # type: ignore[assignment]

MAX_PER_DEVICE = 16
"""A link, the one that takes its place, four parts of models, and pieces of work that go beside a link."""
MAX_INSIDE = 512
"""Of all devices together; thirty busy ones."""
OTHERS = 48
"""Sockets of those who are not inside: in the handshake, and without a certificate."""


@dataclass(eq=False, slots=True)
class Connection:
    """One connection under the certificate that was shown on it."""

    certificate: bytes
    transport: asyncio.Transport
    heard_s: float
    """When bytes last came."""
    uses: int = 0
    """Requests on it that are being answered now."""


class Inside:
    """See above."""

    def __init__(self, *, most: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`most`: connections in all; by itself half of the files that this process may open, less the others."""
        self._most = most_allowed(_files()) if most is None else most
        self._clock = clock
        self._open: dict[asyncio.Transport, Connection] = {}

    def admit(self, certificate: bytes, transport: asyncio.Transport) -> Connection | None:
        """Take a connection in; None when there is no room, as all that could give way are in use."""
        mine = [one for one in self._open.values() if one.certificate == certificate]
        if len(mine) >= MAX_PER_DEVICE and not self._end_idlest(mine):
            return None
        if len(self._open) >= self._most and not self._end_idlest(self._of_the_fullest()):
            return None
        self._open[transport] = Connection(certificate, transport, self._clock())
        return self._open[transport]

    def dismiss(self, connection: Connection) -> None:
        """Forget a connection that ended."""
        self._open.pop(connection.transport, None)

    def spoke(self, connection: Connection) -> None:
        """Note that bytes came."""
        connection.heard_s = self._clock()

    @contextmanager
    def in_use(self, transport: asyncio.BaseTransport | None) -> Iterator[None]:
        """Let a connection give way to no other while the block lasts."""
        connection = self._open.get(transport) if isinstance(transport, asyncio.Transport) else None
        if connection is None:
            yield
            return
        connection.uses += 1
        try:
            yield
        finally:
            connection.uses -= 1

    def keep_only(self, trusted: Collection[bytes]) -> None:
        """End the connections of those whose certificate (DER) is not among these any more."""
        for connection in list(self._open.values()):
            if connection.certificate not in trusted:
                connection.transport.abort()

    def _of_the_fullest(self) -> Sequence[Connection]:
        """Return what may give way of the device that has most of that."""
        idle = [one for one in self._open.values() if not one.uses]
        held = Counter(one.certificate for one in idle)
        return [one for one in idle if held[one.certificate] == max(held.values())]

    def _end_idlest(self, connections: Sequence[Connection]) -> bool:
        """End the connection that has been silent for longest and is not in use; return whether there was one."""
        idle = [one for one in connections if not one.uses]
        if not idle:
            return False
        idlest = min(idle, key=lambda one: one.heard_s)
        self.dismiss(idlest)
        idlest.transport.abort()
        return True


def most_allowed(files: int) -> int:
    """Return how many connections leave enough for everything else of the files that may be open; -1: any number."""
    return MAX_INSIDE if files < 0 else max(MAX_PER_DEVICE, min(MAX_INSIDE, files // 2 - OTHERS))


def _files() -> int:
    """Return how many files this process may open; -1 without a limit."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource is not None else -1
