"""Writes one task down: events into the journal, spans into the trace, off the event loop."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager

from models.types import Digest, Json, Label
from runtime.db import DatabaseThread
from runtime.events import Event
from runtime.journal import Journal
from runtime.task import TaskId
from runtime.trace.spans import Attribute, Span, Tracer
from runtime.trace.store import TraceStore

CLEANUP_TIMEOUT_S = 5.0
"""For the last writes of a task that was cancelled: the user waits for the prompt to come back."""

logger = logging.getLogger(__name__)


class Recorder:
    """The journal and the trace, as one task sees them."""

    def __init__(self, journal: Journal, thread: DatabaseThread, task_id: TaskId, label: Label) -> None:
        self.task_id = task_id
        self.label = label
        self.tracer = Tracer(task_id)
        self._journal = journal
        self._thread = thread

    def raise_label(self, label: Label) -> None:
        """From now on treat everything as at least this private."""
        self.label = max(self.label, label)

    async def record(self, *events: Event) -> None:
        """Append events. Raises JournalError."""
        await self._thread.run(self._journal.append, self.task_id, *events, label=self.label)

    async def keep(self, value: Json) -> Digest:
        """Keep a text (or a value, as JSON) for as long as the settings say, and return its digest."""
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
        return await self._thread.run(self._journal.put_content, self.task_id, text, self.label)

    def span(self, name: str, attributes: Mapping[str, Attribute | None] | None = None) -> AbstractContextManager[Span]:
        return self.tracer.span(name, attributes)

    async def finish(self) -> None:
        """Keep the spans. A trace that can't be kept is logged: the answer is not lost for it."""
        try:
            await self._thread.run(TraceStore(self._journal).save, self.task_id, self.tracer.finished, self.label)
        except Exception as error:  # nor is it lost for a defect in what was to be kept
            logger.warning("the trace of task %s could not be kept: %s", self.task_id, error)

    async def finish_cancelled(self, *events: Event) -> None:
        """Write the last events of a task whose caller has gone, whatever happens around."""
        try:
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                await asyncio.shield(self.record(*events))
        except Exception as error:  # why the task ends is raised by who called this, and must not be hidden
            logger.warning("the end of task %s could not be written: %s", self.task_id, error)
