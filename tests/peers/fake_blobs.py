"""Devices that have a file, and faults by name: what they say of it, and what they send."""

from __future__ import annotations

import asyncio
import hashlib
from enum import Enum

from models.errors import SourceError
from peers.chunks import CHUNK_BYTES, Chunks, count_of
from peers.errors import PeerBusy, PeerLost


class Fault(Enum):
    """What is wrong with a device."""

    NONE = "none"
    CORRUPT = "corrupt"
    """One bit of each chunk is wrong."""
    SWAPPED = "swapped"
    """It sends another chunk than the one asked for."""
    LYING = "lying"
    """It offers another file under this digest, consistently."""
    LACKS = "lacks"
    VANISHES = "vanishes"
    """After the chunks that it is allowed, it is gone."""
    BUSY_ONCE = "busy once"
    SLOW = "slow"
    LATE = "late"
    """It does not say its chunks before its `go`."""


def row_of(data: bytes) -> Chunks:
    """The row of chunks of some bytes."""
    parts = [data[n * CHUNK_BYTES : (n + 1) * CHUNK_BYTES] for n in range(count_of(len(data)))]
    return Chunks(len(data), tuple(hashlib.sha256(part).hexdigest() for part in parts))


class FakeBlobs:
    """A device in memory."""

    def __init__(self, name: str, data: bytes, fault: Fault = Fault.NONE, *, allowed: int = 10**6) -> None:
        """`allowed`: chunks that it sends before it vanishes."""
        self._name, self._fault, self._allowed = name, fault, allowed
        self._data = data[:-1] + bytes([data[-1] ^ 1]) if fault is Fault.LYING else data
        self.go = asyncio.Event()
        """For a late one: when it answers."""
        self.read_from: list[int] = []
        """Where each part that it was asked for begins."""

    @property
    def name(self) -> str:
        return self._name

    async def chunks(self, sha256: str) -> Chunks:
        if self._fault is Fault.LACKS:
            raise SourceError(f"{self._name} does not have it")
        if self._fault is Fault.LATE:
            await self.go.wait()
        return row_of(self._data)

    async def read(self, sha256: str, start: int, length: int) -> bytes:
        self.read_from.append(start)
        await asyncio.sleep(30 if self._fault is Fault.SLOW else 0.01)
        match self._fault:
            case Fault.CORRUPT:
                return bytes([self._data[start] ^ 1]) + self._data[start + 1 : start + length]
            case Fault.SWAPPED:
                other = 0 if start else CHUNK_BYTES
                return self._data[other : other + length]
            case Fault.VANISHES if len(self.read_from) > self._allowed:
                raise PeerLost(f"{self._name} is gone.")
            case Fault.BUSY_ONCE if len(self.read_from) == 1:
                raise PeerBusy(f"{self._name} is busy.", 0.05)
        return self._data[start : start + length]
