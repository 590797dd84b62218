"""Does an answer depend on what else runs? Greedy, alone against in a full batch, in both modes of the engine."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial

from models.backend import GenerateCall, Message, whole
from models.backends.llama import LlamaModel
from models.backends.llama_settings import OwnersChoice, chosen
from models.store import Store
from runtime import paths
from scripts.benches import texts
from scripts.benches.client import at_once
from scripts.benches.figures import Report, Row, alone
from scripts.benches.setup import Setup, say

ABOUT = "the same greedy answer alone and among 8, loaded as a node loads it: share of answers with equal tokens"
WIDTH = 8
ANSWER_TOKENS = 64
LONG_EVERY = 4
"""One prompt in so many is long: beyond 256 tokens of state attention may be computed in other ways."""
LONG_TOKENS = 400
RESUMED_AT = 20
"""Tokens after which a long answer is broken off and resumed."""

Tokens = tuple[int, ...]


async def run(setup: Setup) -> Report:
    prompts = [_prompt(number) for number in range(setup.count(16, 200))]
    manifest = Store(paths.models_dir(setup.home)).get(setup.model)
    rows: list[Row] = []
    for mode in ("fast", "reproducible"):
        choice = OwnersChoice(reproducible=mode == "reproducible")
        async with setup.loaded(**asdict(chosen(manifest, choice, threads=setup.threads))) as model:
            jobs = [partial(_answer, model, prompt) for prompt in prompts]
            together, seconds = await at_once(jobs, WIDTH)
            began = time.perf_counter()
            lone = [await job() for job in jobs]
            spent = time.perf_counter() - began
            more = await (_resumed(model, prompts, lone) if choice.reproducible else _margins(model, prompts, lone))
        equal = sum(a == b for a, b in zip(lone, together, strict=True))
        tokens = sum(map(len, together))
        say(f"{mode}: {equal} of {len(prompts)} equal")
        rows += [
            alone(f"{mode}: equal answers", "share", [equal / len(prompts)], "higher"),
            *more,
            alone(f"{mode}: 8 at a time", "tok/s", [tokens / seconds], "higher"),
            alone(f"{mode}: one at a time", "tok/s", [tokens / spent], "higher"),
        ]
    long = len(prompts) // LONG_EVERY
    settings = {"prompts": len(prompts), "long_prompts": long, "answer_tokens": ANSWER_TOKENS}
    return Report("company", ABOUT, tuple(rows), settings={**settings})


def _prompt(number: int) -> str:
    if number % LONG_EVERY:
        return texts.question(number)
    return f"{texts.filler(LONG_TOKENS, number)} {texts.question(number)}"


async def _answer(model: LlamaModel, prompt: str, had: Tokens = ()) -> Tokens:
    call = GenerateCall((Message("user", prompt),), ANSWER_TOKENS, resume_tokens=had)
    return (await whole(model.generate(call))).token_ids


async def _resumed(model: LlamaModel, prompts: list[str], lone: list[Tokens]) -> list[Row]:
    """Return how many long answers are the same when they are broken off and resumed."""
    long = range(0, len(prompts), LONG_EVERY)
    again, _ = await at_once([partial(_answer, model, prompts[n], lone[n][:RESUMED_AT]) for n in long], WIDTH)
    equal = sum(answer == lone[n] for n, answer in zip(long, again, strict=True))
    say(f"resumed: {equal} of {len(long)} equal")
    return [alone("reproducible: long answers equal when resumed", "share", [equal / len(long)], "higher")]


async def _margins(model: LlamaModel, prompts: list[str], lone: list[Tokens]) -> list[Row]:
    """Return how many choices fall otherwise in company, each along the lone answer, and their largest lone margin."""
    places = [(number, place) for number, answer in enumerate(lone) for place in range(len(answer))]
    chosen_there, _ = await at_once(
        [partial(_choice, model, prompts[number], lone[number][:place]) for number, place in places], WIDTH
    )
    differing = [at for at, (token, _) in zip(places, chosen_there, strict=True) if token != lone[at[0]][at[1]]]
    margins = [(await _choice(model, prompts[number], lone[number][:place]))[1] for number, place in differing]
    say(f"fast: {len(margins)} of {len(places)} choices differ")
    return [
        alone("fast: choices that differ along the lone answer", "share", [len(margins) / len(places)], "lower"),
        alone("fast: largest lone margin of such a choice", "logits", [max(margins, default=0.0)], "lower"),
    ]


async def _choice(model: LlamaModel, prompt: str, before: Tokens) -> tuple[int | None, float]:
    """Return the token that comes after these, None for the end, and by how much it is ahead."""
    call = GenerateCall((Message("user", prompt),), len(before) + 1, resume_tokens=before)
    finish = await whole(model.generate(call))
    return (*finish.token_ids[len(before) :], None)[0], finish.signals.min_margin or 0.0
