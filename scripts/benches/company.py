"""Does an answer depend on what else runs? Greedy, alone against in a full batch, in both modes of the engine."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from models.backend import GenerateCall, Message, whole
from models.backends.llama import LlamaModel
from models.backends.llama_settings import REPRODUCIBLE_SLOTS, LlamaSettings, OwnersChoice, chosen
from models.engine.environment import program
from models.store import Store
from models.types import ModelId
from runtime import paths
from scripts.benches import texts
from scripts.benches.client import at_once
from scripts.benches.figures import Report, Row, alone
from scripts.benches.setup import Setup, say

ABOUT = "the same greedy answer alone and in a full batch, weights as shipped, loaded as a node loads it: equal tokens"
WIDTH = 8
"""Asked for at once. In reproducible mode fewer are a full batch, and the others wait."""
ANSWER_TOKENS = 64
LONG_EVERY = 4
"""One prompt in so many is long: beyond 256 tokens of state attention may be computed in other ways."""
LONG_TOKENS = 400
RESUMED_AT = 20
"""Tokens after which a long answer is broken off and resumed."""

CLOSE = 1.0
"""Logits by which a choice may be ahead alone, and fall otherwise in company: as far as rounding goes."""
LED = program("scripts.benches.led_worker")
PLACES = "A full batch is 8 answers in fast mode, and {} in reproducible mode, which has a whole context for each."
ALONG = (
    "Along the lone answer: 8 at once as before, but at each place the lone answer's token is taken whatever would "
    "have been chosen there, so that every choice is compared after the same tokens, its end too. What was computed in "
    "company is forgotten before the lone answers are asked for, and those before any is resumed."
)

Tokens = tuple[int, ...]
Choice = tuple[int | None, float]
"""A token, None for the end, and by how many logits it is ahead of the second."""


async def run(setup: Setup) -> Report:
    with setup.as_shipped() as shipped:
        return await _run(shipped)


async def _run(setup: Setup) -> Report:
    prompts = [_prompt(number) for number in range(setup.count(16, 200))]
    manifest = Store(paths.models_dir(setup.home)).get(setup.model)
    rows: list[Row] = []
    for mode in ("fast", "reproducible"):
        choice = OwnersChoice(reproducible=mode == "reproducible")
        settings = chosen(manifest, choice, threads=setup.threads)
        async with setup.loaded(**asdict(settings)) as model:
            jobs = [partial(_answer, model, prompt) for prompt in prompts]
            together, seconds = await at_once(jobs, WIDTH)
            await model.forget()  # what was computed in company must not be taken over by the lone ones
            began = time.perf_counter()
            lone = [await job() for job in jobs]
            spent = time.perf_counter() - began
            await model.forget()
            more = await _resumed(model, prompts, lone) if choice.reproducible else []
        if not choice.reproducible:
            more = await _led(setup, settings, prompts, lone)
        equal = sum(a == b for a, b in zip(lone, together, strict=True))
        tokens = sum(map(len, together))
        say(f"{mode}: {equal} of {len(prompts)} equal")
        rows += [
            _equal(f"{mode}: equal answers", equal, len(prompts), held=choice.reproducible),
            *more,
            alone(f"{mode}: {min(WIDTH, settings.slots)} at a time", "tok/s", [tokens / seconds], "higher"),
            alone(f"{mode}: one at a time", "tok/s", [tokens / spent], "higher"),
        ]
    long = len(prompts) // LONG_EVERY
    how: dict[str, object] = {"prompts": len(prompts), "long_prompts": long, "answer_tokens": ANSWER_TOKENS}
    return Report("company", ABOUT, tuple(rows), settings=how, notes=(PLACES.format(REPRODUCIBLE_SLOTS), ALONG))


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
    return [_equal("reproducible: long answers equal when resumed", equal, len(long), held=True)]


def _equal(what: str, equal: int, of: int, *, held: bool) -> Row:
    return alone(what, f"of {of}", [equal], "higher", bar=of if held else None)


async def _led(setup: Setup, settings: LlamaSettings, prompts: Sequence[str], lone: Sequence[Tokens]) -> list[Row]:
    """Return how many choices fall otherwise in company, each along the lone answer, and their largest lone margin."""
    model = LlamaModel(ModelId(setup.model), setup.model_file, (), settings, command=LED)
    try:
        pairs = list(zip(prompts, lone, strict=True))
        in_company, _ = await at_once([partial(choices_along, model, *pair) for pair in pairs], WIDTH)
        places = [differing(answer, choices) for answer, choices in zip(lone, in_company, strict=True)]
        await model.forget()
        margins: list[float] = []
        for pair, found in zip(pairs, places, strict=True):
            choices = await choices_along(model, *pair) if found else []
            margins += [choices[place][1] for place in found]
    finally:
        await model.close()
    of = sum(map(len, in_company))
    say(f"fast: {len(margins)} of {of} choices differ")
    return [
        alone(f"fast: choices that differ along the lone answer, of {of}", "", [len(margins)], "lower"),
        alone("fast: largest lone margin of such a choice", "logits", [max(margins, default=0.0)], "lower", bar=CLOSE),
    ]


async def choices_along(model: LlamaModel, prompt: str, along: Tokens) -> list[Choice]:
    """Return what the model would choose at each place along an answer, and behind it if it ended by itself."""
    call = GenerateCall((Message("user", prompt),), ANSWER_TOKENS, resume_tokens=along)
    return [(token, lead) for token, lead in json.loads((await whole(model.generate(call))).text)]


def differing(answer: Tokens, choices: Sequence[Choice]) -> list[int]:
    """Return the places where another token was chosen than the answer's, its end included."""
    return [place for place, (token, _) in enumerate(choices) if (*answer, None)[place] != token]
