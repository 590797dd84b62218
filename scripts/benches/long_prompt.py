"""A 2,000-token prompt arrives while four answers are being written: how long do they stand still?

A node gives all requests of the small model 2,048 tokens of state together, so there the long prompt
would wait its turn. Here the engine is given room for all of them; llama-server has it by its options.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise

from models.backend import Delta, GenerateCall, Message
from models.backends.llama import LlamaModel
from scripts.benches import reference, servers, texts
from scripts.benches.client import Client, chat
from scripts.benches.figures import Pair, Report, Row, compared, percentile
from scripts.benches.setup import Setup, say

ABOUT = "4 answers being written while a 2,000-token prompt arrives: the gaps between their tokens"
SIDES = ("Covey's engine", "llama-server")
STREAMS = 4
ANSWER_TOKENS = 160
LONG_TOKENS = 1900
"""As counted before the template; the prompt then has about 2,000."""
STARTED_TOKENS = 12
"""Tokens that each of the four has written before the long prompt comes."""

Heard = Callable[[], None]
Ask = Callable[[str, str, int, Heard], Coroutine[None, None, None]]
"""System text, question, most tokens, called at each piece."""


async def run(setup: Setup) -> Report:
    rounds = setup.count(2, 10)
    options = _options(setup)
    found: tuple[list[Gaps], list[Gaps]] = ([], [])
    async with setup.loaded(kv_tokens=4096, context_tokens=2560) as model, _server(setup, options) as asks:
        for number in range(rounds):
            for side, ask in enumerate((_direct(model), asks)):
                found[side].append(await _one(ask, number))
            ours, theirs = found[0][-1], found[1][-1]
            say(f"round {number + 1} of {rounds}: longest gap {ours.longest:.2f} against {theirs.longest:.2f} s")
    settings: dict[str, object] = {"rounds": rounds, "reference_options": " ".join(options)}
    return Report("long_prompt", ABOUT, _rows(found), SIDES, settings)


class Gaps:
    """What one round showed."""

    def __init__(self, before: list[float], during: list[float], long_s: float) -> None:
        self.usual = percentile(before, 0.5)
        self.longest = max(during)
        self.p95 = percentile(during, 0.95)
        self.long_s = long_s


async def _one(ask: Ask, number: int) -> Gaps:
    arrivals: list[list[float]] = [[] for _ in range(STREAMS)]
    ready = [asyncio.Event() for _ in range(STREAMS)]

    def heard(place: int) -> Heard:
        def piece() -> None:
            arrivals[place].append(time.perf_counter())
            if len(arrivals[place]) >= STARTED_TOKENS:
                ready[place].set()

        return piece

    first: list[float] = []
    async with asyncio.TaskGroup() as group:
        for place in range(STREAMS):
            asked = f"Write a long story about a lighthouse, story number {place + 10 * number}."
            group.create_task(ask("You tell stories.", asked, ANSWER_TOKENS, heard(place)))
        for event in ready:
            await asyncio.wait_for(event.wait(), 120)
        sent = time.perf_counter()
        note = lambda: first.append(time.perf_counter())  # noqa: E731
        await ask(texts.filler(LONG_TOKENS, number), "What is this about?", 4, note)
    before = [b - a for times in arrivals for a, b in _pairs(times) if b < sent]
    during = [b - a for times in arrivals for a, b in _pairs(times) if b >= sent and a <= first[0]]
    return Gaps(before, during or [first[0] - sent], first[0] - sent)


def _pairs(times: list[float]) -> list[tuple[float, float]]:
    return list(pairwise(times))


def _direct(model: LlamaModel) -> Ask:
    async def ask(system: str, question: str, most: int, heard: Heard) -> None:
        messages = (Message("system", system), Message("user", question))
        async with aclosing(model.generate(GenerateCall(messages, most))) as items:  # type: ignore[type-var]
            async for item in items:
                if isinstance(item, Delta):
                    heard()

    return ask


@asynccontextmanager
async def _server(setup: Setup, options: reference.Options) -> AsyncIterator[Ask]:
    async with reference.started(setup, options) as running, Client(running.url, setup.model) as client:
        await servers.warm(running.url, setup.model)

        async def ask(system: str, question: str, most: int, heard: Heard) -> None:
            await client.ask(chat(system, question), most, heard=lambda text: heard())

        yield ask


def _options(setup: Setup) -> reference.Options:
    """Return a context of 2,560 tokens for each slot, and steps as small as ours beside answers."""
    return ("-np", str(reference.SLOTS), "-t", str(setup.threads), "-c", str(2560 * reference.SLOTS), "-fa", "auto")


def _rows(found: tuple[list[Gaps], list[Gaps]]) -> tuple[Row, ...]:
    def pair(name: str) -> Pair:
        return [getattr(gaps, name) for gaps in found[0]], [getattr(gaps, name) for gaps in found[1]]

    return (
        compared("usual gap before", "s", pair("usual"), "lower"),
        compared("longest gap during", "s", pair("longest"), "lower"),
        compared("gap during, 95 of 100 within", "s", pair("p95"), "lower"),
        compared("first token of the long one", "s", pair("long_s"), "lower"),
    )
