"""What one side says of itself on a link, with the ledger told: an entry when it begins, one with all bytes at its end.

A link may live for weeks. So an entry is ended and another begun after some hours or bytes: memory
stays flat, and what was said is in the ledger even if the power goes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from models.types import Label
from peers.policy import Recipient
from peers.release import Released, Releaser, Stream

CAPABILITY = "peer.link"
REASON = "how this device is and what it can do, told to a paired device"
MAX_BYTES = 256 * 1024
MAX_AGE_S = 6 * 3600.0


class Outflow:
    """Gives out what may be sent to one device. Every call raises RecordError, ReleaseRefused."""

    def __init__(
        self, releaser: Releaser, recipient: Recipient, label: Label, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._releaser = releaser
        self._recipient = recipient
        self._label = label
        self._clock = clock
        self._stream: Stream | None = None
        self._bytes = 0
        self._opened_s = 0.0

    async def piece(self, data: bytes) -> Released[bytes]:
        """Return the next bytes as ones that may be sent."""
        if self._stream is not None and (
            self._bytes + len(data) > MAX_BYTES or self._clock() - self._opened_s > MAX_AGE_S
        ):
            await self.close()
        if self._stream is None:
            self._stream = await asyncio.to_thread(
                self._releaser.open_stream,
                self._label,
                capability=CAPABILITY,
                recipient=self._recipient,
                reason=REASON,
            )
            self._bytes, self._opened_s = 0, self._clock()
        self._bytes += len(data)
        return self._stream.piece(data)

    async def close(self) -> None:
        """Write down all that went since the entry was begun."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await asyncio.to_thread(stream.close)
