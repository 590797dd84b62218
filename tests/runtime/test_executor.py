"""Running plans: order, deadlines, cancellation, one retry, streaming, and what is written down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import ContextOverflow, DeadlineExceeded, InputError, ModelsError, NotInstalled, WorkerDied
from models.types import Authority, Chunk, Digest, Json, Label, RefusalCode, Result, Specialist, Tier
from runtime.asking import Restarted
from runtime.bounds import Bounds
from runtime.db import Database, DatabaseThread
from runtime.events import StepFinished, StepStarted, TaskSubmitted
from runtime.executor import Board, Executor
from runtime.journal import Journal
from runtime.plan import Budget, FromStep, Given, Par, Plan, Run, Seq, Step, StepId, single
from runtime.recorder import Recorder
from runtime.scheduler import Placement, Unplaceable
from runtime.task import TaskId
from tests.runtime.scripted import Scripted, pieces, spec, written

TASK = TaskId("a" * 32)
A, B, C = StepId("a"), StepId("b"), StepId("c")
DIED = WorkerDied("The model's process ended unexpectedly. Ask again: it is started afresh.")
HELLO = written("hello big world")


class Floor:
    """A journal, and everything one plan said while it ran."""

    def __init__(self, journal: Journal, thread: DatabaseThread) -> None:
        self.journal = journal
        self.recorder = Recorder(journal, thread, TASK, Label.PERSONAL)
        self.said: list[Chunk | Restarted] = []

    async def run(self, plan: Plan, *specialists: Scripted, bounds: Bounds | None = None) -> Board:
        by_name = {specialist.capability: specialist for specialist in specialists}
        await self.recorder.record(TaskSubmitted(await self.recorder.keep("x"), Label.PERSONAL, Tier.DEVICE))

        async def emit(item: Chunk | Restarted) -> None:
            self.said.append(item)

        executor = Executor(
            plan,
            {step.id: Placement(step.id, "here", Tier.DEVICE, "test") for step in plan.steps},
            surroundings=Here(by_name),
            bounds=bounds or Bounds(Authority()),
            recorder=self.recorder,
            emit=emit,
        )
        return await executor.run()

    @property
    def text(self) -> str:
        return " ".join(item.text for item in self.said if isinstance(item, Chunk))

    def events(self) -> list[str]:
        """Return the names of the steps' events; the journal is open as long as the floor is."""
        return [type(entry.event).__name__ for entry in self.journal.events(TASK)][1:]


class Here:
    """Surroundings without any other device."""

    def __init__(self, specialists: Mapping[str, Specialist]) -> None:
        self._specialists = specialists

    def specialist(self, placement: Placement, step: Step) -> Specialist:
        return self._specialists[step.capability]

    async def place_again(self, step: Step, *, tried: frozenset[str], artifacts: tuple[Digest, ...]) -> Placement:
        raise Unplaceable("there is no other device")

    def failed(self, placement: Placement, error: ModelsError) -> None:
        return


@asynccontextmanager
async def _floor(folder: Path) -> AsyncIterator[Floor]:
    with Database(folder / "journal.sqlite3") as database:
        async with DatabaseThread() as thread:
            yield Floor(Journal(database), thread)


def _writes(step_id: StepId = A, capability: str = "generate", prompt: Json = "hi", **fields: object) -> Step:
    return replace(Step(step_id, capability, {"prompt": Given(prompt)}), **fields)  # type: ignore[arg-type]


def _writer(*runs: list[object], name: str = "generate") -> Scripted:
    return Scripted(spec(name), *runs)  # type: ignore[arg-type]


async def test_a_step_streams_and_is_written_down(tmp_path: Path) -> None:
    async with _floor(tmp_path) as floor:
        board = await floor.run(single(_writes()), _writer([*pieces("hello big world"), HELLO]))
        assert floor.events() == ["StepStarted", "StepFinished"]
    assert board[A].result == HELLO
    assert floor.text == "hello big world"


async def test_inputs_and_outputs_are_kept_by_their_digests(tmp_path: Path) -> None:
    async with _floor(tmp_path) as floor:
        await floor.run(single(_writes(prompt="draw a sheep")), _writer([HELLO]))
        started, finished = (entry.event for entry in floor.journal.events(TASK)[1:])
        assert isinstance(started, StepStarted)
        assert isinstance(finished, StepFinished)
        assert floor.journal.content(started.input, TASK) == '{"prompt": "draw a sheep"}'
        assert floor.journal.content(finished.output, TASK) == "hello big world"


