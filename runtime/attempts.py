"""Carries one step to its outcome: once more after a loss or a failed check, elsewhere, then with somebody stronger.

It acts and records; what to do with a result is decided in `runtime/escalation.py`, what to do after a loss in
`runtime/recovery.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, assert_never

from models.errors import ContextOverflow, InputError, ModelsError
from models.types import Digest, Json, Label, Refusal, RefusalCode, Request, Result, Specialist, Tier
from runtime import step_record
from runtime.bounds import Bounds, deadline
from runtime.checks import Subject, Verdict, run_checks
from runtime.course import Course, StepOutcome
from runtime.escalation import Accept, NotSure, Retry, decide
from runtime.marking import Height, Ladder, Mark, Rung
from runtime.plan import Step
from runtime.recorder import Recorder
from runtime.recovery import Next, after_loss, nobody_left, what_failed
from runtime.scheduler import Placement, Unplaceable
from runtime.stronger import Rejected, Tried
from runtime.task import TaskId
from runtime.trace.spans import STEP, Span
from runtime.trace.step import described, reason_of

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class Means:
    """What every step of a task is done with."""

    bounds: Bounds
    recorder: Recorder
    places: Places
    stronger: Escalation | None = None
    """Who is tried after the devices."""


class Attempts:
    """The attempts at one step, from the first to its outcome."""

    def __init__(
        self,
        step: Step,
        inputs: Mapping[str, Json],
        course: Course,
        *,
        means: Means,
        left_s: Callable[[], float | None],
    ) -> None:
        """`left_s` returns the seconds that the step may take from now on; None: as long as it likes."""
        self._step = step
        self._inputs = inputs
        self._course = course
        self._bounds = means.bounds
        self._recorder = means.recorder
        self._places = means.places
        self._stronger = means.stronger
        self._left_s = left_s

    async def run(self) -> StepOutcome:
        """Try until there is an outcome. Raises ModelsError, JournalError."""
        while True:
            outcome = await self._attempt()
            if outcome is not None:
                return outcome

    async def _attempt(self) -> StepOutcome | None:
        """Run the step once. None: it is to be run again, here or elsewhere.

        After a loss the same draws continue behind what was sent; after a failed check all is new.
        """
        step, course = self._step, self._course
        course.attempt += 1
        sent = course.sent
        specialist = self._specialist()
        seed = self._bounds.seed + course.turned_down
        if not sent.token_ids:
            course.writer = course.placement.artifacts
        request = replace(self._request(seed), resume_tokens=sent.token_ids, resume_artifacts=course.writer)
        about = described(step, course.placement, specialist, course.attempt, seed)
        with self._recorder.span(STEP, about) as span:
            await step_record.started(self._recorder, step, course, specialist, request)
            try:
                result = await self._drive(specialist, request)
            except ModelsError as error:
                course.spend(specialist, span)
                await step_record.failed(self._recorder, step, span, error)
                return await self._after_error(error, span)
            course.spend(specialist, span)
            verdicts = run_checks(step.checks, Subject(dict(self._inputs), result, step.schema))
            step_record.checked(self._recorder, verdicts)
            decision = decide(
                result,
                verdicts,
                floor=0.0 if _is_hub(course.rung) else step.floor,
                risk=self._bounds.risk,
                retries_left=0 if course.rung else course.retries_left,
            )
            await step_record.finished(self._recorder, step, course, span, result, verdicts, seed=seed)
            span.set("covey.reason", reason_of(decision))
            match decision:
                case Accept():
                    return await self._settled(course.outcome(result, verdicts), decision.reason, span)
                case Retry():
                    course.retries_left -= 1
                    course.turned_down += 1
                    await sent.restart(decision.reason)
                    return None
                case NotSure():
                    span.update({"covey.abstained": True, "covey.refusal": decision.refusal.code.value})
                    course.rejected = _rejected(result, verdicts)
                    outcome = course.outcome(_refused(result, decision.refusal), verdicts)
                    return await self._settled(outcome, decision.refusal.reason, span)
                case _:
                    assert_never(decision)

    def _specialist(self) -> Specialist:
        course = self._course
        if course.rung is None or self._stronger is None:
            return self._places.specialist(course.placement, self._step)
        return self._stronger.specialist(
            course.rung, self._step, task=self._recorder.task_id, why=course.why, rejected=course.rejected
        )

    def _request(self, seed: int) -> Request:
        step = self._step
        return Request(
            capability=step.capability,
            input=dict(self._inputs),
            label=step.label,
            trust=step.trust,
            authority=self._bounds.authority,
            ceiling=step.ceiling,
            budget_tokens=step.budget.tokens,
            deadline_s=self._left_s(),
            seed=seed,
            program=self._bounds.program,
            conversation=self._bounds.conversation if step.label < Label.SECRET else None,
            idempotency_key=f"{self._recorder.task_id}:{step.id}:{seed}",
        )

    async def _drive(self, specialist: Specialist, request: Request) -> Result:
        """Run the specialist to its end; leaving early closes its stream, which frees what it holds."""
        given = replace(request, traceparent=self._recorder.tracer.traceparent())
        result: Result | None = None
        try:
            async with deadline(self._own_deadline_s()), aclosing(specialist.run(given)) as stream:
                async for item in stream:
                    if isinstance(item, Result):
                        result = item
                    else:
                        await self._course.sent.send(item)
        except (InputError, ContextOverflow) as error:  # the request's fault and no failure of ours: an answer
            code = RefusalCode.TOO_LONG if isinstance(error, ContextOverflow) else RefusalCode.INVALID_INPUT
            return Result(refusal=Refusal(code, str(error)), specialist=specialist.name)
        assert result is not None, f"the stream of {specialist.name} ended without a Result"
        return result

    def _own_deadline_s(self) -> float | None:
        """Return the step's own bound where it is tighter than the task's, which is watched already."""
        own, whole = self._step.budget.seconds, self._bounds.deadline_s
        return own if own is not None and (whole is None or own < whole) else None

    async def _settled(self, outcome: StepOutcome, reason: str, span: Span) -> StepOutcome | None:
        """Keep what a try came to. None: the step is marked, and somebody stronger tries it now."""
        course, accepted = self._course, not outcome.result.abstained
        if course.rung is None:
            course.first = outcome
            await self._mark(outcome.result, reason, span)
        elif accepted:
            await course.sent.release()
            return replace(outcome, result=_noted(outcome.result, course.notes))
        else:
            course.notes += (f"{course.rung.name} was not sure either: {reason}",)
        if accepted and not course.waiting:
            await course.sent.release()
        return await self._next()

    async def _mark(self, result: Result, reason: str, span: Span) -> None:
        """Decide whether the step needs deeper reasoning, and who is tried for it."""
        if self._stronger is None:
            return
        course = self._course
        tried = Tried(self._step, result, not result.abstained, reason, course.tried | {course.placement.id})
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

    async def _next(self) -> StepOutcome | None:
        """Let the next one try, or return what the devices came to. Raises ModelsError where they came to nothing."""
        course = self._course
        if course.waiting and self._stronger is not None:
            course.rung, *rest = course.waiting
            course.waiting = tuple(rest)
            course.placement = self._stronger.placement(self._step, course.rung, course.why)
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

    async def _after_error(self, error: ModelsError, span: Span) -> StepOutcome | None:
        """Go on after a try that failed: elsewhere, with somebody stronger, or with what there was before."""
        course = self._course
        if course.rung is not None:
            course.notes += (str(error),)
            return await self._next()
        try:
            await self._lost(error)
        except ModelsError as lost:
            course.first = lost
            refusal = Refusal(RefusalCode.MODEL_MISSING, str(lost))
            await self._mark(Result(refusal=refusal), str(lost), span)
            return await self._next()
        return None

    async def _lost(self, error: ModelsError) -> None:
        """Choose where the step runs next, or raise the error."""
        course = self._course
        self._places.failed(course.placement, error)
        match after_loss(
            error,
            elsewhere=bool(course.placement.id),
            resumed=bool(course.sent.token_ids),
            retries_left=course.retries_left,
        ):
            case Next.AGAIN:
                course.retries_left -= 1
                await course.sent.interrupt(str(error))
            case Next.ANEW:
                await course.sent.restart(str(error))
            case Next.ELSEWHERE:
                await self._move(error)
            case Next.GIVE_UP:
                raise error

    async def _move(self, error: ModelsError) -> None:
        """Give the step to another device: behind what was sent where the model is the same, else from the start."""
        course = self._course
        course.tried |= {course.placement.id}
        course.lost += (course.placement.node,)
        await course.sent.interrupt(str(error))
        said = len(course.sent.token_ids)
        after = f"{course.placement.node} " + (f"was lost after {said} tokens" if said else what_failed(error))
        again = partial(self._places.place_again, self._step, tried=course.tried)
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


def _noted(result: Result, notes: tuple[str, ...]) -> Result:
    return replace(result, notes=(*result.notes, *notes)) if notes else result


def _rejected(result: Result, verdicts: tuple[Verdict, ...]) -> Rejected | None:
    """Return the answer that a check turned down, for who may put it right."""
    failed = next((verdict for verdict in verdicts if not verdict.passed), None)
    if failed is None or not result.text:
        return None
    return Rejected(result.text, f"the check {failed.check} failed: {failed.reason}")


def _refused(result: Result, refusal: Refusal) -> Result:
    """Return the result as a refusal: what was found stays in it, as no answer."""
    return replace(result, output=None, text="", refusal=refusal)


def _is_hub(rung: Rung | None) -> bool:
    """Return whether a hub has the step: its confidence is no measurement, so the floors of models don't fit it."""
    return rung is not None and rung.height is not Height.PEER
