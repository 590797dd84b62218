"""Writes down who was turned away: the first at once, what follows within a minute as one entry with its number.

A device that asks five hundred times a second must not fill the disk with entries about it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from peers.audit import Act, Audit, Happening
from peers.messages import Failed
from peers.node_id import NodeId

QUIET_S = 60.0
"""Refusals of one device for one reason that are within this of the last entry are counted, not written."""
MAX_KINDS = 1000
"""Pairs of device and reason that are counted; a household has a handful."""


@dataclass(slots=True)
class _Kind:
    written_s: float
    unwritten: int = 0


class Refusals:
    """In front of the audit log."""

    def __init__(self, audit: Audit, clock: Callable[[], float] = time.monotonic) -> None:
        self._audit = audit
        self._clock = clock
        self._kinds: dict[tuple[NodeId, str], _Kind] = {}

    async def note(self, node: NodeId, failed: Failed) -> None:
        """Count one refusal, and write it down unless the same was written a moment ago."""
        now, key = self._clock(), (node, failed.code)
        kind = self._kinds.get(key)
        if kind is not None and now - kind.written_s < QUIET_S:
            kind.unwritten += 1
            return
        more = f" And {kind.unwritten} times more before." if kind is not None and kind.unwritten else ""
        if len(self._kinds) >= MAX_KINDS:
            self._kinds.clear()
        self._kinds[key] = _Kind(now)
        happened = Happening(Act.REFUSED, node, failed.code, note=failed.message + more)
        await asyncio.to_thread(self._audit.record, happened)
