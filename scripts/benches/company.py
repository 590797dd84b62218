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
            margins = [] if reproducible else await _margins(model, lone)
        if not reproducible:
            choices = sum(map(len, lone))
            say(f"fast: {len(margins)} of {choices} choices differ")
            rows += [
                alone("fast: choices that differ along the lone answer", "share", [len(margins) / choices], "lower"),
                alone("fast: largest lone margin of such a choice", "logits", [max(margins, default=0.0)], "lower"),
            ]
        equal = sum(a == b for a, b in zip(lone, together, strict=True))
        tokens = sum(len(answer) for answer in together)
        say(f"{mode}: {equal} of {prompts} equal")
        rows += [
            alone(f"{mode}: equal answers", "share", [equal / prompts], "higher"),
            alone(f"{mode}: 8 at a time", "tok/s", [tokens / seconds], "higher"),
            alone(f"{mode}: one at a time", "tok/s", [tokens / spent], "higher"),
        ]
    return Report("company", ABOUT, tuple(rows), settings={"prompts": prompts, "answer_tokens": ANSWER_TOKENS})


async def _margins(model: LlamaModel, lone: list[tuple[int, ...]]) -> list[float]:
    """Return the lone margin of every choice that falls otherwise in company, each made along the lone answer."""
    places = [(number, place) for number, answer in enumerate(lone) for place in range(len(answer))]
    chosen, _ = await at_once(
        [partial(_choice, model, number, lone[number][:place]) for number, place in places], WIDTH
    )
    differing = [at for at, (token, _) in zip(places, chosen, strict=True) if token != lone[at[0]][at[1]]]
    return [(await _choice(model, number, lone[number][:place]))[1] for number, place in differing]


async def _choice(model: LlamaModel, number: int, before: tuple[int, ...]) -> tuple[int | None, float]:
    """Return the token that comes after these, None for the end, and by how much it is ahead."""
    messages = (Message("user", texts.question(number)),)
    finish = await whole(model.generate(GenerateCall(messages, len(before) + 1, resume_tokens=before)))
    return (*finish.token_ids[len(before) :], None)[0], finish.signals.min_margin or 0.0


async def _answer(model: LlamaModel, prompt: str) -> tuple[int, ...]:
    return (await whole(model.generate(GenerateCall((Message("user", prompt),), ANSWER_TOKENS)))).token_ids