async def test_a_lost_worker_continues_behind_what_was_sent(tmp_path: Path) -> None:
    first, second, third = pieces("hello big world")
    writer = _writer([first, second, DIED], [third, HELLO])
    async with _floor(tmp_path) as floor:
        board = await floor.run(single(_writes()), writer)
        assert floor.events() == ["StepStarted", "StepFailed", "StepStarted", "StepFinished"]
    assert floor.text == "hello big world"
    assert not any(isinstance(item, Restarted) for item in floor.said)
    assert writer.requests[1].resume_tokens == (100, 101)
    assert writer.requests[1].seed == writer.requests[0].seed
    assert board[A].attempts == 2


async def test_a_specialist_that_can_not_resume_says_nothing_twice(tmp_path: Path) -> None:
    chunks = pieces("hello big world")
    async with _floor(tmp_path) as floor:
        await floor.run(single(_writes()), _writer([*chunks[:2], DIED], [*chunks, HELLO]))
    assert floor.text == "hello big world"


async def test_text_without_tokens_begins_again_and_says_so(tmp_path: Path) -> None:
    async with _floor(tmp_path) as floor:
        await floor.run(single(_writes()), _writer([Chunk(0, "hel"), DIED], [Chunk(0, "hello"), HELLO]))
    assert [type(item) for item in floor.said] == [Chunk, Restarted, Chunk]


async def test_a_worker_lost_twice_is_a_failure(tmp_path: Path) -> None:
    writer = _writer([DIED])
    async with _floor(tmp_path) as floor:
        with pytest.raises(WorkerDied):
            await floor.run(single(_writes()), writer)
        assert floor.events()[-1] == "StepFailed"
    assert len(writer.requests) == 2


async def test_a_failed_check_is_run_again_with_other_draws_and_nothing_of_the_first(tmp_path: Path) -> None:
    bad, good = written("def f(:"), written("def f(): pass")
    writer = _writer([Chunk(0, "def f(:", (1,)), bad], [Chunk(0, "def f(): pass", (2,)), good])
    async with _floor(tmp_path) as floor:
        board = await floor.run(single(_writes(checks=("python_parses",))), writer)
    assert board[A].result == good
    assert floor.text == "def f(): pass"
    first, second = writer.requests
    assert second.seed != first.seed
    assert second.resume_tokens == ()
    assert second.input == first.input


async def test_a_check_that_fails_twice_is_not_sure_with_what_was_found(tmp_path: Path) -> None:
    async with _floor(tmp_path) as floor:
        board = await floor.run(
            single(_writes(checks=("python_parses",))), _writer([Chunk(0, "x"), written("def f(:")])
        )
    refusal = board[A].result.refusal
    assert refusal is not None
    assert (refusal.code, refusal.found) == (RefusalCode.NOT_SURE, "def f(:")
    assert "python_parses" in refusal.reason
    assert floor.said == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("This divides by zero; change the divisor."), RefusalCode.INVALID_INPUT),
        (ContextOverflow("9,000 tokens do not fit into 2,048; shorten the text."), RefusalCode.TOO_LONG),
    ],
)
async def test_what_the_request_itself_rules_out_is_an_answer(
    tmp_path: Path, error: Exception, code: RefusalCode
) -> None:
    async with _floor(tmp_path) as floor:
        board = await floor.run(single(_writes()), _writer([error]))
    assert board[A].result.refusal is not None
    assert (board[A].result.refusal.code, board[A].result.refusal.reason) == (code, str(error))


async def test_a_missing_model_fails_and_is_written_down(tmp_path: Path) -> None:
    async with _floor(tmp_path) as floor:
        with pytest.raises(NotInstalled):
            await floor.run(single(_writes()), _writer([NotInstalled("not here")]))
        assert floor.events() == ["StepStarted", "StepFailed"]


@pytest.mark.parametrize("budget", [Budget(), Budget(seconds=0.05)])
async def test_the_deadline_ends_a_step_that_hangs(tmp_path: Path, budget: Budget) -> None:
    writer = _writer([Chunk(0, "he", (1,)), 30.0, HELLO])
    whole = None if budget.seconds else 0.05
    started = time.perf_counter()
    async with _floor(tmp_path) as floor:
        with pytest.raises(DeadlineExceeded):
            await floor.run(single(_writes(budget=budget)), writer, bounds=Bounds(Authority(), deadline_s=whole))
    assert time.perf_counter() - started < 5
    assert writer.open == 0


async def test_the_specialist_is_told_how_long_it_has(tmp_path: Path) -> None:
    writer = _writer([HELLO])
    async with _floor(tmp_path) as floor:
        await floor.run(single(_writes()), writer, bounds=Bounds(Authority(), deadline_s=60.0))
    assert writer.requests[0].deadline_s is not None
    assert 0 < writer.requests[0].deadline_s <= 60


