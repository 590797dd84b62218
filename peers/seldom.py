"""Writes down what a device can cause as often as it likes: the first at once, the rest of a minute as one number.

A device that is refused, or warned of, five hundred times a second must not fill the disk with entries about it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from peers.audit import Act, Audit, Happening
from peers.errors import RecordError
from peers.node_id import NodeId

QUIET_S = 60.0
"""What one device causes of one kind within this of the last entry is counted, not written."""
MAX_KINDS = 1000
"""Pairs of device and kind that are counted; a household has a handful."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kind:
    written_s: float
    unwritten: int = 0


class Seldom:
    """In front of the audit log. May be used by several threads."""

    def __init__(self, audit: Audit, clock: Callable[[], float] = time.monotonic) -> None:
        self._audit = audit
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[tuple[NodeId, Act, str, NodeId | None], _Kind] = {}

    def due(self, happened: Happening, *, by: NodeId, alike: bool = False) -> Happening | None:
        """Count what a device caused; return the entry to write, None when the same was written a moment ago.

        `alike`: whom it happened to makes no difference.
        """
        key = (by, happened.act, happened.scope, None if alike else happened.peer)
        with self._lock:
            now, kind = self._clock(), self._kinds.get(key)
            if kind is not None and now - kind.written_s < QUIET_S:
                kind.unwritten += 1
                return None
            if len(self._kinds) >= MAX_KINDS:
                self._kinds.clear()
            self._kinds[key] = _Kind(now)
        more = f" And {kind.unwritten} times more before." if kind is not None and kind.unwritten else ""
        return replace(happened, note=happened.note + more)

    def write(self, happened: Happening) -> None:
        """Write it down; blocks for the disk. What can't be is in the program's log: a refusal stands all the same."""
        try:
            self._audit.record(happened)
        except RecordError as error:
            logger.warning("%s of %s is not in the audit log: %s", happened.act.value, happened.peer, error)

    def record(self, happened: Happening, *, by: NodeId, alike: bool = False) -> bool:
        """Count and, when it is due, write; return whether it was due."""
        due = self.due(happened, by=by, alike=alike)
        if due is not None:
            self.write(due)
        return due is not None
