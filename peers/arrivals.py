"""Bodies of requests on their way: so many bytes of each device, so many in all, before any grant is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from peers.channels import MAX_ARRIVING_BYTES
from peers.errors import PeerBusy
from peers.node_id import NodeId

MAX_ALL_BYTES = 2 * MAX_ARRIVING_BYTES
"""Of all devices: two that fill their bounds. A small computer can spare that."""
ALWAYS_BYTES = 256 * 1024
"""Of one device, which come in whatever the others send: nearly every request is smaller."""
RETRY_S = 1.0

Count = Callable[[int], None]
"""Told how many bytes more have come. Raises PeerBusy when they are too many."""


class Arrivals:
    """See above. A device may send as much at once as it may over a link."""

    def __init__(self) -> None:
        self._held: Counter[NodeId] = Counter()

    @contextmanager
    def of(self, node: NodeId) -> Iterator[Count]:
        """Count the bytes of one body as long as the block lasts."""
        own = 0

        def count(size_bytes: int) -> None:
            nonlocal own
            own += size_bytes
            self._held[node] += size_bytes
            if self._held[node] > MAX_ARRIVING_BYTES:
                most = MAX_ARRIVING_BYTES // 2**20
                raise PeerBusy(f"Its requests under way have more than {most} MiB. Send them one by one.", RETRY_S)
            if self._held[node] > ALWAYS_BYTES and self._held.total() > MAX_ALL_BYTES:
                raise PeerBusy("Other devices send too much to it just now. Ask again in a moment.", RETRY_S)

        try:
            yield count
        finally:
            self._held[node] -= own
            if not self._held[node]:
                del self._held[node]
