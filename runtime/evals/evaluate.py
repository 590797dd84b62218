"""Measures one suite from beginning to end: cases, subject, run, report, and the run's file for later comparison."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from models.errors import NotInstalled, OutOfMemory
from runtime.evals.cases import Case, cases_of
from runtime.evals.errors import SuiteError, SuiteSkipped
from runtime.evals.live import graded, hub_models
from runtime.evals.prepare import Place, fit_head, with_head, with_pool
from runtime.evals.redaction import RedactionSubject
from runtime.evals.report import Report, find_run, report, write_run
from runtime.evals.results import Results
from runtime.evals.run import Judge, Progress, run
from runtime.evals.sharing import sharing
from runtime.evals.subject import Subject
from runtime.evals.suite import Suite

Both = Callable[[str], AbstractAsyncContextManager[Subject]]
"""Gives this device and its hub as one subject, for a capability."""


def _silent(done: int, total: int) -> None:
    """Shows nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a suite is to be run."""

    rows: Path | None = None
    """A file to run on instead of the suite's own data."""
    limit: int | None = None
    fit: bool = False
    against: str = ""
    """A run id or file to compare with."""
    concurrency: int = 1
    fresh: bool = False
    """Ask every row again, for example to take times on a quiet machine."""
    progress: Callable[[str], AbstractContextManager[Progress]] = field(default=lambda title: nullcontext(_silent))
    """Given what is being done, returns where its progress goes for as long as it takes."""


async def evaluate(
    suite: Suite, subject: Subject, place: Place, wanted: Wanted, *, router: Subject, both: Both | None = None
) -> Report:
    """Return the report of one suite. `both` is for suites that ask a hub, too.

    Raises SuiteSkipped, SuiteError, RowsError, DocumentMissing, RunMissing, ModelsError.
    """
    against = find_run(wanted.against, place.runs) if wanted.against else None
    judge = _judge(suite)
    cases = cases_of(suite, place.data, wanted.rows, wanted.limit)
    if not cases:
        raise SuiteSkipped(f"No row fits the suite {suite.name}. Check its `where`, or give --rows another file.")
    async with AsyncExitStack() as stack:
        try:
            if wanted.fit and suite.head is not None:
                with wanted.progress("training texts") as progress:
                    await fit_head(suite, subject, place, progress)
            if suite.kind == "live":
                subject = await stack.enter_async_context(_both(suite, both))
            chosen, cases = await _subject(suite, subject, router, place, cases, wanted)
        except (NotInstalled, OutOfMemory) as error:
            raise SuiteSkipped(f"A model that the suite needs can't run: {error}") from error
        with Results(place.results) as results, wanted.progress(suite.name) as progress:
            made = await run(
                cases,
                chosen,
                results,
                reader="as_is" if suite.kind == "live" else suite.reader,
                concurrency=wanted.concurrency,
                fresh=wanted.fresh,
                progress=progress,
                judge=judge,
            )
    if suite.kind == "live":
        made.models.update({f"{model} at the hub": () for model in hub_models(made.outcomes)})
        made.outcomes = graded(made.outcomes, suite)
    found = report(suite, made, run_id=run_id(suite, cases), origin=origin(suite, wanted), against=against)
    write_run(place.runs, suite, found, made.outcomes)
    return found


def _both(suite: Suite, both: Both | None) -> AbstractAsyncContextManager[Subject]:
    if both is None:
        raise SuiteSkipped(f"The suite {suite.name} asks a hub, too. Run it where there is one: `covey hub add`.")
    return both(suite.capability)


async def _subject(
    suite: Suite, subject: Subject, router: Subject, place: Place, cases: list[Case], wanted: Wanted
) -> tuple[Subject, list[Case]]:
    match suite.kind:
        case "each" | "live":
            return subject, cases
        case "route":
            return router, cases
        case "redact":
            return RedactionSubject(subject), cases
        case "share":
            return sharing(subject, place), cases
        case "head":
            return with_head(suite, subject, place), cases
        case "retrieve":
            with wanted.progress("passages") as progress:
                return await with_pool(suite, subject, place, cases, wanted.rows, progress)


def run_id(suite: Suite, cases: list[Case]) -> str:
    """Return a name for this run: the suite, when, and a digest that tells runs of one second apart."""
    now = datetime.now(UTC)
    digest = hashlib.sha256(f"{time.time_ns()}{[case.id for case in cases]}".encode()).hexdigest()
    return f"{suite.name}-{now:%Y%m%dT%H%M%S}-{digest[:6]}"


def origin(suite: Suite, wanted: Wanted) -> str:
    """Return which rows a figure is from, in words."""
    if wanted.rows is not None:
        return (
            f"all rows of {wanted.rows.name}"
            if not wanted.limit
            else f"first {wanted.limit} rows of {wanted.rows.name}"
        )
    sets = ", ".join(dict.fromkeys(source.data for source in suite.sources))
    return f"{sets}: all rows" if suite.half == "all" else f"{sets}: {suite.half} half"


def _judge(suite: Suite) -> Judge | None:
    """Return what runs a row's tests. Raises SuiteSkipped where the programs for it are absent."""
    for program in suite.needs:
        if shutil.which(program) is None:
            raise SuiteSkipped(
                f"The suite {suite.name} runs code that a model wrote, shut in by {program}, which is not installed. "
                f"Install it (package `bubblewrap`) and run the suite again."
            )
    if "bwrap" not in suite.needs:
        return None
    if not any(source.tests for source in suite.sources):
        raise SuiteError(f"The suite {suite.name} needs bwrap but its sources name no tests. Add `tests` to them.")
    from runtime.evals.sandbox import judge  # only where the sandbox is installed

    return judge