async def test_cancelling_closes_the_specialists_stream(tmp_path: Path) -> None:
    writer = _writer([Chunk(0, "he", (1,)), 30.0, HELLO])
    async with _floor(tmp_path) as floor:
        work = asyncio.create_task(floor.run(single(_writes()), writer))
        await writer.begun.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert writer.open == 0


async def test_steps_in_a_row_hand_on_their_outputs(tmp_path: Path) -> None:
    maker = Scripted(spec("make", "extract"), [Result(output={"name": "Ann"}, text="Ann", confidence=1.0)])
    writer = _writer([*pieces("hello big world"), HELLO])
    plan = Plan((_writes(A, "make"), Step(B, "generate", {"prompt": FromStep(A, "name")})), Seq((Run(A), Run(B))), B)
    async with _floor(tmp_path) as floor:
        board = await floor.run(plan, maker, writer)
    assert writer.requests[0].input == {"prompt": "Ann"}
    assert set(board) == {A, B}
    assert floor.text == "hello big world"


async def test_only_the_answers_own_step_streams(tmp_path: Path) -> None:
    plan = Plan((_writes(A, "first"), _writes(B, "second")), Seq((Run(A), Run(B))), B)
    first, second = (_writer([Chunk(0, name, (1,)), written(name)], name=name) for name in ("first", "second"))
    async with _floor(tmp_path) as floor:
        await floor.run(plan, first, second)
    assert floor.text == "second"


async def test_a_step_that_is_not_sure_ends_its_sequence(tmp_path: Path) -> None:
    plan = Plan((_writes(A, "first", floor=0.99), _writes(B, "second")), Seq((Run(A), Run(B))), B)
    first, second = _writer([HELLO], name="first"), _writer([HELLO], name="second")
    async with _floor(tmp_path) as floor:
        board = await floor.run(plan, first, second)
    assert list(board) == [A]
    assert board[A].result.abstained
    assert second.requests == []


async def test_steps_side_by_side_run_at_the_same_time(tmp_path: Path) -> None:
    names = ("first", "second", "third")
    steps = tuple(_writes(step, name) for step, name in zip((A, B, C), names, strict=True))
    specialists = [_writer([0.3, HELLO], name=name) for name in names]
    plan = Plan(steps, Par((Run(A), Run(B), Run(C))), A)
    started = time.perf_counter()
    async with _floor(tmp_path) as floor:
        board = await floor.run(plan, *specialists)
    assert set(board) == {A, B, C}
    assert time.perf_counter() - started < 0.85


async def test_one_of_several_that_fails_cancels_the_others(tmp_path: Path) -> None:
    slow, broken = _writer([30.0, HELLO], name="slow"), _writer([0.02, NotInstalled("not here")], name="broken")
    plan = Plan((_writes(A, "slow"), _writes(B, "broken")), Par((Run(A), Run(B))), A)
    async with _floor(tmp_path) as floor:
        with pytest.raises(NotInstalled):
            await floor.run(plan, slow, broken)
    assert slow.open == 0


async def test_the_span_of_a_step_explains_it(tmp_path: Path) -> None:
    async with _floor(tmp_path) as floor:
        await floor.run(single(_writes(checks=("not_empty",))), _writer([HELLO]))
        check, step = floor.recorder.tracer.finished
    assert check.attributes["covey.verdict"] == "pass"
    assert step.attributes["covey.specialist"] == "generate"
    assert step.attributes["gen_ai.request.model"] == "scripted"
    assert step.attributes["covey.label"] == "personal"
    assert step.attributes["covey.trust"] == "owner"
    assert step.attributes["covey.reason"] == "accepted: every check passed"
    assert check.parent_id == step.span_id


async def test_the_callers_marks_and_trace_reach_the_specialist(tmp_path: Path) -> None:
    writer = _writer([HELLO])
    async with _floor(tmp_path) as floor:
        await floor.run(single(_writes(label=Label.SENSITIVE)), writer, bounds=Bounds(Authority(), seed=7))
    (request,) = writer.requests
    assert (request.label, request.seed) == (Label.SENSITIVE, 7)
    assert request.traceparent.startswith(f"00-{TASK}-")


@pytest.mark.parametrize(("label", "told"), [(Label.PERSONAL, True), (Label.SECRET, False)])
async def test_only_what_may_be_written_down_is_told_its_conversation(tmp_path: Path, label: Label, told: bool) -> None:
    writer = _writer([*pieces("hello big world"), HELLO])
    async with _floor(tmp_path) as floor:
        await floor.run(single(_writes(label=label)), writer, bounds=Bounds(Authority(), conversation=tmp_path / "a"))
    assert writer.requests[0].conversation == (tmp_path / "a" if told else None)
