"""What the real model thought of each token of its answers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from models.backend import Constraint, Delta, Finish, GenerateCall, TokenDetail
from models.backends.llama import LlamaModel
from tests.models.backends.test_llama_real import call, smollm

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


def asking(text: str, most: int = 24, **more: Any) -> GenerateCall:
    return call(text, most, details=True, **more)


async def told(model: LlamaModel, asked: GenerateCall) -> tuple[Finish, list[Delta], list[TokenDetail]]:
    *deltas, finish = [item async for item in model.generate(asked)]
    assert isinstance(finish, Finish)
    pieces = [item for item in deltas if isinstance(item, Delta)]
    assert all(len(piece.details) == len(piece.token_ids) for piece in pieces)
    return finish, pieces, [detail for piece in pieces for detail in piece.details]


async def test_log_probabilities_of_the_tokens_add_up_to_that_of_the_answer(models_home: Path) -> None:
    async with smollm(models_home) as model:
        finish, _, details = await told(model, asking("What is photosynthesis?"))
    logprobs = [each.signal.logprob for each in details if each.signal]
    assert len(logprobs) == finish.signals.tokens == 24
    assert finish.signals.mean_logprob is not None
    assert sum(logprobs) == pytest.approx(finish.signals.mean_logprob * finish.signals.tokens)
    assert b"".join(each.data for each in details).decode() == finish.text
    assert min(each.signal.margin for each in details if each.signal) == finish.signals.min_margin
    assert all(each.signal.feasible_mass == 1.0 for each in details if each.signal)


async def test_a_greedy_answer_takes_the_likeliest_token_each_time(models_home: Path) -> None:
    async with smollm(models_home) as model:
        _, _, details = await told(model, asking("What is photosynthesis?", alternatives=5))
    for each in details:
        assert each.signal is not None
        assert len(each.likeliest) == 5
        assert each.likeliest[0] == (each.data, each.signal.logprob)
        assert each.likeliest[0][1] - each.likeliest[1][1] == pytest.approx(each.signal.margin, abs=1e-5)
        assert sum(math.exp(logprob) for _, logprob in each.likeliest) <= 1 + 1e-6


async def test_a_choice_says_what_the_model_was_asked_and_how_much_of_its_belief_was_allowed(models_home: Path) -> None:
    schema: Any = {"type": "object", "properties": {"colour": {"enum": ["red", "ultramarine"]}}}
    schema |= {"required": ["colour"], "additionalProperties": False}
    asked = asking("The sea is deep blue.", 32, constraint=Constraint("json_schema", schema))
    async with smollm(models_home) as model:
        finish, _, details = await told(model, asked)
    assert b"".join(each.data for each in details).decode() == finish.text
    signals = [each.signal for each in details if each.signal]
    forced = [each.data for each in details if each.signal is None]
    assert signals and b"colour" in b"".join(forced)
    assert len(signals) <= finish.signals.tokens <= len(signals) + 1  # the end may be a choice too
    assert min(signal.feasible_mass for signal in signals) == finish.signals.feasible_mass
    assert finish.signals.feasible_mass is not None and finish.signals.feasible_mass < 1


async def test_a_resumed_answer_tells_of_the_tokens_that_were_missing(models_home: Path) -> None:
    async with smollm(models_home) as model:
        first, _, before = await told(model, asking("Name three colours.", 12))
        had = first.token_ids[:5]
        _, pieces, after = await told(model, asking("Name three colours.", 12, resume_tokens=had))
    assert pieces[0].index == 5
    assert [each.data for each in after] == [each.data for each in before[5:]]
    for one, other in zip(before[5:], after, strict=True):
        assert one.signal and other.signal
        assert other.signal.logprob == pytest.approx(one.signal.logprob, abs=0.2)  # rounded like another step


async def test_who_does_not_ask_is_told_nothing_and_gets_the_same_tokens(models_home: Path) -> None:
    async with smollm(models_home) as model:
        asked, _, _ = await told(model, asking("Name three rivers."))
        plain = [item async for item in model.generate(call("Name three rivers.", 24, alternatives=5))]
    assert isinstance(plain[-1], Finish) and plain[-1].token_ids == asked.token_ids
    assert not any(item.details for item in plain if isinstance(item, Delta))
