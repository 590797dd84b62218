"""What is being worked on, here and for us elsewhere, and what that teaches about speed."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from models.types import Chunk, Request, Result, Specialist
from runtime.db import DatabaseThread
from runtime.errors import JournalError
from runtime.speeds import HERE, Run, Speed, Speeds

OWN_PROMPT_TOKENS = 4096
"""No specialist's own prompt is longer; a device that says it has read more than this and the input is not believed."""
EXPECTED_S = 2.0
"""Work that was placed begins within milliseconds; what has not by then was given up."""
UNSEEN_TOKENS = 8
"""Tokens of an answer that leave no character."""

logger = logging.getLogger(__name__)


class Workload:
    """Counts the model work of one node."""

    def __init__(
        self, speeds: Speeds, thread: DatabaseThread, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.on_change: Callable[[], None] = _nobody_listens
        """Called when work begins or ends here, so that linked devices hear of it at once."""
        self._speeds = speeds
        self._thread = thread
        self._clock = clock
        self._running: Counter[str] = Counter()
        self._expected: dict[str, list[float]] = {}
        """When the work that was placed and has not begun is not expected any more, by node."""
        self._warm: set[str] = set()

    @property
    def warm(self) -> frozenset[str]:
        """Digests of the specialist prompts that were used here since the start."""
        return frozenset(self._warm)

    def running(self, node: str = HERE) -> int:
        """Return how many of the tasks that this node knows of run there now, or are about to."""
        now = self._clock()
        waiting = self._expected[node] = [end for end in self._expected.get(node, ()) if end > now]
        return self._running[node] + len(waiting)

    def expect(self, node: str) -> None:
        """Count work that was placed and is about to begin, so that what is placed next knows of it."""
        self._expected.setdefault(node, []).append(self._clock() + EXPECTED_S)

    async def known(self) -> dict[tuple[str, str], Speed]:
        """Return the measured speeds, by node id and model; none where the journal can't be read."""
        try:
            return await self._thread.run(self._speeds.known)
        except JournalError as error:
            logger.warning("the measured speeds can't be read: %s", error)
            return {}

    def watched(
        self, specialist: Specialist, *, node: str = HERE, model: str = "", prefix: str = "", cold: bool = False
    ) -> Watched:
        """Return the specialist as one whose work is counted and timed.

        `model`: what it is said to run; empty takes the result's word. `cold`: its model is not loaded yet.
        """
        return Watched(self, specialist, node, model, prefix, cold)

    def begin(self, node: str) -> None:
        if self._expected.get(node):
            self._expected[node].pop(0)
        self._running[node] += 1
        if node == HERE:
            self.on_change()

    def end(self, node: str) -> None:
        self._running[node] -= 1
        if node == HERE:
            self.on_change()

    def now(self) -> float:
        return self._clock()

    async def learn(self, node: str, model: str, run: Run, prefix: str) -> None:
        """Remember a run. What can't be written down is logged: no answer is lost for it."""
        if node == HERE and prefix:
            self._warm.add(prefix)
        try:
            await self._thread.run(self._speeds.observe, node, model, run)
        except JournalError as error:
            logger.warning("a measured speed could not be kept: %s", error)


class Watched:
    """A specialist whose work is counted and timed. It is otherwise the one that it was made from."""

    def __init__(
        self, workload: Workload, specialist: Specialist, node: str, model: str, prefix: str, cold: bool
    ) -> None:
        self._workload = workload
        self._specialist = specialist
        self._node = node
        self._model = model
        self._prefix = prefix
        self._cold = cold

    @property
    def name(self) -> str:
        return self._specialist.name

    @property
    def capability(self) -> str:
        return self._specialist.capability

    @property
    def bytes_out(self) -> int:
        """Bytes that left this device for it."""
        return bytes_out(self._specialist)

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        """See `models.types.Specialist.run`."""
        began, first_s, written = self._workload.now(), None, 0
        self._workload.begin(self._node)
        try:
            async with aclosing(self._specialist.run(request)) as items:
                async for item in items:
                    if isinstance(item, Result):
                        await self._ended(request, item, self._workload.now() - began, first_s, written)
                        yield item if self._node == HERE else _vouched(item, self._model)
                        continue
                    if item.token_ids:
                        first_s = self._workload.now() - began if first_s is None else first_s
                        written += len(item.token_ids)
                    yield item
        finally:
            self._workload.end(self._node)

    async def _ended(
        self, request: Request, result: Result, seconds: float, first_s: float | None, written: int
    ) -> None:
        model = self._model or result.model
        if not model:
            return
        usage = result.usage
        sent = len(json.dumps(dict(request.input), ensure_ascii=False)) + len(request.resume_tokens)
        read = min(max(0, usage.prompt_tokens - usage.cached_tokens), sent + OWN_PROMPT_TOKENS)
        said = min(usage.completion_tokens, len(result.text) + UNSEEN_TOKENS)
        run = Run(seconds, read + len(request.resume_tokens), written or said, first_s, self._cold)
        await self._workload.learn(self._node, model, run, self._prefix)


def bytes_out(specialist: Specialist) -> int:
    """Return the bytes that left this device for a specialist so far; a local one sends none."""
    return int(getattr(specialist, "bytes_out", 0))


def money(specialist: Specialist) -> float | None:
    """Return what a specialist cost so far, in its owner's money; None where it costs nothing."""
    return float(getattr(specialist, "money", 0.0)) or None


def _nobody_listens() -> None:
    """A node without links tells nobody."""


def _vouched(result: Result, model: str) -> Result:
    """Return a result of another device as far as this one can vouch for it.

    A risk that the owner accepts is promised by what was calibrated here. And what a model was chosen for
    was not computed, whatever the other device says.
    """
    return replace(result, calibrated=False, model=result.model or model)
