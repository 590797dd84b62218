"""Writes one attempt at a step down: its events into the journal, its figures into its span."""

from __future__ import annotations

from models.errors import ModelsError
from models.types import Request, Result, Specialist
from runtime.checks import Verdict
from runtime.course import Course
from runtime.events import NO_DIGEST, StepFailed, StepFinished, StepStarted
from runtime.plan import Step
from runtime.recorder import Recorder
from runtime.trace.spans import CHECK, Span, signal_attributes, usage_attributes


async def started(recorder: Recorder, step: Step, course: Course, specialist: Specialist, request: Request) -> None:
    digest = await recorder.keep(dict(request.input))
    await recorder.record(
        StepStarted(
            step=step.id,
            capability=step.capability,
            specialist=specialist.name,
            input=digest,
            attempt=course.attempt,
            seed=request.seed,
            tier=course.placement.tier,
            node=course.placement.node,
        )
    )


async def failed(recorder: Recorder, step: Step, span: Span, error: ModelsError) -> None:
    span.fail(error.code)
    span.set("covey.reason", str(error))
    await recorder.record(StepFailed(step.id, error.code, str(error)))


def checked(recorder: Recorder, verdicts: tuple[Verdict, ...]) -> None:
    """Give each check a span of its own."""
    for verdict in verdicts:
        with recorder.span(CHECK) as span:
            span.update(
                {"covey.check": verdict.check, "covey.verdict": verdict.outcome, "covey.reason": verdict.reason}
            )


async def finished(
    recorder: Recorder,
    step: Step,
    course: Course,
    span: Span,
    result: Result,
    verdicts: tuple[Verdict, ...],
    *,
    seed: int,
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
    output = NO_DIGEST if result.abstained else await recorder.keep(result.output)
    await recorder.record(
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
