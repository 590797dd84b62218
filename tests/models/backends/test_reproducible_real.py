"""In reproducible mode a long answer is the same to the last bit alone and in company, whole and resumed."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from models.backend import Finish, GenerateCall, Sampling, whole
from models.backends.llama import LlamaModel
from models.backends.llama_settings import REPRODUCIBLE_SLOTS
from tests.models.backends.test_llama_real import call, smollm

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

TALE = "Rivers run from the mountains, and cats sleep by the fire while the rain falls on the roofs of the town. "
LONG = [
    call(f"{TALE * words}Now tell me about {topic}.", 24, sampling=Sampling(temperature=0.8, seed=seed))
    for seed, (topic, words) in enumerate((("the sea", 12), ("rivers", 13), ("cats", 14), ("rain", 15)))
]
"""Prompts of 290 to 370 tokens. Beyond 256 tokens of state llama.cpp may compute a lone row in parts."""


def as_a_node_loads_it(models_home: Path) -> AbstractAsyncContextManager[LlamaModel]:
    slots = REPRODUCIBLE_SLOTS
    return smollm(models_home, reproducible=True, context_tokens=512, slots=slots, scratch=slots, threads=2)


async def late(model: LlamaModel, wish: GenerateCall, after_s: float) -> Finish:
    await asyncio.sleep(after_s)  # so that prompts are read beside answers that are being written
    return await whole(model.generate(wish))


async def test_a_long_answer_depends_on_no_company_and_no_interruption(models_home: Path) -> None:
    async with as_a_node_loads_it(models_home) as model:
        alone = [await whole(model.generate(wish)) for wish in LONG[:2]]
        together = await asyncio.gather(*(late(model, wish, 0.3 * n) for n, wish in enumerate(LONG)))
        resumed = await whole(model.generate(replace(LONG[0], resume_tokens=alone[0].token_ids[:10])))
    assert all(finish.usage.prompt_tokens > 256 for finish in alone)
    assert [finish.token_ids for finish in together[:2]] == [finish.token_ids for finish in alone]
    assert [finish.signals for finish in together[:2]] == [finish.signals for finish in alone]
    assert resumed.token_ids == alone[0].token_ids


async def test_labels_after_a_long_prompt_weigh_the_same_in_company(models_home: Path) -> None:
    labels = ["light on", "light off", "set timer", "set alarm"]
    async with as_a_node_loads_it(models_home) as model:
        alone = [await model.score(wish.messages, labels) for wish in LONG[:2]]
        _, *together = await asyncio.gather(
            whole(model.generate(LONG[2])), *(model.score(wish.messages, labels) for wish in LONG[:2])
        )
    assert together == alone
