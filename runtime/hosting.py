"""Runs what a paired device asks for, through this node's own specialists. Figures are kept of it, no content."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from models.errors import InputError, ModelsError, NotInstalled
from models.types import Authority, Chunk, Label, Request, Result, Specialist
from peers.book import Peer
from runtime.compile import compile_plan
from runtime.db import DatabaseThread
from runtime.events import NO_DIGEST, StepFinished, StepStarted, TaskCanceled, TaskCompleted, TaskFailed, TaskSubmitted
from runtime.journal import Journal
from runtime.plan import Given, Step, StepId, single
from runtime.recorder import Recorder
from runtime.registry import Entry, Registry
from runtime.task import TaskId
from runtime.trace.spans import STEP, TASK, Span, random_id, usage_attributes

ONLY = StepId("s1")


class Hosting:
    """The door of one node for its peers' work. What it lets in is bounded by the request's own authority."""

    def __init__(
        self,
        registry: Registry,
        *,
        build: Callable[[Entry], Specialist],
        journal: Journal,
        thread: DatabaseThread,
        node: str,
    ) -> None:
        self._registry = registry
        self._build = build
        self._journal = journal
        self._thread = thread
        self._node = node
        self.running = 0
        """Requests at work now."""

    async def run(self, request: Request, peer: Peer) -> AsyncGenerator[Chunk | Result, None]:
        """Yield the answer to a request that the peers' gate let in. Raises ModelsError."""
        if request.asker != peer.node_id:  # who asks is who the link says, whatever the request says
            request = replace(request, hops=(*request.hops, peer.node_id))
        entry = self._entry(request)
        # A secret's rule for what is written down: digests and texts of others' work stay out of the journal.
        recorder = Recorder(self._journal, self._thread, TaskId(random_id(16)), Label.SECRET)
        self.running += 1
        try:
            with recorder.span(TASK, _described(recorder.task_id, request)) as span:
                async with aclosing(self._recorded(entry, request, peer, recorder, span)) as items:
                    async for item in items:
                        yield item
        finally:
            self.running -= 1
            await recorder.finish()

    def _entry(self, request: Request) -> Entry:
        """Return who does it. Raises NotInstalled, InputError."""
        entry = self._registry.serving(request.capability)
        if entry is None:
            raise NotInstalled(f"No specialist here offers {request.capability!r}. Ask another device for it.")
        problems = compile_plan(
            single(_step(request)),
            offers=self._registry.offers(request.capability),
            grant=Authority(frozenset({request.capability})).narrow(request.authority),
        )
        if problems:
            raise InputError(f"This can't be done here for another device: {problems[0]}. Ask for it differently.")
        return entry

    async def _recorded(
        self, entry: Entry, request: Request, peer: Peer, recorder: Recorder, task: Span
    ) -> AsyncGenerator[Chunk | Result, None]:
        await recorder.record(
            TaskSubmitted(
                NO_DIGEST, request.label, request.ceiling, request.capability, traceparent=request.traceparent
            ),
            StepStarted(ONLY, request.capability, entry.spec.name, NO_DIGEST, seed=request.seed),
        )
        try:
            with recorder.span(STEP, self._placed(entry, request, peer)) as span:
                async with aclosing(self._build(entry).run(request)) as items:
                    async for item in items:
                        if isinstance(item, Result):
                            await _finished(recorder, item, task, span)
                        yield item
        except ModelsError as error:
            await recorder.record(TaskFailed(error.code))
            raise
        except BaseException:  # the asker left, or there is a defect here: either way it has an end in the journal
            await recorder.finish_cancelled(TaskCanceled())
            raise

    def _placed(self, entry: Entry, request: Request, peer: Peer) -> dict[str, str | int]:
        return {
            "covey.step.id": ONLY,
            "covey.capability": request.capability,
            "covey.specialist": entry.spec.name,
            "covey.attempt": 1,
            "covey.node": self._node,
            "covey.asker": peer.name,
            "covey.tier": request.ceiling.name.lower(),
            "covey.label": request.label.name.lower(),
            "covey.trust": request.trust.value,
            "covey.seed": request.seed,
        }


async def _finished(recorder: Recorder, result: Result, task: Span, step: Span) -> None:
    refusal = result.refusal.code.value if result.refusal else ""
    figures = {
        "covey.confidence": result.confidence,
        "covey.calibrated": result.calibrated,
        "covey.abstained": result.abstained,
        "covey.refusal": refusal or None,
    }
    task.update({"covey.status": "completed", **figures})
    step.update({"gen_ai.request.model": result.model or None, **figures, **usage_attributes(result.usage)})
    await recorder.record(
        StepFinished(
            ONLY,
            NO_DIGEST,
            refusal=refusal,
            model=result.model,
            artifacts=result.artifacts,
            confidence=result.confidence,
            calibrated=result.calibrated,
            usage=result.usage,
        ),
        TaskCompleted(NO_DIGEST, result.confidence, result.calibrated, result.abstained, usage=result.usage),
    )


def _described(task_id: TaskId, request: Request) -> dict[str, str]:
    return {"covey.task.id": task_id, "covey.label": request.label.name.lower()}


def _step(request: Request) -> Step:
    inputs = {name: Given(value, request.label, request.trust) for name, value in request.input.items()}
    return Step(ONLY, request.capability, inputs, request.label, request.trust, request.ceiling)
