"""Writes down what a device can cause as often as it likes: the first at once, the rest of a minute as one number.

A device that is refused, or warned of, five hundred times a second must not fill the disk with entries about it. The
number is written when its minute is over, or the node stops; a node that is killed has not written the last one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import inf

from peers.audit import Act, Audit, Happening
from peers.errors import RecordError
from peers.node_id import NodeId

QUIET_S = 60.0
"""What one device causes of one kind within this of the last entry is counted, not written."""
MAX_KINDS = 1000
"""Pairs of device and kind that are counted; a household has a handful. For one more the quietest is written out."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kind:
    written_s: float
    last: Happening
    unwritten: int = 0

    def entries(self) -> list[Happening]:
        """Return the entry with the number of what is not written; none when all is."""
        more = f" And {self.unwritten - 1} times more before." if self.unwritten > 1 else ""
        return [replace(self.last, note=self.last.note + more)] if self.unwritten else []


class Seldom:
    """In front of the audit log. May be used by several threads."""

    def __init__(self, audit: Audit, clock: Callable[[], float] = time.monotonic) -> None:
        self._audit = audit
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[tuple[NodeId, Act, str, NodeId | None], _Kind] = {}

    def due(self, happened: Happening, *, by: NodeId, alike: bool = False) -> list[Happening]:
        """Count what a device caused; return what is to be written, nothing when the same was written a moment ago.

        `alike`: whom it happened to makes no difference.
        """
        key = (by, happened.act, happened.scope, None if alike else happened.peer)
        with self._lock:
            now, kind = self._clock(), self._kinds.pop(key, None) or _Kind(-inf, happened)
            kind.last, kind.unwritten = happened, kind.unwritten + 1
            if now - kind.written_s < QUIET_S:
                self._kinds[key] = kind
                return []
            gone = self._kinds.pop(next(iter(self._kinds))).entries() if len(self._kinds) >= MAX_KINDS else []
            self._kinds[key] = _Kind(now, happened)
        return [*gone, *kind.entries()]

    def overdue(self) -> list[Happening]:
        """Return the numbers whose minute is over; to be asked now and then, and written."""
        return self._taken(QUIET_S)

    def rest(self) -> list[Happening]:
        """Return all numbers that are not written; to be written when the node stops."""
        return self._taken(0.0)

    def write(self, entries: Iterable[Happening]) -> None:
        """Write down; blocks for the disk. What can't be is in the program's log: a refusal stands all the same."""
        for happened in entries:
            try:
                self._audit.record(happened)
            except RecordError as error:
                logger.warning("%s of %s is not in the audit log: %s", happened.act.value, happened.peer, error)

    def record(self, happened: Happening, *, by: NodeId, alike: bool = False) -> bool:
        """Count and, when it is due, write; return whether it was due."""
        due = self.due(happened, by=by, alike=alike)
        self.write(due)
        return bool(due)

    def _taken(self, age_s: float) -> list[Happening]:
        """Return what was counted in the kinds that were written so long ago, and forget those that are still."""
        entries: list[Happening] = []
        with self._lock:
            now = self._clock()
            for key, kind in [(key, kind) for key, kind in self._kinds.items() if now - kind.written_s >= age_s]:
                del self._kinds[key]
                if kind.unwritten:
                    entries += kind.entries()
                    self._kinds[key] = _Kind(now, kind.last)
        return entries
