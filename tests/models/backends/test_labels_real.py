"""Labels weighed by the real model: in company, and when they are longer than a step."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from models.backend import Message, whole
from tests.models.backends.test_llama_real import call, smollm

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

LABELS = ["light on", "light off", "set timer", "set alarm"]
WISHES = ["I can see nothing in here.", "Wake me at seven.", "It is far too bright.", "The eggs need six minutes."]


async def test_labels_weighed_in_company_and_an_answer_beside_them_are_what_they_are_alone(models_home: Path) -> None:
    questions = [[Message("user", f"{wish} Which of {', '.join(LABELS)}?")] for wish in WISHES]
    story = call("Tell me about the sea.", 24)
    async with smollm(models_home, reproducible=True, context_tokens=128, slots=5, scratch=4) as model:
        alone = [await model.score(question, LABELS) for question in questions]
        told = await whole(model.generate(story))
        beside = asyncio.create_task(whole(model.generate(story)))
        together = await asyncio.gather(*(model.score(question, LABELS) for question in questions))
        again = await asyncio.gather(*(model.score(question, LABELS) for question in questions))  # prompts are there
        company = await beside
    assert together == alone
    assert again == alone
    assert company.token_ids == told.token_ids
    assert len({tuple(weights) for weights in alone}) == len(alone)


async def test_labels_longer_than_a_step_are_weighed_and_the_next_request_answers(models_home: Path) -> None:
    long = "the quick brown fox jumps over the lazy dog and then " * 4
    async with smollm(models_home, context_tokens=256, slots=1, rows=32) as model:
        worker = model.process_id
        weights = await model.score([Message("user", "Which is it?")], [f"{long}a", f"{long}b"])
        assert sum(weights) == pytest.approx(1.0)
        assert (await whole(model.generate(call("Say hi.", 4)))).text
        assert model.process_id == worker
