"""Draft, then constrain: the answer is conditioned on a free draft and always ends inside the request's budget."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from models import specialist as specialists
from models.backend import Constraint, Message
from models.backends.llama import LlamaModel
from models.backends.scripted import ScriptedText
from models.errors import DeadlineExceeded
from models.specialists.turn import Turn, certainty, drafted
from models.store import Store
from models.types import Json, Request, Signals
from tests.models.asking import SPECS, over, told

ASKED: dict[str, Json] = {
    "text": "Ann has 3 apples and buys 4 more. How many has she?",
    "schema": {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]},
}
THOUGHT = "Ann has 3 + 4 = 7 apples."
REPLY = '{"answer": 7}'


async def test_the_answer_goes_on_from_the_draft() -> None:
    model = ScriptedText([THOUGHT, REPLY])
    _, result = await told(over("extract", model, draft_tokens=64), ASKED)
    draft, answer = model.calls
    assert result.output == {"answer": 7}
    assert draft.constraint is None
    assert draft.max_tokens == 64
    assert answer.constraint is not None
    assert answer.prefill.startswith(THOUGHT)
    assert answer.messages == draft.messages


async def test_a_draft_costs_and_says_so() -> None:
    one = (await told(over("extract", ScriptedText([REPLY])), ASKED))[1].usage
    two = (await told(over("extract", ScriptedText([THOUGHT, REPLY]), draft_tokens=64), ASKED))[1].usage
    assert two.completion_tokens > one.completion_tokens
    assert two.prompt_tokens > 2 * one.prompt_tokens


async def test_without_the_option_there_is_no_draft() -> None:
    model = ScriptedText([REPLY])
    await told(over("extract", model), ASKED)
    assert len(model.calls) == 1


async def test_a_draft_without_end_is_cut_and_the_answer_still_ends() -> None:
    model = ScriptedText(["and then " * 500, REPLY])
    _, result = await told(over("extract", model, draft_tokens=40), ASKED)
    assert result.output == {"answer": 7}
    assert result.usage.completion_tokens <= 40 + 384


@pytest.mark.parametrize(("budget", "drafts"), [(100, False), (60 + 6, False), (60 + 30, True), (600, True)])
async def test_the_budget_is_the_answers_first(budget: int, drafts: bool) -> None:
    replies = [THOUGHT * 20, REPLY] if drafts else [REPLY]
    model = ScriptedText(replies)
    most = 384 if budget == 100 else 60
    _, result = await told(over("extract", model, draft_tokens=200, max_tokens=most), ASKED, budget_tokens=budget)
    assert len(model.calls) == len(replies)
    assert result.output == {"answer": 7}
    assert result.usage.completion_tokens <= budget


async def test_the_context_is_the_answers_first() -> None:
    model = ScriptedText([REPLY], context_tokens=260)
    _, result = await told(over("extract", model, draft_tokens=200, max_tokens=384), ASKED)
    assert result.output == {"answer": 7}
    assert sum(call.max_tokens for call in model.calls) < 260


async def test_a_draft_counts_against_the_deadline() -> None:
    model = ScriptedText([THOUGHT * 10, REPLY], fault="slow")
    with pytest.raises(DeadlineExceeded):
        await told(over("extract", model, draft_tokens=64), ASKED, deadline_s=0.3)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("3 + 4 = 7.", "3 + 4 = 7."),
        ('3 + 4 = 7.\n{"answer": 7}', "3 + 4 = 7."),
        ('So it is:\n```json\n{"answer": 7}\n```', "So it is:"),
        ("The set {3, 4} has two.", "The set {3, 4} has two."),
        ('{"answer": 8}', ""),
    ],
)
def test_a_draft_that_answers_already_is_kept_up_to_its_answer(text: str, kept: str) -> None:
    assert drafted(text) == kept


@pytest.mark.parametrize(
    ("logprob", "sure"), [(None, 0.0), (math.nan, 0.0), (-math.inf, 0.0), (0.0, 1.0), (1e-9, 1.0), (math.log(0.5), 0.5)]
)
def test_what_is_no_probability_is_no_certainty(logprob: float | None, sure: float) -> None:
    assert certainty(Signals(mean_logprob=logprob)) == pytest.approx(sure)


@pytest.mark.real
@pytest.mark.timeout(120)
async def test_a_real_answer_goes_on_from_its_draft_and_keeps_to_its_form(models_home: Path) -> None:
    store = Store(models_home / "models")
    manifest = store.get("smollm2-135m")
    model = await LlamaModel.load(manifest.model_id, store.path(manifest, "model"), ())
    form: Json = {
        "type": "object",
        "properties": {"answer": {"enum": ["one", "two", "many"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    wanted = Constraint("json_schema", form)
    question = [Message("user", "Why is the sky blue? Say it in one sentence, then give the number of your reasons.")]
    finishes, spent = [], []
    for draft_tokens in (0, 24):
        spec = replace(specialists.read_spec(SPECS / "extract.toml"), draft_tokens=draft_tokens)
        turn = Turn(spec, Request("extract", ASKED))
        finishes.append(await turn.ask(model, turn.call(question, max_tokens=24, constraint=wanted)))
        spent.append(turn.usage.completion_tokens)
    await model.close()
    for finish in finishes:
        assert finish.reason == "stop" and set(json.loads(finish.text)) == {"answer"}
    plain, after = finishes
    assert spent[0] == plain.usage.completion_tokens
    assert after.usage.completion_tokens < spent[1] <= after.usage.completion_tokens + 24
    assert plain.usage.prompt_tokens + 8 < after.usage.prompt_tokens, "the draft is what the answer goes on from"
    assert after.usage.cached_tokens >= plain.usage.prompt_tokens - 1, "and its state is not computed again"
