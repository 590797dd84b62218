"""One answer at a time: prompt and decode speed at the client, against llama-bench on the bare library."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import count

from scripts.benches import build, reference, servers, texts
from scripts.benches.client import Client, Heard, Unanswered, chat
from scripts.benches.figures import Report, compared
from scripts.benches.reference import Options
from scripts.benches.setup import Setup, say

ABOUT = "one answer at a time over HTTP, against llama-bench at the same depth"
SIDES = ("Covey over HTTP", "llama-bench")
PROMPT_TOKENS = 300
ANSWER_TOKENS = 64
TRIES = 20
"""Questions in a row whose answers may end by themselves before they have that length."""
LEAST = 0.95
"""Of llama-bench's speed."""
CHOICES: tuple[Options, ...] = (
    ("-fa", "0"),
    ("-fa", "1"),
    ("-fa", "0", "-lm", "none"),
    ("-fa", "1", "-lm", "none"),
)
"""Options of llama-bench that are tried, for prompt and decode apart: flash attention, and weights in memory or mapped
from their file."""
REPEATS = 3
"""Runs of each of them in the search, whose mean counts: a single one is off by as much as they differ."""
WARM_TOKENS = 2
"""Of the answer that goes before each measured one, as llama-bench too runs once before it measures: the other program
has just had the caches to itself."""


async def run(setup: Setup) -> Report:
    decode: tuple[list[float], list[float]] = ([], [])
    prompt: tuple[list[float], list[float]] = ([], [])
    rounds = setup.count(3, 15)
    numbers = count(1)
    depths: list[int] = []
    async with servers.covey(setup.home) as node, Client(node.url, setup.model) as client:
        await servers.warm(node.url, setup.model)
        depth = (await client.ask(chat(texts.system(PROMPT_TOKENS, 0), texts.story(0)), 2)).prompt_tokens
        for_decode, tried_decode = await best(setup, "decode", _decode(depth))
        for_prompt, tried_prompt = await best(setup, "prompt", _prompt(depth))
        for number in range(rounds):
            heard = await whole(client, numbers)
            depths.append(heard.prompt_tokens)
            prompt[0].append(heard.prompt_rate)
            decode[0].append(heard.decode_rate)
            prompt[1].append(await _bare(setup, (*for_prompt, *_prompt(heard.prompt_tokens)), 1))
            decode[1].append(await _bare(setup, (*for_decode, *_decode(heard.prompt_tokens)), 1))
            say(f"round {number + 1} of {rounds}: decode {decode[0][-1]:.0f} against {decode[1][-1]:.0f} tok/s")
    return Report(
        "one_stream",
        ABOUT,
        (compared("decode", "tok/s", decode, bar=LEAST), compared("prompt", "tok/s", prompt, bar=LEAST)),
        SIDES,
        {
            "depth_tokens": f"{min(depths)} to {max(depths)}",
            "answer_tokens": ANSWER_TOKENS,
            "rounds": rounds,
            "llama_bench_options_for_decode": " ".join(for_decode),
            "llama_bench_options_for_prompt": " ".join(for_prompt),
            "tried": [*tried_decode, *tried_prompt],
        },
    )


async def whole(client: Client, numbers: Iterator[int]) -> Heard:
    """Ask until an answer has its full length: a rate over the few tokens of a short one says nothing."""
    number = next(numbers)
    await client.ask(chat(texts.system(PROMPT_TOKENS, number), texts.story(number)), WARM_TOKENS)
    for number in (next(numbers) for _ in range(TRIES)):
        heard = await client.ask(chat(texts.system(PROMPT_TOKENS, number), texts.story(number)), ANSWER_TOKENS)
        if heard.tokens == ANSWER_TOKENS:
            return heard
    raise Unanswered(f"{TRIES} answers ended before they had {ANSWER_TOKENS} tokens; choose another model")


async def best(setup: Setup, what: str, test: Options) -> tuple[Options, reference.Tried]:
    """Return llama-bench's fastest options for this test, and how all did; without `full` the first, untried."""
    if not setup.full:
        return CHOICES[0], []
    rates = {choice: await _bare(setup, (*choice, *test), REPEATS) for choice in CHOICES}
    tried: reference.Tried = [
        {"options": " ".join(choice), "for": what, "figure": round(rate, 2)} for choice, rate in rates.items()
    ]
    return max(rates, key=rates.__getitem__), tried


def _prompt(depth: int) -> Options:
    return ("-p", str(depth), "-n", "0")


def _decode(depth: int) -> Options:
    return ("-p", "0", "-n", str(ANSWER_TOKENS), "-d", str(depth))


async def _bare(setup: Setup, options: Options, repeats: int) -> float:
    """Return llama-bench's tokens a second, the mean of so many runs."""
    command = [str(build.program("llama-bench")), "-m", str(setup.model_file), "-t", str(setup.threads)]
    return await _rate([*command, *options, "-r", str(repeats), "-o", "json"])


async def _rate(command: list[str]) -> float:
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=quiet)
    out, _ = await process.communicate()
    if process.returncode:
        raise servers.NotStarted(f"llama-bench ended with {process.returncode}")
    return float(json.loads(out)[0]["avg_ts"])
