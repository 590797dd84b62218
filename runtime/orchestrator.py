"""From what was asked to the answer: route, plan, run, and write all of it down.

It decides nothing itself: router, planner, compiler, scheduler and escalation do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path

from models.errors import ModelsError
from models.types import Refusal, RefusalCode, Result, Tier, Usage
from runtime.asking import Answer, Ask, StreamItem
from runtime.attempts import Escalation
from runtime.bounds import Bounds
from runtime.db import DatabaseThread
from runtime.errors import CoveyError, UsageError
from runtime.events import (
    NO_DIGEST,
    Planned,
    Routed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskRejected,
    TaskSubmitted,
)
from runtime.executor import Board, Executor
from runtime.journal import Journal, digest
from runtime.outlet import Emit
from runtime.plan import draw
from runtime.prepare import OWN_AUTHORITY, Prepared, Preparer
from runtime.recorder import Recorder
from runtime.router import THRESHOLDS, Routing
from runtime.surroundings import Surroundings
from runtime.task import Task, TaskEvent, TaskId, apply
from runtime.trace.spans import PLAN, ROUTE, TASK, Span, random_id

MAX_WAITING = 64
"""Chunks that may wait for a slow reader before the producer waits too."""


class Orchestrator:
    """Answers requests. One per node; any number of requests at once."""

    def __init__(
        self,
        preparer: Preparer,
        surroundings: Surroundings,
        *,
        journal: Journal,
        thread: DatabaseThread,
        node: str,
        stronger: Escalation | None = None,
        conversation: Callable[[str], Path | None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`node`: what this device is called in answers. `stronger`: who is tried after it. `conversation`: under
        which name models may keep what they hold of the conversation with this id. `clock` counts seconds."""
        self._conversation = conversation
        self._preparer = preparer
        self._surroundings = surroundings
        self._journal = journal
        self._thread = thread
        self._node = node
        self._stronger = stronger
        self._clock = clock

    async def stream(self, ask: Ask) -> AsyncGenerator[StreamItem, None]:
        """Yield chunks as they are made and the Answer at the end. Closing it early cancels the work.

        Raises CoveyError, ModelsError.
        """
        queue: asyncio.Queue[StreamItem | Exception] = asyncio.Queue(MAX_WAITING)
        # Not a task group: that would cancel the reader, who stands outside of this generator while it yields.
        work = asyncio.create_task(self._answer_into(ask, queue))
        try:
            while True:
                item = await queue.get()
                if isinstance(item, Exception):
                    raise item
                yield item
                if isinstance(item, Answer):
                    return
        finally:
            work.cancel()
            await asyncio.wait({work})

    async def _answer_into(self, ask: Ask, queue: asyncio.Queue[StreamItem | Exception]) -> None:
        try:
            await queue.put(await self._answer(ask, queue.put))
        except Exception as error:  # top of the task: the reader raises it in its own place
            await queue.put(error)

    async def _answer(self, ask: Ask, emit: Emit) -> Answer:
        """Run one task from its first journal entry to its last."""
        task = Task(TaskId(random_id(16)), ask.label, ask.ceiling)
        recorder = Recorder(self._journal, self._thread, task.id, ask.label)
        try:
            with recorder.span(TASK, {"covey.task.id": task.id, "covey.label": ask.label.name.lower()}) as span:
                return await self._task(ask, task, recorder, emit, span)
        except asyncio.CancelledError:
            await recorder.finish_cancelled(TaskCanceled("the caller left before the answer was ready"))
            raise
        finally:
            await recorder.finish()

    async def _task(self, ask: Ask, task: Task, recorder: Recorder, emit: Emit, span: Span) -> Answer:
        started = self._clock()
        await self._submitted(ask, recorder, span)
        try:
            routing = await self._routed(ask, recorder)
            answer = await self._worked(ask, task, routing, recorder, emit, started)
        except Exception as error:  # whatever it is: the journal says how the task ended, and the caller is told
            code = error.code if isinstance(error, CoveyError | ModelsError) else "internal"
            span.update({"covey.status": "failed", "covey.reason": str(error)})
            await recorder.record(TaskFailed(code, str(error)))
            raise
        _describe(span, answer)
        return answer

    async def _submitted(self, ask: Ask, recorder: Recorder, span: Span) -> None:
        span.set("covey.request", ask.text)
        request = await recorder.keep(ask.text)
        await recorder.record(TaskSubmitted(request, ask.label, ask.ceiling, ask.capability))

    async def _routed(self, ask: Ask, recorder: Recorder) -> Routing:
        with recorder.span(ROUTE) as span:
            routing = await self._preparer.route(ask, recorder=recorder)
            claim = routing.claim
            span.set("covey.reason", routing.reason)
            if claim is not None:
                span.update(
                    {"covey.stage": claim.stage, "covey.capability": claim.capability, "covey.score": claim.score}
                )
        await recorder.record(
            Routed(
                stage=claim.stage if claim else "",
                capability=(claim.capability if claim else None) or "",
                score=claim.score if claim else 0.0,
                threshold=THRESHOLDS[claim.stage] if claim else 1.0,
                scores={said.stage: said.score for said in routing.claims},
                reason=routing.reason,
            )
        )
        return routing

    async def _worked(
        self, ask: Ask, task: Task, routing: Routing, recorder: Recorder, emit: Emit, started: float
    ) -> Answer:
        if routing.claim is None or routing.claim.capability is None:
            return await self._ended(task, _nobody(routing), routing, recorder, started)
        try:
            prepared = await self._planned(ask, routing, recorder)
        except UsageError as error:
            if routing.claim.stage != "similar":
                raise
            # The likeness was misleading: the request does not hold what that capability needs.
            refusal = Refusal(RefusalCode.NOT_CAPABLE, str(error))
            return await self._ended(task, Result(refusal=refusal), routing, recorder, started)
        if prepared.problems:
            return await self._rejected(task, prepared, routing, recorder, started)
        task = apply(task, TaskEvent.STARTED)
        board = await self._executed(ask, prepared, recorder, emit)
        last = board.get(prepared.plan.output) or list(board.values())[-1]
        return await self._ended(task, last.result, routing, recorder, started, board=board, prepared=prepared)

    async def _planned(self, ask: Ask, routing: Routing, recorder: Recorder) -> Prepared:
        assert routing.claim is not None
        with recorder.span(PLAN) as span:
            prepared = await self._preparer.prepare(ask, routing.claim, "run")
            plan = prepared.plan
            recorder.raise_label(max(step.label for step in plan.steps))
            span.update(
                {
                    "covey.plan.term": draw(plan.term),
                    "covey.plan.steps": len(plan.steps),
                    "covey.capability": prepared.entry.capability,
                    "covey.specialist": prepared.entry.spec.name,
                    "covey.checks": tuple(name for step in plan.steps for name in step.checks) or None,
                    "covey.reason": "; ".join(prepared.problems) or "the plan compiler found nothing wrong",
                }
            )
        if not prepared.problems:
            planned = Planned(draw(plan.term), digest(repr(plan)), tuple(step.id for step in plan.steps))
            await recorder.record(planned)
        return prepared

    async def _executed(self, ask: Ask, prepared: Prepared, recorder: Recorder, emit: Emit) -> Board:
        executor = Executor(
            prepared.plan,
            {placement.step: placement for placement in prepared.placements},
            surroundings=self._surroundings,
            bounds=Bounds(
                OWN_AUTHORITY,
                ask.risk,
                ask.deadline_s,
                ask.seed,
                ask.ceiling,
                ask.program,
                self._conversation(ask.conversation_id),
            ),
            recorder=recorder,
            emit=emit,
            stronger=self._stronger,
        )
        return await executor.run()

    async def _rejected(
        self, task: Task, prepared: Prepared, routing: Routing, recorder: Recorder, started: float
    ) -> Answer:
        reason = "; ".join(prepared.problems)
        task = apply(task, TaskEvent.REFUSED, reason)
        await recorder.record(TaskRejected("plan_rejected", reason))
        refusal = Refusal(RefusalCode.NOT_CAPABLE, f"The plan was turned down before anything ran: {reason}.")
        return self._as_answer(task, Result(refusal=refusal), routing, started)

    async def _ended(
        self,
        task: Task,
        result: Result,
        routing: Routing,
        recorder: Recorder,
        started: float,
        *,
        board: Board | None = None,
        prepared: Prepared | None = None,
    ) -> Answer:
        outcomes = list((board or {}).values())
        tier = max((outcome.tier for outcome in outcomes), default=Tier.DEVICE)
        sent = sum(outcome.bytes_out for outcome in outcomes)
        usage = sum((outcome.result.usage for outcome in outcomes), Usage(energy_j=0.0) if outcomes else Usage())
        output = NO_DIGEST if result.abstained else await recorder.keep(result.text or result.output)
        await recorder.record(
            TaskCompleted(
                output=output,
                confidence=result.confidence,
                calibrated=result.calibrated,
                abstained=result.abstained,
                tier=tier,
                bytes_out=sent,
                usage=usage,
            )
        )
        answer = self._as_answer(apply(task, TaskEvent.FINISHED), result, routing, started)
        return replace(
            answer,
            tier=tier,
            node=next((outcome.node for outcome in outcomes if outcome.result is result), self._node),
            bytes_out=sent,
            verdicts=tuple(verdict for outcome in outcomes for verdict in outcome.verdicts),
            specialists=tuple(dict.fromkeys(o.result.specialist for o in outcomes if o.result.specialist)),
            notes=(
                *(prepared.notes if prepared else ()),
                *(note for outcome in outcomes for note in outcome.notes),
                *result.notes,
            ),
        )

    def _as_answer(self, task: Task, result: Result, routing: Routing, started: float) -> Answer:
        return Answer(
            task_id=task.id,
            status=task.status,
            result=result,
            routing=routing,
            verdicts=(),
            tier=Tier.DEVICE,
            node=self._node,
            specialists=(),
            seconds=self._clock() - started,
        )


