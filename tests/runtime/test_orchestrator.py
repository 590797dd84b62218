"""From the request to the answer: who is asked, what is streamed, and what the journal and the trace say of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from models.errors import BadArtifact, NotInstalled
from models.types import Chunk, Label, RefusalCode, Tier, Trust
from runtime.asking import Answer, Ask, Source
from runtime.claims import Claim
from runtime.errors import UsageError
from runtime.events import Routed, TaskCompleted, TaskFailed
from runtime.history import Turn
from runtime.task import Status
from tests.runtime.scripted import FixedStage, Scripted, bench, pieces, spec, written

HELLO = written("hello big world")
WRITES = "Write a short poem about rain"
UNCLEAR = "the colour of Tuesday"


def _writer(*runs: list[object]) -> Scripted:
    return Scripted(spec("generate"), *(runs or ([*pieces("hello big world"), HELLO],)))  # type: ignore[arg-type]


def _likeness(capability: str | None, score: float = 0.9) -> FixedStage:
    return FixedStage(Claim("similar", capability, score, "looked like these three", near=("write a poem",)))


async def test_an_answer_streams_and_ends_with_all_there_is_to_know(tmp_path: Path) -> None:
    async with bench(tmp_path, _writer()) as made:
        *chunks, answer = await made.items(Ask(WRITES))
    assert [chunk.text for chunk in chunks if isinstance(chunk, Chunk)] == ["hello", "big", "world"]
    assert isinstance(answer, Answer)
    assert answer.status is Status.COMPLETED
    assert answer.result.text == "hello big world"
    assert answer.specialists == ("writer",)
    assert (answer.tier, answer.node, answer.bytes_out) == (Tier.DEVICE, "here", 0)
    assert [verdict.check for verdict in answer.verdicts] == ["not_empty"]


async def test_the_journal_tells_the_whole_story(tmp_path: Path) -> None:
    async with bench(tmp_path, _writer()) as made:
        answer = await made.answer(Ask(WRITES))
        assert made.events() == ["TaskSubmitted", "Routed", "Planned", "StepStarted", "StepFinished", "TaskCompleted"]
        state = made.journal.state(answer.task_id)
        assert state.status is Status.COMPLETED
        assert made.journal.content(state.request, answer.task_id) == WRITES
        assert made.journal.content(state.output, answer.task_id) == "hello big world"


async def test_the_trace_explains_the_answer(tmp_path: Path) -> None:
    async with bench(tmp_path, _writer()) as made:
        await made.answer(Ask(WRITES))
        spans = {span.name: span for span in made.spans()}
    assert spans["covey.task"].attributes["covey.answer"] == "hello big world"
    assert spans["covey.route"].attributes["covey.stage"] == "rules"
    assert spans["covey.stage"].attributes["covey.reason"] == "asks for something to be written"
    assert spans["covey.plan"].attributes["covey.plan.term"] == "s1"
    assert spans["covey.step"].parent_id == spans["covey.task"].span_id
    assert spans["covey.stage"].parent_id == spans["covey.route"].span_id


async def test_the_second_stage_is_asked_only_when_the_rules_are_not_sure(tmp_path: Path) -> None:
    stage = _likeness("generate")
    async with bench(tmp_path, _writer(), similar=stage) as made:
        await made.answer(Ask(WRITES))
        assert stage.asked == []
        answer = await made.answer(Ask(UNCLEAR))
        assert stage.asked == [UNCLEAR]
        entry = next(e.event for e in made.journal.events(answer.task_id) if isinstance(e.event, Routed))
    assert answer.routing.capability == "generate"
    assert dict(entry.scores) == {"rules": 0.0, "similar": 0.9}


@pytest.mark.parametrize("stage", ["the embedder is not here", _likeness(None), _likeness("generate", 0.1)])
async def test_when_no_stage_is_sure_nobody_guesses(tmp_path: Path, stage: FixedStage | str) -> None:
    writer = _writer()
    async with bench(tmp_path, writer, similar=stage) as made:
        answer = await made.answer(Ask(UNCLEAR))
        assert made.events() == ["TaskSubmitted", "Routed", "TaskCompleted"]
    assert writer.requests == []
    assert answer.status is Status.COMPLETED
    assert answer.result.refusal is not None
    assert answer.result.refusal.code is RefusalCode.NOT_CAPABLE
    assert "--as" in answer.result.refusal.reason


async def test_why_a_stage_was_skipped_stands_in_the_trace(tmp_path: Path) -> None:
    async with bench(tmp_path, _writer(), similar="the embedder is not here") as made:
        await made.answer(Ask(UNCLEAR))
        reasons = [span.attributes["covey.reason"] for span in made.spans() if span.name == "covey.stage"]
    assert "skipped: the embedder is not here" in reasons


async def test_a_stage_that_fails_is_skipped_and_the_rules_still_count(tmp_path: Path) -> None:
    class Damaged:
        async def claim(self, text: str, *, has_files: bool, has_functions: bool) -> Claim:
            raise BadArtifact("route.npz is damaged.")

    async with bench(tmp_path, _writer(), similar=Damaged()) as made:
        answer = await made.answer(Ask(UNCLEAR))
        assert (await made.answer(Ask(WRITES))).result.text == "hello big world"
    assert "route.npz is damaged" in answer.routing.reason


async def test_the_callers_own_choice_needs_no_stage(tmp_path: Path) -> None:
    stage = _likeness(None)
    async with bench(tmp_path, _writer(), similar=stage) as made:
        answer = await made.answer(Ask(UNCLEAR, capability="generate"))
    assert answer.result.text == "hello big world"
    assert answer.routing.claim is not None
    assert answer.routing.claim.stage == "asked"
    assert stage.asked == []


async def test_a_choice_that_nobody_offers_is_wrong_use_and_names_the_others(tmp_path: Path) -> None:
    async with bench(tmp_path, _writer()) as made:
        with pytest.raises(UsageError, match="generate"):
            await made.answer(Ask(WRITES, capability="fly"))
        assert made.events() == ["TaskSubmitted", "TaskFailed"]


async def test_a_turn_of_a_conversation_is_for_the_writer_when_no_rule_claims_it(tmp_path: Path) -> None:
    writer = _writer()
    async with bench(tmp_path, writer, similar=_likeness(None)) as made:
        await made.answer(Ask("and why?", conversation=True, history=(Turn("user", "hi"),)))
    assert writer.requests[0].input["history"] == [{"role": "user", "content": "hi"}]


async def test_a_likeness_without_the_inputs_is_not_sure_instead_of_wrong_use(tmp_path: Path) -> None:
    answerer = Scripted(spec("answer", "answer"), [HELLO])
    async with bench(tmp_path, answerer, similar=_likeness("answer")) as made:
        answer = await made.answer(Ask(UNCLEAR))
    assert answer.result.refusal is not None
    assert "--file" in answer.result.refusal.reason


async def test_a_file_is_read_and_makes_the_request_untrusted(tmp_path: Path) -> None:
    writer = _writer()
    async with bench(tmp_path, writer) as made:
        made.read["a.txt"] = Source("a.txt", "cold rain", Label.SENSITIVE, notes=("its encoding was guessed",))
        answer = await made.answer(Ask("Rewrite this", files=(Path("a.txt"),)))
    (request,) = writer.requests
    assert request.input["documents"] == [{"name": "a.txt", "text": "cold rain"}]
    assert (request.label, request.trust, request.ceiling) == (Label.SENSITIVE, Trust.UNTRUSTED, Tier.DEVICE)
    assert answer.notes == ("its encoding was guessed",)


async def test_a_secret_leaves_no_text_behind(tmp_path: Path) -> None:
    async with bench(tmp_path, _writer()) as made:
        await made.answer(Ask(WRITES, label=Label.SECRET))
        assert made.events()[-1] == "TaskCompleted"
        assert not any("hello" in str(span.attributes) or "poem" in str(span.attributes) for span in made.spans())
    stored = _everything_stored(tmp_path)
    assert b"poem" not in stored
    assert b"big world" not in stored


def _everything_stored(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("journal.sqlite3*"))


async def test_a_plan_that_is_turned_down_runs_nothing(tmp_path: Path) -> None:
    from models.types import Json

    writer = _writer()
    documents: dict[str, Json] = {"prompt": ["not", "a", "text"]}
    async with bench(tmp_path, writer) as made:
        answer = await made.answer(Ask(WRITES, given=documents))
        assert made.events() == ["TaskSubmitted", "Routed", "TaskRejected"]
    assert answer.status is Status.REJECTED
    assert writer.requests == []
    assert answer.result.refusal is not None
    assert "'prompt' must be text" in answer.result.refusal.reason


async def test_a_failure_is_raised_and_written_down(tmp_path: Path) -> None:
    async with bench(tmp_path, _writer([NotInstalled("Model 'scripted' is not here.")])) as made:
        with pytest.raises(NotInstalled):
            await made.answer(Ask(WRITES))
        task = made.journal.tasks(1)[0]
        last = made.journal.events(task)[-1].event
        assert isinstance(last, TaskFailed)
        assert last.code == "model_not_installed"
        assert made.spans(task)


async def test_leaving_early_cancels_the_work_and_says_so(tmp_path: Path) -> None:
    writer = _writer([*pieces("hello big"), 30.0, HELLO])
    async with bench(tmp_path, writer) as made:
        async with aclosing(made.orchestrator.stream(Ask(WRITES))) as items:
            async for _ in items:
                break
        assert writer.open == 0
        assert made.events()[-1] == "TaskCanceled"
        assert made.spans()


async def test_cancelling_the_caller_cancels_the_work(tmp_path: Path) -> None:
    writer = _writer([30.0, HELLO])
    async with bench(tmp_path, writer) as made:
        work = asyncio.create_task(made.answer(Ask(WRITES)))
        await writer.begun.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert writer.open == 0
        assert made.events()[-1] == "TaskCanceled"


async def test_many_requests_at_once_keep_apart(tmp_path: Path) -> None:
    writers = _writer([0.01, *pieces("hello big world"), HELLO])
    async with bench(tmp_path, writers) as made:
        answers = await asyncio.gather(*(made.answer(Ask(WRITES)) for _ in range(20)))
        assert len({answer.task_id for answer in answers}) == 20
        for answer in answers:
            assert made.events(answer.task_id)[-1] == "TaskCompleted"
            assert {span.trace_id for span in made.spans(answer.task_id)} == {answer.task_id}


async def test_a_floor_turns_a_weak_answer_into_not_sure(tmp_path: Path) -> None:
    async with bench(tmp_path, _writer(), floors={"generate": 0.9}) as made:
        answer = await made.answer(Ask(WRITES))
        completed = made.journal.events(answer.task_id)[-1].event
    assert answer.result.refusal is not None
    assert answer.result.refusal.found == "hello big world"
    assert isinstance(completed, TaskCompleted)
    assert completed.abstained


async def test_a_risk_is_not_promised_without_calibration(tmp_path: Path) -> None:
    async with bench(tmp_path, _writer()) as made:
        answer = await made.answer(Ask(WRITES, risk=0.05))
    assert answer.result.refusal is not None
    assert "not calibrated" in answer.result.refusal.reason


async def test_a_preview_asks_every_stage_and_runs_nothing(tmp_path: Path) -> None:
    writer, stage = _writer(), _likeness("summarize")
    async with bench(tmp_path, writer, similar=stage) as made:
        routing = await made.preparer.route(Ask(WRITES), until="all")
        assert routing.claim is not None
        prepared = await made.preparer.prepare(Ask(WRITES), routing.claim)
        assert made.journal.tasks() == []
    assert [claim.stage for claim in routing.claims] == ["rules", "similar"]
    assert prepared.problems == ()
    assert prepared.placements[0].node == "here"
    assert writer.requests == []
