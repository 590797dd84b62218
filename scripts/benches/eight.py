"""Eight answers at a time to short prompts: tokens a second together, against llama-server with 8 slots."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from scripts.benches import reference, servers, texts
from scripts.benches.client import Client, at_once, chat
from scripts.benches.figures import Report, compared, percentile
from scripts.benches.setup import Setup, say

ABOUT = "8 at a time, short prompts, all tokens a second together"
SIDES = ("Covey", "llama-server")
WIDTH = 8
ANSWER_TOKENS = 64
LEAST = 1.0
"""Of the reference's speed."""


async def run(setup: Setup) -> Report:
    requests = setup.count(16, 32)
    rounds = setup.count(2, 12)
    numbers = iter(range(10**6))

    async def measure(url: str) -> tuple[float, float]:
        return await asked(setup, url, [next(numbers) for _ in range(requests)])

    async def rate(url: str) -> float:
        return (await measure(url))[0]

    options, tried = await reference.best(setup, rate)
    together: tuple[list[float], list[float]] = ([], [])
    first: tuple[list[float], list[float]] = ([], [])
    async with servers.covey(setup.home) as node, reference.started(setup, options) as other:
        for url in (node.url, other.url):
            await servers.warm(url, setup.model)
        for number in range(rounds):
            for side, url in enumerate((node.url, other.url)):
                tokens_s, first_s = await measure(url)
                together[side].append(tokens_s)
                first[side].append(first_s)
            say(f"round {number + 1} of {rounds}: {together[0][-1]:.0f} against {together[1][-1]:.0f} tok/s")
    rows = (
        compared("together", "tok/s", together, bar=LEAST),
        compared("first token, 95 of 100 within", "s", first, "lower"),
    )
    settings: dict[str, object] = {
        "requests": requests,
        "width": WIDTH,
        "answer_tokens": ANSWER_TOKENS,
        "rounds": rounds,
        "reference_options": " ".join(options),
        "tried": tried,
    }
    return Report("eight", ABOUT, rows, SIDES, settings)


async def asked(setup: Setup, url: str, numbers: Sequence[int]) -> tuple[float, float]:
    """Ask the questions of these numbers; return tokens a second together, and when 95 of 100 had their first."""
    async with Client(url, setup.model) as client:
        briefs = [chat("You answer briefly.", texts.question(number)) for number in numbers]
        heard, seconds = await at_once([partial(client.ask, brief, ANSWER_TOKENS) for brief in briefs], WIDTH)
    return sum(one.tokens for one in heard) / seconds, percentile([one.first_s for one in heard], 0.95)
