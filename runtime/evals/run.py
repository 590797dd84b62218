"""Asks every case of a suite, a few at a time, taking what was already answered from the kept results."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from models.errors import InputError, ModelsError, NotInstalled, OutOfMemory
from models.schema import problem
from models.types import RefusalCode
from runtime.evals.cases import Case
from runtime.evals.errors import SuiteSkipped
from runtime.evals.metrics.outcome import Outcome
from runtime.evals.results import Answered, Results, answered, key_of
from runtime.evals.subject import Subject
from runtime.evals.wrap import READERS

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all)."""
Judge = Callable[[Case, Answered], bool | None]
"""Runs the case's own tests on the answer, shut in; None where it has none."""


@dataclass(slots=True)
class Run:
    """What came of all cases."""

    outcomes: list[Outcome] = field(default_factory=list)
    cached: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """Rows that ended in an error, by its code; they count as unanswered."""
    first_error: str = ""
    """The sentence of the first of them."""
    models: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Model id to the digests of its weights."""
    seconds: float = 0.0


async def run(
    cases: Sequence[Case],
    subject: Subject,
    results: Results,
    *,
    reader: str = "as_is",
    concurrency: int = 1,
    fresh: bool = False,
    progress: Progress = lambda done, total: None,
    judge: Judge | None = None,
) -> Run:
    """Return the outcomes in the order of the cases; with `fresh`, every case is asked again.

    Raises SuiteSkipped where a model is absent, ModelsError where every row fails.
    """
    started = time.perf_counter()
    found: list[Outcome | None] = [None] * len(cases)
    run = Run()
    failures: list[ModelsError] = []
    done = 0
    prints = {capability: subject.fingerprint(capability) for capability in {c.request.capability for c in cases}}

    async def work(waiting: Iterator[tuple[int, Case]]) -> None:
        nonlocal done
        for place, case in waiting:
            key = key_of(case.request, prints[case.request.capability], case.tests)
            kept = None if fresh else results.get(key)
            if kept is None:
                try:
                    kept = await _ask(case, subject, judge)
                    results.put(key, kept)
                except ModelsError as error:
                    kept = _failed(error)
                    failures.append(error)
                    run.errors[error.code] += 1
                    run.first_error = run.first_error or str(error)
            else:
                run.cached += 1
            if kept.model:
                run.models[kept.model] = kept.artifacts
            found[place] = outcome(case, kept, reader)
            done += 1
            progress(done, len(cases))

    waiting = iter(enumerate(cases))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, concurrency)):
                group.create_task(work(waiting))
    except ExceptionGroup as several:  # the workers stop for the same reason; the caller is told it once
        raise several.exceptions[0] from several
    if failures and len(failures) == len(cases):
        raise failures[0]
    run.outcomes = [one for one in found if one is not None]
    run.seconds = time.perf_counter() - started
    return run


def outcome(case: Case, kept: Answered, reader: str) -> Outcome:
    """Return what the metrics read."""
    return Outcome(
        id=case.id,
        expected=case.expected,
        answer=None if kept.refused else READERS[reader](kept.output),
        also=case.also,
        refused=kept.refused,
        confidence=kept.confidence,
        scores=kept.scores,
        seconds=kept.seconds,
        tokens=kept.tokens,
        passed=kept.passed,
        valid=_valid(case, kept),
        group=case.group,
    )


def _valid(case: Case, kept: Answered) -> bool | None:
    schema = case.request.input.get("schema")
    if kept.refused or not isinstance(schema, dict):
        return None
    return problem(kept.output, schema) is None


async def _ask(case: Case, subject: Subject, judge: Judge | None) -> Answered:
    started = time.perf_counter()
    try:
        result = await subject.run(case.request)
    except (NotInstalled, OutOfMemory) as error:
        raise SuiteSkipped(f"A model that the suite needs can't run: {error}") from error
    if result.refusal and result.refusal.code is RefusalCode.MODEL_MISSING:
        raise SuiteSkipped(f"A model that the suite needs is absent: {result.refusal.reason}")
    kept = answered(result, time.perf_counter() - started)
    if judge is None or not case.tests:
        return kept
    return replace(kept, passed=await asyncio.to_thread(judge, case, kept))


def _failed(error: ModelsError) -> Answered:
    code = RefusalCode.INVALID_INPUT.value if isinstance(error, InputError) else error.code
    return Answered(output=None, refused=code, reason=str(error))
