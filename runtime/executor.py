"""Runs a placed plan: steps in the order of its term, under deadlines, with checks and one retry.

It acts and records; what to do with a result is decided in `runtime/escalation.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, assert_never

from models.errors import ContextOverflow, DeadlineExceeded, InputError, ModelsError
from models.types import (
    Authority,
    Chunk,
    Digest,
    Json,
    Label,
    Refusal,
    RefusalCode,
    Request,
    Result,
    Specialist,
    Tier,
)
from runtime.asking import Restarted
from runtime.checks import Subject, Verdict, holds_back, run_checks
from runtime.course import Course, StepOutcome
from runtime.escalation import Accept, NotSure, Retry, decide
from runtime.events import NO_DIGEST, StepFailed, StepFinished, StepStarted
from runtime.marking import Height, Ladder, Mark, Rung
from runtime.outlet import Emit, Outlet
from runtime.plan import FromStep, Given, Par, Plan, Run, Seq, Step, StepId, Term
from runtime.recorder import Recorder
from runtime.recovery import Next, after_loss, nobody_left, what_failed
from runtime.scheduler import Placement, Unplaceable
from runtime.stronger import Rejected, Tried
from runtime.task import TaskId
from runtime.trace.spans import CHECK, STEP, Span, signal_attributes, usage_attributes
from runtime.trace.step import described, reason_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What holds for every step of a task."""

    authority: Authority
    risk: float | None = None
    """Share of unnoticed errors (0..1) that is accepted."""
    deadline_s: float | None = None
    """For the whole plan."""
    seed: int = 0
    ceiling: Tier = Tier.HOME
    """Furthest tier that the asker allows; a label may hold a step back before it."""
    program: bool = False
    """A program on this device asks."""
    conversation: Path | None = None
    """Folder and id of the conversation that the task is a turn of."""


Board = Mapping[StepId, StepOutcome]
"""The outcomes so far: the only thing that steps share."""


class Places(Protocol):
    """Where steps can be done, and who does them there."""

    def specialist(self, placement: Placement, step: Step) -> Specialist: ...

    async def place_again(self, step: Step, *, tried: frozenset[str], artifacts: tuple[Digest, ...]) -> Placement:
        """Return another place for a step that was lost. Raises Unplaceable."""
        ...

    def failed(self, placement: Placement, error: ModelsError) -> None:
        """Take note that a device could not do what it was given."""
        ...


class Escalation(Protocol):
    """Who stronger may be tried after a step was not sure, or looks hard."""

    async def look(self, tried: Tried, *, ceiling: Tier, task: TaskId) -> tuple[Mark | None, Ladder]: ...

    def placement(self, step: Step, rung: Rung, why: str) -> Placement: ...

    def specialist(
        self, rung: Rung, step: Step, *, task: TaskId, why: str, rejected: Rejected | None
    ) -> Specialist: ...


