"""Sixteen requests that share a long system prompt, eight at a time: cold (nobody has seen it) and warm."""

from __future__ import annotations

from functools import partial

from scripts.benches import reference, servers, texts
from scripts.benches.client import Client, at_once, chat
from scripts.benches.figures import Pair, Report, Row, compared, percentile
from scripts.benches.setup import Setup, say

ABOUT = "16 requests, 8 at a time, one shared 300-token system prompt, 32 tokens each"
SIDES = ("Covey", "llama-server")
REQUESTS = 16
WIDTH = 8
PREFIX_TOKENS = 300
ANSWER_TOKENS = 32
COLD, COLD_FIRST, WARM = 3.0, 0.2, 1.0
"""Least of the reference's speed, and most of its time to the first token."""

Round = tuple[float, float]
"""Tokens a second together; seconds within which 95 of 100 had their first token."""


async def run(setup: Setup) -> Report:
    rounds = setup.count(2, 10)
    seeds = iter(range(1, 10**6))

    async def cold_rate(url: str) -> float:
        return (await asked(setup, url, texts.system(PREFIX_TOKENS, next(seeds)), 0))[0]

    options, tried = await reference.best(setup, cold_rate)
    cold: tuple[list[Round], list[Round]] = ([], [])
    warm: tuple[list[Round], list[Round]] = ([], [])
    for number in range(rounds):
        system = texts.system(PREFIX_TOKENS, next(seeds))
        for side in (0, 1):  # started anew each round: what one prompt left behind must not help the next
            server = reference.started(setup, options) if side else servers.covey(setup.home)
            async with server as running:
                await servers.warm(running.url, setup.model)
                cold[side].append(await asked(setup, running.url, system, 0))
                warm[side].append(await asked(setup, running.url, system, REQUESTS))
        say(f"round {number + 1} of {rounds}: cold {cold[0][-1][0]:.0f} against {cold[1][-1][0]:.0f} tok/s")
    settings: dict[str, object] = {"rounds": rounds, "reference_options": " ".join(options), "tried": tried}
    return Report(
        "shared_prefix", ABOUT, (*_rows("cold", cold, COLD, COLD_FIRST), *_rows("warm", warm, WARM)), SIDES, settings
    )


async def asked(setup: Setup, url: str, system: str, first: int) -> Round:
    """Ask all the questions from number `first` on, after this system prompt."""
    async with Client(url, setup.model) as client:
        jobs = [partial(client.ask, chat(system, texts.question(first + n)), ANSWER_TOKENS) for n in range(REQUESTS)]
        heard, seconds = await at_once(jobs, WIDTH)
    return sum(one.tokens for one in heard) / seconds, percentile([one.first_s for one in heard], 0.95)


def _rows(
    name: str, found: tuple[list[Round], list[Round]], least: float, most_first: float | None = None
) -> tuple[Row, Row]:
    def pair(part: int) -> Pair:
        return [one[part] for one in found[0]], [one[part] for one in found[1]]

    return (
        compared(f"{name}, together", "tok/s", pair(0), bar=least),
        compared(f"{name}, first token, 95 of 100 within", "s", pair(1), "lower", bar=most_first),
    )
