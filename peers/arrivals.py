"""Bodies of requests until they are read, on links and beside them: so many bytes of each device, so many in all.

They are counted from the first byte, before any grant is looked at, until what was read from them is taken.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType

from peers.codec import MAX_MESSAGE_BYTES
from peers.errors import PeerBusy
from peers.node_id import NodeId

MAX_BODY_BYTES = MAX_MESSAGE_BYTES + 64 * 1024
"""Of one request: a message of the greatest size, its frame headers, and a hello before it."""
MAX_ARRIVING_BYTES = 2 * MAX_BODY_BYTES
"""Of one device, whichever way they come."""
MAX_ALL_BYTES = 2 * MAX_ARRIVING_BYTES
"""Of all devices: two that fill their bounds. A small computer can spare that."""
ALWAYS_BYTES = 256 * 1024
"""Of one device, which come in whatever the others send: nearly every request is smaller."""
WHOLE_S = 90.0
"""For one body on a link: all that may come at once, over a poor radio, takes 67 s. Whoever is slower dribbles."""
RETRY_S = 1.0


class Arrivals:
    """See above. Gives out an `Arrival` for each request."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: Counter[NodeId] = Counter()

    @property
    def size_bytes(self) -> int:
        """What is held of all devices."""
        return self._held.total()

    def begin(self, node: NodeId) -> Arrival:
        """Return what a new request of this device comes into."""
        return Arrival(self, node, self._clock())

    def take(self, node: NodeId, size_bytes: int) -> None:
        """Count bytes that came. Raises PeerBusy when they are too many; they are counted all the same."""
        self._held[node] += size_bytes
        if self._held[node] > MAX_ARRIVING_BYTES:
            most = MAX_ARRIVING_BYTES // 2**20
            raise PeerBusy(f"Its requests under way have more than {most} MiB. Send them one by one.", RETRY_S)
        if self._held[node] > ALWAYS_BYTES and self.size_bytes > MAX_ALL_BYTES:
            raise PeerBusy("Other devices send too much to it just now. Ask again in a moment.", RETRY_S)

    def give_back(self, node: NodeId, size_bytes: int) -> None:
        """Count bytes that are no longer held."""
        self._held[node] -= size_bytes
        if not self._held[node]:
            del self._held[node]

    def is_late(self, began_s: float) -> bool:
        return self._clock() - began_s > WHOLE_S


class Arrival:
    """What has come of one request. Its bytes are counted as long as they are held; let go, they are gone."""

    def __init__(self, arrivals: Arrivals, node: NodeId, began_s: float) -> None:
        self._arrivals = arrivals
        self._node = node
        self._began_s = began_s
        self._data = bytearray()

    def __enter__(self) -> Arrival:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.let_go()

    def __len__(self) -> int:
        return len(self._data)

    @property
    def is_late(self) -> bool:
        """Whether it should be whole by now."""
        return self._arrivals.is_late(self._began_s)

    def add(self, data: bytes) -> None:
        """Take the next bytes. Raises PeerBusy when they are too many; let the rest go then."""
        self._data += data
        self._arrivals.take(self._node, len(data))

    def whole(self) -> bytes:
        """Return all bytes; another thread may."""
        return bytes(self._data)

    def let_go(self) -> None:
        """Forget the bytes, if that has not been done yet."""
        data, self._data = self._data, bytearray()
        self._arrivals.give_back(self._node, len(data))
