"""Runs a placed plan: steps in the order of its term, under deadlines. How one step is done is in attempts.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import assert_never

from models.errors import InputError
from models.types import Chunk, Json
from runtime.asking import Restarted
from runtime.attempts import Attempts, Escalation, Means, Places
from runtime.bounds import Bounds, deadline
from runtime.checks import holds_back
from runtime.course import Course, StepOutcome
from runtime.outlet import Emit, Outlet
from runtime.plan import FromStep, Given, Par, Plan, Run, Seq, Step, StepId, Term
from runtime.recorder import Recorder
from runtime.scheduler import Placement

Board = Mapping[StepId, StepOutcome]
"""The outcomes so far: the only thing that steps share."""


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
        self._bounds = bounds
        self._means = Means(bounds, recorder, surroundings, stronger)
        self._emit = emit
        self._clock = clock
        self._ends_s: float | None = None
        self._board: dict[StepId, StepOutcome] = {}

    async def run(self) -> Board:
        """Run the whole plan and return the outcome of every step that ran.

        A step that is not sure ends its sequence. Raises ModelsError, JournalError.
        """
        if self._bounds.deadline_s is not None:
            self._ends_s = self._clock() + self._bounds.deadline_s
        async with deadline(self._bounds.deadline_s):
            await self._run_term(self._plan.term)
        return self._board

    async def _run_term(self, term: Term) -> bool:
        """Return whether every step of the term has an answer."""
        match term:
            case Run():
                return await self._run_step(self._plan.step(term.step))
            case Seq():
                async with deadline(term.budget.seconds):
                    for part in term.terms:
                        if not await self._run_term(part):
                            return False
                return True
            case Par():
                async with deadline(term.budget.seconds), _first_error(), asyncio.TaskGroup() as group:
                    parts = [group.create_task(self._run_term(part)) for part in term.terms]
                return all(part.result() for part in parts)
            case _:
                assert_never(term)

    async def _run_step(self, step: Step) -> bool:
        silent = self._plan.output != step.id
        outlet = Outlet(_nowhere if silent else self._emit, held=holds_back(step.checks))
        inputs = {name: self._value(source) for name, source in step.inputs.items()}
        course = Course(self._placements[step.id], outlet)
        attempts = Attempts(step, inputs, course, means=self._means, left_s=partial(self._left_s, step))
        self._board[step.id] = outcome = await attempts.run()
        return not outcome.result.abstained

    def _value(self, source: Given | FromStep) -> Json:
        if isinstance(source, Given):
            return source.value
        output = self._board[source.step].result.output
        if not source.field:
            return output
        if not isinstance(output, dict) or source.field not in output:
            raise InputError(f"Step {source.step} gave no {source.field!r}, which a later step needs; ask differently.")
        return output[source.field]

    def _left_s(self, step: Step) -> float | None:
        """Return the seconds that a step may take: its own bound, or what is left of the task's."""
        bounds = [step.budget.seconds] if step.budget.seconds is not None else []
        if self._ends_s is not None:
            bounds.append(max(0.0, self._ends_s - self._clock()))
        return min(bounds, default=None)


async def _nowhere(item: Chunk | Restarted) -> None:
    """Only the answer's own step is streamed."""


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