def _nobody(routing: Routing) -> Result:
    """Return the answer of a node on which no stage is sure who should do it, or one is sure that nobody can."""
    if routing.claim is not None and routing.claim.near:
        reason = (
            "This seems to ask for something that is not on this device, or that nothing here can do "
            f"(it is like {routing.claim.near[0]!r}). Give a file that says it, or say it in other words; "
            "`--as generate` writes an answer freely."
        )
        return Result(refusal=Refusal(RefusalCode.NOT_CAPABLE, reason))
    said = routing.claim or next((claim for claim in routing.claims if claim.stage == "similar"), None)
    why = said.reason if said else "no rule fits it"
    reason = (
        f"No specialist here is clearly the one for this ({why}). "
        "Say it in other words, or name who should try: `--as generate` writes an answer freely."
    )
    return Result(refusal=Refusal(RefusalCode.NOT_CAPABLE, reason))


def _describe(span: Span, answer: Answer) -> None:
    result = answer.result
    refused = result.refusal
    span.update(
        {
            "covey.status": answer.status.value,
            "covey.answer": result.text or (refused.found if refused else None) or None,
            "covey.reason": refused.reason if refused else None,
            "covey.refusal": refused.code.value if refused else None,
            "covey.confidence": result.confidence,
            "covey.calibrated": result.calibrated,
            "covey.abstained": result.abstained,
            "covey.tier": answer.tier.name.lower(),
            "covey.bytes_out": answer.bytes_out,
        }
    )
