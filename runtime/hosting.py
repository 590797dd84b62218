"""Runs what a paired device asks for, by this node's own specialists or its hub. Figures are kept of it, no content."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from models.errors import InputError, ModelsError, NotInstalled
from models.types import Authority, Chunk, Label, Request, Result, Specialist
from peers.book import Peer
from peers.errors import PeersError
from runtime.compile import compile_plan
from runtime.db import DatabaseThread
from runtime.events import NO_DIGEST, StepFinished, StepStarted, TaskCanceled, TaskCompleted, TaskFailed, TaskSubmitted
from runtime.journal import Journal
from runtime.plan import Given, Step, StepId, single
from runtime.recorder import Recorder
from runtime.registry import Entry, Registry
from runtime.stronger import Far
from runtime.task import TaskId
from runtime.trace.spans import STEP, TASK, Attribute, Span, random_id, usage_attributes
from runtime.workload import bytes_out, money

ONLY = StepId("s1")
Make = Callable[[TaskId], Specialist]
"""Makes who does the work of a task."""


class Hosting:
    """The door of one node for its peers' work. What it lets in is bounded by the request's own authority."""

    def __init__(
        self,
        registry: Registry,
        *,
        build: Callable[[Entry], Specialist],
        far: Callable[[], Far],
        journal: Journal,
        thread: DatabaseThread,
        node: str,
    ) -> None:
        self._registry = registry
        self._build = build
        self._far = far
        self._journal = journal
        self._thread = thread
        self._node = node
        self.running = 0
        """Requests at work now."""

    async def run(self, request: Request, peer: Peer) -> AsyncGenerator[Chunk | Result, None]:
        """Yield the answer to a request that the peers' gate let in. Raises ModelsError."""
        given = _from(request, peer)
        entry = self._entry(given)
        async with aclosing(self._kept(lambda task: self._build(entry), entry.spec.name, given, peer)) as items:
            async for item in items:
                yield item

    async def relay(self, request: Request, peer: Peer, hub: str) -> AsyncGenerator[Chunk | Result, None]:
        """Yield what one of this node's hubs answers to such a request. Raises ModelsError, PeersError."""
        given, far = _from(request, peer), self._far()

        def lent(task: TaskId) -> Specialist:
            return far.lent(hub, given, peer, task=task)

        async with aclosing(self._kept(lent, f"{given.capability}@{hub}", given, peer, hub)) as items:
            async for item in items:
                yield item

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

    async def _kept(
        self, make: Make, name: str, request: Request, peer: Peer, hub: str = ""
    ) -> AsyncGenerator[Chunk | Result, None]:
        """Do the work, count it, and keep its figures. `name`: who does it; `hub`: which hub that is, if one."""
        # A secret's rule for what is written down: digests and texts of others' work stay out of the journal.
        recorder = Recorder(self._journal, self._thread, TaskId(random_id(16)), Label.SECRET)
        self.running += 1
        try:
            with recorder.span(TASK, _described(recorder.task_id, request)) as span:
                async with aclosing(self._recorded(make, name, request, peer, hub, recorder, span)) as items:
                    async for item in items:
                        yield item
        finally:
            self.running -= 1
            await recorder.finish()

    async def _recorded(
        self, make: Make, name: str, request: Request, peer: Peer, hub: str, recorder: Recorder, task: Span
    ) -> AsyncGenerator[Chunk | Result, None]:
        await recorder.record(
            TaskSubmitted(
                NO_DIGEST, request.label, request.ceiling, request.capability, traceparent=request.traceparent
            ),
            StepStarted(ONLY, request.capability, name, NO_DIGEST, seed=request.seed),
        )
        try:
            with recorder.span(STEP, self._placed(name, request, peer, hub)) as span:
                specialist = make(recorder.task_id)
                try:
                    async with aclosing(specialist.run(request)) as items:
                        async for item in items:
                            if isinstance(item, Result):
                                await _finished(recorder, item, specialist, task, span)
                            yield item
                finally:
                    span.update({"covey.bytes_out": bytes_out(specialist) or None, "covey.money": money(specialist)})
        except (ModelsError, PeersError) as error:
            await recorder.record(TaskFailed(error.code))
            raise
        except BaseException:  # the asker left, or there is a defect here: either way it has an end in the journal
            await recorder.finish_cancelled(TaskCanceled())
            raise

    def _placed(self, name: str, request: Request, peer: Peer, hub: str) -> dict[str, Attribute | None]:
        return {
            "covey.step.id": ONLY,
            "covey.capability": request.capability,
            "covey.specialist": name,
            "covey.attempt": 1,
            "covey.node": hub or self._node,
            "covey.hub": bool(hub) or None,
            "covey.asker": peer.name,
            "covey.tier": request.ceiling.name.lower(),
            "covey.label": request.label.name.lower(),
            "covey.trust": request.trust.value,
            "covey.seed": request.seed,
        }


def _from(request: Request, peer: Peer) -> Request:
    """Return the request as that device's: who asks is who the link says, whatever the request says."""
    return request if request.asker == peer.node_id else replace(request, hops=(*request.hops, peer.node_id))


async def _finished(recorder: Recorder, result: Result, specialist: Specialist, task: Span, step: Span) -> None:
    refusal, sent = result.refusal.code.value if result.refusal else "", bytes_out(specialist)
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
            bytes_out=sent,
        ),
        TaskCompleted(
            NO_DIGEST, result.confidence, result.calibrated, result.abstained, bytes_out=sent, usage=result.usage
        ),
    )


def _described(task_id: TaskId, request: Request) -> dict[str, str]:
    return {"covey.task.id": task_id, "covey.label": request.label.name.lower()}


def _step(request: Request) -> Step:
    inputs = {name: Given(value, request.label, request.trust) for name, value in request.input.items()}
    return Step(ONLY, request.capability, inputs, request.label, request.trust, request.ceiling)