class Executor:
    """Runs the plan of one task."""

    def __init__(
        self,
        plan: Plan,
        placements: Mapping[StepId, Placement],
        *,
        surroundings: Places,
        bounds: Bounds,
        recorder: Recorder,
        emit: Emit,
        stronger: Escalation | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`surroundings`: where steps can be done, and who does them there. `stronger`: who is tried after that."""
        self._plan = plan
        self._placements = placements
        self._surroundings = surroundings
        self._bounds = bounds
        self._recorder = recorder
        self._emit = emit
        self._stronger = stronger
        self._clock = clock
        self._ends_s: float | None = None
        self._board: dict[StepId, StepOutcome] = {}
        self._rejected: dict[StepId, int] = {}
        """Attempts that a check turned down: each moves the seed, or the model would only repeat itself."""

    async def run(self) -> Board:
        """Run the whole plan and return the outcome of every step that ran.

        A step that is not sure ends its sequence. Raises ModelsError, JournalError.
        """
        if self._bounds.deadline_s is not None:
            self._ends_s = self._clock() + self._bounds.deadline_s
        async with _deadline(self._bounds.deadline_s):
            await self._run_term(self._plan.term)
        return self._board

    async def _run_term(self, term: Term) -> bool:
        """Return whether every step of the term has an answer."""
        match term:
            case Run():
                return await self._run_step(self._plan.step(term.step))
            case Seq():
                async with _deadline(term.budget.seconds):
                    for part in term.terms:
                        if not await self._run_term(part):
                            return False
                return True
            case Par():
                async with _deadline(term.budget.seconds), _first_error(), asyncio.TaskGroup() as group:
                    parts = [group.create_task(self._run_term(part)) for part in term.terms]
                return all(part.result() for part in parts)
            case _:
                assert_never(term)

    async def _run_step(self, step: Step) -> bool:
        silent = self._plan.output != step.id
        outlet = Outlet(_nowhere if silent else self._emit, held=holds_back(step.checks))
        course = Course(self._placements[step.id], outlet)
        while True:
            outcome = await self._attempt(step, course)
            if outcome is not None:
                self._board[step.id] = outcome
                return not outcome.result.abstained

    async def _attempt(self, step: Step, course: Course) -> StepOutcome | None:
        """Run a step once. None: it is to be run again, here or elsewhere.

        After a loss the same draws continue behind what was sent; after a failed check all is new.
        """
        course.attempt += 1
        placement, sent = course.placement, course.sent
        specialist = self._specialist(step, course)
        seed = self._bounds.seed + self._rejected.get(step.id, 0)
        if not sent.token_ids:
            course.writer = placement.artifacts
        request = replace(self._request(step, seed), resume_tokens=sent.token_ids, resume_artifacts=course.writer)
        with self._recorder.span(STEP, described(step, placement, specialist, course.attempt, seed)) as span:
            await self._started(step, placement, specialist, course.attempt, request)
            try:
                result = await self._drive(specialist, request, step, sent)
            except ModelsError as error:
                course.spend(specialist, span)
                await self._failed(step, span, error)
                return await self._after_error(step, course, error, span)
            course.spend(specialist, span)
            verdicts = self._check(step, result)
            decision = decide(
                result,
                verdicts,
                floor=0.0 if _is_hub(course.rung) else step.floor,
                risk=self._bounds.risk,
                retries_left=0 if course.rung else course.retries_left,
            )
            await self._finished(step, span, result, verdicts, seed, course)
            span.set("covey.reason", reason_of(decision))
            match decision:
                case Accept():
                    return await self._settled(step, course, course.outcome(result, verdicts), decision.reason, span)
                case Retry():
                    course.retries_left -= 1
                    self._rejected[step.id] = self._rejected.get(step.id, 0) + 1
                    await sent.restart(decision.reason)
                    return None
                case NotSure():
                    span.update({"covey.abstained": True, "covey.refusal": decision.refusal.code.value})
                    course.rejected = _rejected(result, verdicts)
                    outcome = course.outcome(_refused(result, decision.refusal), verdicts)
                    return await self._settled(step, course, outcome, decision.refusal.reason, span)
                case _:
                    assert_never(decision)

    def _specialist(self, step: Step, course: Course) -> Specialist:
        if course.rung is None or self._stronger is None:
            return self._surroundings.specialist(course.placement, step)
        return self._stronger.specialist(
            course.rung, step, task=self._recorder.task_id, why=course.why, rejected=course.rejected
        )

    async def _settled(
        self, step: Step, course: Course, outcome: StepOutcome, reason: str, span: Span
    ) -> StepOutcome | None:
        """Keep what a try came to. None: the step is marked, and somebody stronger tries it now."""
        accepted = not outcome.result.abstained
        if course.rung is None:
            course.first = outcome
            await self._mark(step, course, outcome.result, reason, span)
        elif accepted:
            await course.sent.release()
            return replace(outcome, result=_noted(outcome.result, course.notes))
        else:
            course.notes += (f"{course.rung.name} was not sure either: {reason}",)
        if accepted and not course.waiting:
            await course.sent.release()
        return await self._next(step, course)

    async def _mark(self, step: Step, course: Course, result: Result, reason: str, span: Span) -> None:
        """Decide whether the step needs deeper reasoning, and who is tried for it."""
        if self._stronger is None:
            return
        tried = Tried(step, result, not result.abstained, reason, course.tried | {course.placement.id})
        marked, found = await self._stronger.look(tried, ceiling=self._bounds.ceiling, task=self._recorder.task_id)
        if marked is None:
            return
        course.why, course.waiting = marked.reason, found.rungs
        span.update(
            {
                "covey.marked": marked.hard,
                "covey.mark": marked.reason,
                "covey.ladder": tuple(rung.name for rung in found.rungs) or None,
                "covey.left_out": found.left_out or None,
            }
        )

    async def _next(self, step: Step, course: Course) -> StepOutcome | None:
        """Let the next one try, or return what the devices came to. Raises ModelsError where they came to nothing."""
        if course.waiting and self._stronger is not None:
            course.rung, *rest = course.waiting
            course.waiting = tuple(rest)
            course.placement = self._stronger.placement(step, course.rung, course.why)
            await course.sent.restart(f"{course.why}; {course.rung.name} is asked")
            return None
        match course.first:
            case StepOutcome() as first:
                result = _noted(first.result, course.notes)
                return replace(
                    first, result=result, attempts=course.attempt, bytes_out=course.bytes_out, tier=course.tier
                )
            case ModelsError() as error:
                raise error
            case None:
                raise AssertionError("a step ends with an outcome or an error")

    async def _after_error(self, step: Step, course: Course, error: ModelsError, span: Span) -> StepOutcome | None:
        """Go on after a try that failed: elsewhere, with somebody stronger, or with what there was before."""
        if course.rung is not None:
            course.notes += (str(error),)
            return await self._next(step, course)
        try:
            await self._lost(step, course, error)
        except ModelsError as lost:
            course.first = lost
            refusal = Refusal(RefusalCode.MODEL_MISSING, str(lost))
            await self._mark(step, course, Result(refusal=refusal), str(lost), span)
            return await self._next(step, course)
        return None

    async def _lost(self, step: Step, course: Course, error: ModelsError) -> None:
        """Choose where the step runs next, or raise the error."""
        placement = course.placement
        self._surroundings.failed(placement, error)
        match after_loss(
            error,
            elsewhere=bool(placement.id),
            resumed=bool(course.sent.token_ids),
            retries_left=course.retries_left,
        ):
            case Next.AGAIN:
                course.retries_left -= 1
                await course.sent.interrupt(str(error))
            case Next.ANEW:
                await course.sent.restart(str(error))
            case Next.ELSEWHERE:
                await self._move(step, course, error)
            case Next.GIVE_UP:
                raise error

    async def _move(self, step: Step, course: Course, error: ModelsError) -> None:
        """Give the step to another device: behind what was sent where the model is the same, else from the start."""
        course.tried |= {course.placement.id}
        course.lost += (course.placement.node,)
        await course.sent.interrupt(str(error))
        said = len(course.sent.token_ids)
        after = f"{course.placement.node} " + (f"was lost after {said} tokens" if said else what_failed(error))
        again = partial(self._surroundings.place_again, step, tried=course.tried)
        try:
            if said and course.writer:
                course.go(await again(artifacts=course.writer), after, "went on with it")
                return
        except Unplaceable:
            logger.info("no other device has the same model; the step begins again")
        try:
            course.go(await again(artifacts=()), after, "began again" if said else "did it instead")
        except Unplaceable:
            if not course.placement.id or course.repeated:
                raise nobody_left(error, course.lost) from error
            course.repeated = True  # nobody else can: the connection may have been lost, and not the device
            return
        await course.sent.restart(f"{after}, and what goes on with it has another model: {error}")

    def _request(self, step: Step, seed: int) -> Request:
        return Request(
            capability=step.capability,
            input={name: self._value(source) for name, source in step.inputs.items()},
            label=step.label,
            trust=step.trust,
            authority=self._bounds.authority,
            ceiling=step.ceiling,
            budget_tokens=step.budget.tokens,
            deadline_s=self._left(step),
            seed=seed,
            program=self._bounds.program,
            conversation=self._bounds.conversation if step.label < Label.SECRET else None,
            idempotency_key=f"{self._recorder.task_id}:{step.id}:{seed}",
        )

    def _value(self, source: Given | FromStep) -> Json:
        if isinstance(source, Given):
            return source.value
        output = self._board[source.step].result.output
        if not source.field:
            return output
        if not isinstance(output, dict) or source.field not in output:
            raise InputError(f"Step {source.step} gave no {source.field!r}, which a later step needs; ask differently.")
        return output[source.field]

    def _left(self, step: Step) -> float | None:
        """Return the seconds that a step may take: its own bound, or what is left of the task's."""
        bounds = [step.budget.seconds] if step.budget.seconds is not None else []
        if self._ends_s is not None:
            bounds.append(max(0.0, self._ends_s - self._clock()))
        return min(bounds, default=None)

    def _own_deadline(self, step: Step) -> float | None:
        """Return a step's own bound where it is tighter than the task's, which is watched already."""
        own, whole = step.budget.seconds, self._bounds.deadline_s
        return own if own is not None and (whole is None or own < whole) else None

    async def _drive(self, specialist: Specialist, request: Request, step: Step, sent: Outlet) -> Result:
        """Run the specialist to its end; leaving early closes its stream, which frees what it holds."""
        given = replace(request, traceparent=self._recorder.tracer.traceparent())
        result: Result | None = None
        try:
            async with _deadline(self._own_deadline(step)), _closing(specialist.run(given)) as stream:
                async for item in stream:
                    if isinstance(item, Result):
                        result = item
                    else:
                        await sent.send(item)
        except (InputError, ContextOverflow) as error:  # the request's fault and no failure of ours: an answer
            code = RefusalCode.TOO_LONG if isinstance(error, ContextOverflow) else RefusalCode.INVALID_INPUT
            return Result(refusal=Refusal(code, str(error)), specialist=specialist.name)
        assert result is not None, f"the stream of {specialist.name} ended without a Result"
        return result

    def _check(self, step: Step, result: Result) -> tuple[Verdict, ...]:
        subject = Subject({name: self._value(source) for name, source in step.inputs.items()}, result, step.schema)
        verdicts = run_checks(step.checks, subject)
        for verdict in verdicts:
            with self._recorder.span(CHECK) as span:
                span.update(
                    {"covey.check": verdict.check, "covey.verdict": verdict.outcome, "covey.reason": verdict.reason}
                )
        return verdicts

    async def _started(
        self, step: Step, placement: Placement, specialist: Specialist, attempt: int, request: Request
    ) -> None:
        digest = await self._recorder.keep(dict(request.input))
        await self._recorder.record(
            StepStarted(
                step=step.id,
                capability=step.capability,
                specialist=specialist.name,
                input=digest,
                attempt=attempt,
                seed=request.seed,
                tier=placement.tier,
                node=placement.node,
            )
        )

    async def _failed(self, step: Step, span: Span, error: ModelsError) -> None:
        span.fail(error.code)
        span.set("covey.reason", str(error))
        await self._recorder.record(StepFailed(step.id, error.code, str(error)))

    async def _finished(
        self, step: Step, span: Span, result: Result, verdicts: tuple[Verdict, ...], seed: int, course: Course
    ) -> None:
        span.update(
            {
                "gen_ai.request.model": result.model or None,
                "covey.confidence": result.confidence,
                "covey.calibrated": result.calibrated,
                "covey.abstained": result.abstained,
                "covey.artifacts": result.artifacts or None,
                **usage_attributes(result.usage),
                **signal_attributes(result.signals),
            }
        )
        output = NO_DIGEST if result.abstained else await self._recorder.keep(result.output)
        await self._recorder.record(
            StepFinished(
                step=step.id,
                output=output,
                refusal=result.refusal.code.value if result.refusal else "",
                reason=result.refusal.reason if result.refusal else "",
                model=result.model,
                artifacts=result.artifacts,
                seed=seed,
                signals=result.signals,
                thresholds={"floor": step.floor},
                verdicts={verdict.check: verdict.passed for verdict in verdicts},
                confidence=result.confidence,
                calibrated=result.calibrated,
                usage=result.usage,
                tier=course.tier,
                bytes_out=course.bytes_out,
            )
        )


def _noted(result: Result, notes: tuple[str, ...]) -> Result:
    return replace(result, notes=(*result.notes, *notes)) if notes else result


def _rejected(result: Result, verdicts: tuple[Verdict, ...]) -> Rejected | None:
    """Return the answer that a check turned down, for who may put it right."""
    failed = next((verdict for verdict in verdicts if not verdict.passed), None)
    if failed is None or not result.text:
        return None
    return Rejected(result.text, f"the check {failed.check} failed: {failed.reason}")


def _is_hub(rung: Rung | None) -> bool:
    """Return whether a hub has the step: its confidence is no measurement, so the floors of models don't fit it."""
    return rung is not None and rung.height is not Height.PEER


async def _nowhere(item: Chunk | Restarted) -> None:
    """Only the answer's own step is streamed."""


@asynccontextmanager
async def _deadline(seconds: float | None) -> AsyncIterator[None]:
    """Cancel what runs inside after so many seconds. Raises DeadlineExceeded."""
    bound = asyncio.timeout(seconds)
    try:
        async with bound:
            yield
    except TimeoutError as error:
        if not bound.expired():
            raise
        raise DeadlineExceeded(
            f"The answer took longer than the {seconds:g} s it had; allow more time or ask for less."
        ) from error


@asynccontextmanager
async def _first_error() -> AsyncIterator[None]:
    """Raise the error that ended a task group, as itself: the others were cancelled for its sake."""
    try:
        yield
    except ExceptionGroup as group:
        error: Exception = group
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from group


@asynccontextmanager
async def _closing(stream: AsyncIterator[Chunk | Result]) -> AsyncIterator[AsyncIterator[Chunk | Result]]:
    """Close a specialist's stream when leaving it, so that what it holds is free at once."""
    try:
        yield stream
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


def _refused(result: Result, refusal: Refusal) -> Result:
    """Return the result as a refusal: what was found stays in it, as no answer."""
    return replace(result, output=None, text="", refusal=refusal)
