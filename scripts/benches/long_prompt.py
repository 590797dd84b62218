"""A 2,000-token prompt arrives while four answers are being written: how long do they stand still?

Both servers are given room for all five. The node shows each token at once here, where an owner's shows those of a
tenth of a second together: else the gaps between pieces would hide those between tokens.
"""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

from scripts.benches import reference, servers, texts
from scripts.benches.client import Client, chat
from scripts.benches.figures import Pair, Report, Row, compared, percentile
from scripts.benches.setup import Setup, say

ABOUT = "4 answers being written while a 2,000-token prompt arrives: the gaps between their tokens"
SIDES = ("Covey", "llama-server")
STREAMS = 4
ANSWER_TOKENS = 160
LONG_TOKENS = 2100
"""As `texts` reckons them; the prompt then has 2,000."""
STARTED_TOKENS = 12
"""Tokens that each of the four has written before the long prompt comes."""

STATE = servers.State(context_tokens=2560, state_tokens=4096)
"""Room for the long prompt beside the four."""
MOST_TIMES_USUAL = 4.0
"""What the longest gap may be of the usual one."""
STEPS = (
    ("-b", "2048", "-ub", "512"),
    ("-b", "512", "-ub", "512"),
    ("-b", "128", "-ub", "128"),
    ("-b", "64", "-ub", "64"),
)
"""Rows of the reference's steps: fewer make shorter gaps and a slower prompt."""


async def run(setup: Setup) -> Report:
    rounds = setup.count(2, 10)
    seeds = iter(range(10**6))

    async def measure(url: str) -> Gaps:
        async with Client(url, setup.model) as client:
            return await _one(client, next(seeds))

    async def shortness(url: str) -> float:
        return 1 / (await measure(url)).longest

    candidates = [_options(setup, (*step, "-fa", flash)) for step in STEPS for flash in ("auto", "off")]
    options, tried = await reference.best_of(setup, candidates, shortness)
    found: tuple[list[Gaps], list[Gaps]] = ([], [])
    node_started = servers.covey(setup.home, state=STATE, every_token=True)
    async with node_started as node, reference.started(setup, options) as other:
        for url in (node.url, other.url):
            await servers.warm(url, setup.model)
        for number in range(rounds):
            for side, url in enumerate((node.url, other.url)):
                found[side].append(await measure(url))
            ours, theirs = found[0][-1].longest, found[1][-1].longest
            say(f"round {number + 1} of {rounds}: longest gap {ours:.2f} against {theirs:.2f} s")
    settings: dict[str, object] = {
        "rounds": rounds,
        "node_settings": ", ".join(str(STATE).splitlines()) + ", every token shown at once",
        "reference_options": " ".join(options),
        "tried": tried,
    }
    return Report("long_prompt", ABOUT, _rows(found), SIDES, settings)


class Gaps:
    """What one round showed."""

    def __init__(self, before: list[float], during: list[float], long_s: float) -> None:
        self.usual = percentile(before, 0.5)
        self.longest = max(during)
        self.times_usual = self.longest / self.usual
        self.p95 = percentile(during, 0.95)
        self.long_s = long_s


async def _one(client: Client, number: int) -> Gaps:
    arrivals: list[list[float]] = [[] for _ in range(STREAMS)]
    ready = asyncio.Event()

    def heard(place: int) -> None:
        arrivals[place].append(time.perf_counter())
        if min(map(len, arrivals)) >= STARTED_TOKENS:
            ready.set()

    async def story(place: int) -> None:
        asked = f"Write a long story about a lighthouse, story number {place + 10 * number}."
        await client.ask(chat("You tell stories.", asked), ANSWER_TOKENS, heard=lambda text: heard(place))

    first: list[float] = []
    async with asyncio.TaskGroup() as group:
        for place in range(STREAMS):
            group.create_task(story(place))
        await asyncio.wait_for(ready.wait(), 120)
        sent = time.perf_counter()
        long = chat(texts.filler(LONG_TOKENS, number), "What is this about?")
        await client.ask(long, 4, heard=lambda text: first.append(time.perf_counter()))
    pairs = [pair for times in arrivals for pair in pairwise(times)]
    before = [later - earlier for earlier, later in pairs if later < sent]
    during = [later - earlier for earlier, later in pairs if later >= sent and earlier <= first[0]]
    return Gaps(before, during or [first[0] - sent], first[0] - sent)


def _options(setup: Setup, more: reference.Options) -> reference.Options:
    """Return a configuration with room for the long prompt in each slot."""
    context = STATE.context_tokens * reference.SLOTS
    return ("-np", str(reference.SLOTS), "-t", str(setup.threads), "-c", str(context), *more)


def _rows(found: tuple[list[Gaps], list[Gaps]]) -> tuple[Row, ...]:
    def pair(name: str) -> Pair:
        return [getattr(gaps, name) for gaps in found[0]], [getattr(gaps, name) for gaps in found[1]]

    return (
        compared("usual gap before", "s", pair("usual"), "lower"),
        compared("longest gap during", "s", pair("longest"), "lower"),
        compared(
            "longest gap over usual gap", "times", pair("times_usual"), "lower", bar=MOST_TIMES_USUAL, held="figure"
        ),
        compared("gap during, 95 of 100 within", "s", pair("p95"), "lower"),
        compared("first token of the long one", "s", pair("long_s"), "lower"),
    )
