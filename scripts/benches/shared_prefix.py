"""Sixteen requests that share a long system prompt, eight at a time: cold (nobody has seen it) and warm."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from scripts.benches import reference, servers, texts
from scripts.benches.client import Client, at_once, chat
from scripts.benches.figures import Pair, Report, Row, compared, percentile
from scripts.benches.servers import Running
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
Start = Callable[[], AbstractAsyncContextManager[Running]]


async def run(setup: Setup) -> Report:
    rounds = setup.count(2, 10)
    seeds = iter(range(1, 10**6))

    async def cold_rate(url: str) -> float:
        return (await asked(setup, texts.system(PREFIX_TOKENS, next(seeds)), url, 0))[0]

    async def warm_rate(url: str) -> float:
        system = texts.system(PREFIX_TOKENS, next(seeds))
        await asked(setup, system, url, 0)
        return (await asked(setup, system, url, REQUESTS))[0]

    cold_options, tried_cold = await reference.best(setup, cold_rate)
    warm_options, tried_warm = await reference.best(setup, warm_rate)
    node = partial(_ready, setup, partial(servers.covey, setup.home))
    for_cold = partial(_ready, setup, partial(reference.started, setup, cold_options))
    for_warm = partial(_ready, setup, partial(reference.started, setup, warm_options))
    if warm_options == cold_options:
        for_warm = for_cold
    cold: tuple[list[Round], list[Round]] = ([], [])
    warm: tuple[list[Round], list[Round]] = ([], [])
    for number in range(rounds):
        system = texts.system(PREFIX_TOKENS, next(seeds))
        for side, starts in enumerate(((node, node), (for_cold, for_warm))):
            one_cold, one_warm = await cold_and_warm(*starts, partial(asked, setup, system))
            cold[side].append(one_cold)
            warm[side].append(one_warm)
        say(f"round {number + 1} of {rounds}: cold {cold[0][-1][0]:.0f} against {cold[1][-1][0]:.0f} tok/s")
    settings: dict[str, object] = {
        "rounds": rounds,
        "reference_options_cold": " ".join(cold_options),
        "reference_options_warm": " ".join(warm_options),
        "tried": [
            {"for": name, **one} for name, tried in (("cold", tried_cold), ("warm", tried_warm)) for one in tried
        ],
    }
    return Report(
        "shared_prefix", ABOUT, (*_rows("cold", cold, COLD, COLD_FIRST), *_rows("warm", warm, WARM)), SIDES, settings
    )


async def cold_and_warm(
    for_cold: Start, for_warm: Start, ask: Callable[[str, int], Awaitable[Round]]
) -> tuple[Round, Round]:
    """Return what one server did cold, and what the other did warm, after the same requests cold; both may be one.

    They are started anew each round: what one prompt left behind must not help the next.
    """
    async with for_cold() as running:
        cold = await ask(running.url, 0)
        if for_warm is for_cold:
            return cold, await ask(running.url, REQUESTS)
    async with for_warm() as running:
        await ask(running.url, 0)
        return cold, await ask(running.url, REQUESTS)


@asynccontextmanager
async def _ready(setup: Setup, start: Start) -> AsyncIterator[Running]:
    async with start() as running:
        await servers.warm(running.url, setup.model)
        yield running


async def asked(setup: Setup, system: str, url: str, first: int) -> Round:
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
