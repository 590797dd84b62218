"""From a claim to a plan of one step: its inputs, marks and bounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models.types import Json, Label, Tier, Trust
from runtime.asking import Ask, Source
from runtime.claims import Claim
from runtime.compile import Offer, compile_plan
from runtime.errors import UsageError
from runtime.history import Turn
from runtime.plan import Given, Step
from runtime.planner import ONLY, plan
from runtime.prepare import OWN_AUTHORITY
from runtime.signatures import SIGNATURES
from tests.runtime.scripted import TODAY, spec

LETTER = Source("letter.txt", "The rent is due on 3 May.")
DOCUMENTS: Json = [{"name": "letter.txt", "text": LETTER.text}]


def _step(ask: Ask, runner: str, *sources: Source, **slots: Json) -> Step:
    claim = Claim("rules", runner, 1.0, "test", slots)
    made = plan(ask, claim, spec=spec(runner, runner), sources=sources, floor=0.2, today=TODAY)
    offers = {runner: Offer(runner, SIGNATURES[runner], 100)}
    assert compile_plan(made, offers=offers, grant=OWN_AUTHORITY) == ()
    return made.step(ONLY)


def _inputs(step: Step) -> dict[str, Json]:
    return {name: source.value for name, source in step.inputs.items() if isinstance(source, Given)}


@pytest.mark.parametrize(
    ("runner", "text", "sources", "slots", "inputs"),
    [
        ("generate", "hello", (), {}, {"prompt": "hello"}),
        ("generate", "rewrite this", (LETTER,), {}, {"prompt": "rewrite this", "documents": DOCUMENTS}),
        ("answer", "when?", (LETTER,), {}, {"question": "when?", "documents": DOCUMENTS}),
        ("extract", "Ann, 3 May", (), {}, {"text": "Ann, 3 May"}),
        (
            "extract",
            "extract the date",
            (LETTER,),
            {"fields": ["date"]},
            {"text": LETTER.text, "instruction": "extract the date", "fields": ["date"]},
        ),
        ("extract", "extract name: Ann", (), {"fields": ["name"], "text": "Ann"}, {"text": "Ann", "fields": ["name"]}),
        ("classify", "is it", (LETTER,), {"labels": ["a", "b"]}, {"text": LETTER.text, "labels": ["a", "b"]}),
        ("code", "a loop", (), {"language": "rust"}, {"prompt": "a loop", "language": "rust"}),
        ("embed", "hello", (), {}, {"texts": ["hello"]}),
        ("rerank", "rent", (LETTER,), {}, {"query": "rent", "passages": [LETTER.text]}),
        (
            "summarize",
            "summarize",
            (LETTER,),
            {"sentences": 2},
            {"documents": DOCUMENTS, "instruction": "summarize", "sentences": 2},
        ),
        ("summarize", "tl;dr: A b.", (), {"text": "A b."}, {"documents": [{"name": "input", "text": "A b."}]}),
        ("calculate", "what is 2+2?", (), {"expression": "2+2"}, {"expression": "2+2"}),
        ("when", "tomorrow?", (), {}, {"question": "tomorrow?", "today": "2026-03-02"}),
        ("find", "find 'rent'", (LETTER,), {"pattern": "rent"}, {"pattern": "rent", "documents": DOCUMENTS}),
    ],
)
def test_each_kind_gets_the_inputs_of_its_signature(
    runner: str, text: str, sources: tuple[Source, ...], slots: dict[str, Json], inputs: dict[str, Json]
) -> None:
    assert _inputs(_step(Ask(text), runner, *sources, **slots)) == inputs


@pytest.mark.parametrize("runner", ["answer", "rerank", "find", "filetype", "call", "convert"])
def test_what_is_missing_is_said_with_the_way_to_give_it(runner: str) -> None:
    with pytest.raises(UsageError, match=f"`{runner}`"):
        _step(Ask("do it"), runner)


def test_an_empty_request_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="empty"):
        _step(Ask("  "), "generate")


def test_a_file_type_takes_the_path_and_not_the_text() -> None:
    step = _step(Ask("what is this", files=(Path("/tmp/x.bin"),)), "filetype")
    assert _inputs(step) == {"path": "/tmp/x.bin"}


def test_documents_make_the_step_untrusted_and_as_private_as_they_are() -> None:
    step = _step(Ask("when?"), "answer", replace(LETTER, label=Label.SENSITIVE))
    assert (step.label, step.trust, step.ceiling) == (Label.SENSITIVE, Trust.UNTRUSTED, Tier.DEVICE)
    question = step.inputs["question"]
    assert isinstance(question, Given)
    assert (question.label, question.trust) == (Label.PERSONAL, Trust.OWNER)


def test_the_callers_bounds_are_the_steps() -> None:
    step = _step(Ask("hi", ceiling=Tier.DEVICE, deadline_s=3.0, budget_tokens=9), "generate")
    assert (step.ceiling, step.budget.seconds, step.budget.tokens, step.floor) == (Tier.DEVICE, 3.0, 9, 0.2)


def test_inputs_given_by_name_win() -> None:
    assert _inputs(_step(Ask("hi", given={"prompt": "other"}), "generate")) == {"prompt": "other"}


def test_a_schema_goes_to_the_specialist_and_to_the_check() -> None:
    schema: dict[str, Json] = {"type": "object"}
    step = _step(Ask("Ann", schema=schema), "extract")
    assert step.schema == schema
    assert _inputs(step)["schema"] == schema
    assert "schema" in step.checks


def test_a_conversation_brings_its_turns() -> None:
    step = _step(Ask("and now?", history=(Turn("user", "hi"), Turn("assistant", "hello"))), "generate")
    assert _inputs(step)["history"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
    ]
