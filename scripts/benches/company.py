"""Does an answer depend on what else runs? Greedy, alone against in a full batch, in both modes of the engine."""

from __future__ import annotations

import time
from functools import partial

from models.backend import GenerateCall, Message, whole
from models.backends.llama import LlamaModel
from scripts.benches import texts
from scripts.benches.client import at_once
from scripts.benches.figures import Report, Row, alone
from scripts.benches.setup import Setup, say

ABOUT = "the same greedy answer alone and among 8: share of answers with equal text"
WIDTH = 8
ANSWER_TOKENS = 64


async def run(setup: Setup) -> Report:
    prompts = setup.count(16, 200)
    rows: list[Row] = []
    for mode, reproducible in (("fast", False), ("reproducible", True)):
        async with setup.loaded(reproducible=reproducible) as model:
            jobs = [partial(_answer, model, texts.question(number)) for number in range(prompts)]
            together, seconds = await at_once(jobs, WIDTH)
            began = time.perf_counter()
            lone = [await job() for job in jobs]
            spent = time.perf_counter() - began
        equal = sum(a == b for a, b in zip(lone, together, strict=True))
        tokens = sum(len(answer) for answer in together)
        say(f"{mode}: {equal} of {prompts} equal")
        rows += [
            alone(f"{mode}: equal answers", "share", [equal / prompts], "higher"),
            alone(f"{mode}: 8 at a time", "tok/s", [tokens / seconds], "higher"),
            alone(f"{mode}: one at a time", "tok/s", [tokens / spent], "higher"),
        ]
    return Report("company", ABOUT, tuple(rows), settings={"prompts": prompts, "answer_tokens": ANSWER_TOKENS})


async def _answer(model: LlamaModel, prompt: str) -> tuple[int, ...]:
    return (await whole(model.generate(GenerateCall((Message("user", prompt),), ANSWER_TOKENS)))).token_ids
