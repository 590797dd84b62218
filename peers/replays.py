"""Remembers for ten minutes how work ended, so that a request which is sent again is not done again."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from peers import codec
from peers.messages import Done, Subtask
from peers.node_id import NodeId

KEEP_S = 600.0
MAX_BYTES = 8 * 2**20
"""Together; a small device has better uses for its memory. The oldest go first."""

Key = tuple[NodeId, str, bytes]


@dataclass(frozen=True, slots=True)
class _Kept:
    done: Done
    size_bytes: int
    until_s: float


class Replays:
    """In memory only: it dies with the process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._bytes = 0

    def find(self, key: Key | None) -> Done | None:
        """Return how the very same request ended, if that is not long ago."""
        self._expire()
        kept = self._kept.get(key) if key else None
        return kept.done if kept else None

    def keep(self, key: Key | None, done: Done) -> None:
        """Remember how a request ended; one without a key is not remembered."""
        if key is None or (size := len(done.pack())) > MAX_BYTES:
            return
        self._drop(key)
        self._kept[key] = _Kept(done, size, self._clock() + KEEP_S)
        self._bytes += size
        while self._bytes > MAX_BYTES:
            self._drop(next(iter(self._kept)))

    def forget(self, peer: NodeId) -> None:
        """Drop all that is kept of a device."""
        for key in [key for key in self._kept if key[0] == peer]:
            self._drop(key)

    def _expire(self) -> None:
        now = self._clock()
        for key in [key for key, kept in self._kept.items() if kept.until_s <= now]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        self._bytes -= kept.size_bytes if kept else 0


def key_of(peer: NodeId, subtask: Subtask) -> Key | None:
    """Return what tells one piece of work from another; None for work that may not be repeated unseen.

    A key that is used again for other work finds nothing. Takes as long as a large input takes to pack.
    """
    if not subtask.idempotency_key:
        return None
    asked = [subtask.capability, subtask.input, subtask.seed, subtask.resume_tokens, subtask.budget_tokens]
    if subtask.relay:  # what a hub says is another answer than this device's own
        asked.append(subtask.relay)
    return peer, subtask.idempotency_key, hashlib.sha256(codec.encode({"asked": asked})).digest()
