"""All slots are taken and one client leaves: how soon has the next one its first token?"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from itertools import count, cycle
from statistics import median
from typing import Literal

from models.backend import GenerateCall, Message, whole
from models.backends.llama import LlamaModel
from scripts.benches import reference, servers, texts
from scripts.benches.client import Client, Unanswered, chat
from scripts.benches.figures import Report, alone, compared
from scripts.benches.setup import Setup, say

ABOUT = "8 answers run, a ninth waits, one client hangs up: seconds to the ninth's first token, and to a free place"
SIDES = ("Covey", "llama-server")
RUNNING = 8
LONG_TOKENS = 200
"""Eight such answers fit into the small model's 2,048 tokens of state together."""
LONG_PROMPT_TOKENS = 1700
LONG_ANSWER_TOKENS = 200
SEARCH_ROUNDS = 3
"""For each configuration of the reference."""
BESIDE = {"… such a prompt with another one in its step": 120, "… such a prompt while another one has the step": 1700}
"""Tokens of the other prompt: a short one leaves most rows of a step to the one behind it."""
BESIDE_STATE_TOKENS = 4096
"""Room for two such prompts."""
THIRD_TOKENS = 300
"""Of the prompt that has the model while the two arrive: longer than that takes."""
READ_TOO_SOON = "a prompt was read to its end before it could be cancelled; this needs a longer one here"
READING_S = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Of a prompt that takes several seconds, in turn: some of these are early in a step, and some late."""
MOST_S = 0.1
"""From cancelling to the free place."""
NOTE = (
    "The bar holds the free place; the first row has the ninth's own prompt in it, on both sides. With a second prompt "
    "beside, the place is free when the model's process says so."
)
WAITING_S = 0.1
"""The next one is in line by then."""
POLL_S = 0.001
SHORT = GenerateCall((Message("user", "Say hello."),), 1)
OTHER = GenerateCall((Message("user", "What is a door?"),), 2)


async def run(setup: Setup) -> Report:
    rounds = setup.count(3, 20)
    numbers = count()

    async def quickness(url: str) -> float:
        return 1 / median([await _one(url, setup.model, next(numbers)) for _ in range(SEARCH_ROUNDS)])

    options, tried = await reference.best(setup, quickness)
    freed: tuple[list[float], list[float]] = ([], [])
    async with servers.covey(setup.home) as node, reference.started(setup, options) as other:
        for url in (node.url, other.url):
            await servers.warm(url, setup.model)
        for number in range(rounds):
            story = next(numbers)
            for side, url in enumerate((node.url, other.url)):
                freed[side].append(await _one(url, setup.model, story))
            say(f"round {number + 1} of {rounds}: {freed[0][-1]:.3f} against {freed[1][-1]:.3f} s")
    async with setup.loaded(slots=1) as model:
        writing = [await _added(model, texts.story(number), "written") for number in range(2 * rounds)]
        long = [f"{texts.filler(LONG_PROMPT_TOKENS, number)} What is this about?" for number in range(rounds)]
        reading = [await _added(model, words, "read", read_s) for words, read_s in zip(long, cycle(READING_S))]
    async with setup.loaded(slots=3, kv_tokens=BESIDE_STATE_TOKENS) as model:
        seeds = count(0, 3)
        beside = {
            what: [
                await _beside(model, tokens, next(seeds), read_s) for _, read_s in zip(range(rounds), cycle(READING_S))
            ]
            for what, tokens in BESIDE.items()
        }
    slowest = max(map(max, (writing, reading, *beside.values())))
    rows = (
        compared("from hanging up to the first token", "s", freed, "lower"),
        alone("from cancelling an answer to the free place", "s", writing, "lower", bar=MOST_S),
        alone("… a 1,700-token prompt that is being read, alone", "s", reading, "lower", bar=MOST_S),
        *(alone(what, "s", found, "lower", bar=MOST_S) for what, found in beside.items()),
        alone("… the slowest of all these", "s", [slowest], "lower", bar=MOST_S),
    )
    settings: dict[str, object] = {"rounds": rounds, "reference_options": " ".join(options), "tried": tried}
    return Report("cancel", ABOUT, rows, SIDES, settings, (NOTE,))


async def _added(model: LlamaModel, words: str, until: Literal["read", "written"], read_s: float = 0.0) -> float:
    """Return what a cancel adds to the first token of one who waits for the only place, against finding it free.

    `until`: cancelled while its prompt is being read, for so many seconds, or when its answer has begun.
    """
    begun = asyncio.Event()
    last = asyncio.create_task(_told(model, words, begun))
    await (begun.wait() if until == "written" else asyncio.sleep(read_s))
    waiting = asyncio.create_task(whole(model.generate(SHORT)))
    await asyncio.sleep(WAITING_S)
    began = time.perf_counter()
    last.cancel()
    await waiting
    after_cancel = time.perf_counter() - began
    if until == "read" and begun.is_set():
        raise Unanswered(READ_TOO_SOON)
    await whole(model.generate(OTHER))
    began = time.perf_counter()
    await whole(model.generate(SHORT))
    return after_cancel - (time.perf_counter() - began)


async def _beside(model: LlamaModel, tokens: int, seed: int, read_s: float) -> float:
    """Return the seconds from cancelling a prompt to its free place, while another one of so many tokens is read too.

    A third one has the model until both are there, so that the next step shares its rows out between them.
    """
    begun = asyncio.Event()
    third = asyncio.create_task(_told(model, texts.filler(THIRD_TOKENS, seed), asyncio.Event(), 1))
    await asyncio.sleep(WAITING_S)
    other = asyncio.create_task(_told(model, texts.filler(tokens, seed + 1), asyncio.Event()))
    last = asyncio.create_task(_told(model, texts.filler(LONG_PROMPT_TOKENS, seed + 2), begun))
    await third
    await asyncio.sleep(read_s)
    began = time.perf_counter()
    last.cancel()
    await asyncio.wait([last])
    while model.unended > 1:  # noqa: ASYNC110  # another process answers
        await asyncio.sleep(POLL_S)
    free_s = time.perf_counter() - began
    other.cancel()
    await asyncio.wait([other])
    if begun.is_set():
        raise Unanswered(READ_TOO_SOON)
    return free_s


async def _told(model: LlamaModel, words: str, begun: asyncio.Event, most: int = LONG_ANSWER_TOKENS) -> None:
    async with aclosing(model.generate(GenerateCall((Message("user", words),), most))) as items:
        async for _ in items:
            begun.set()


async def _one(url: str, model: str, number: int) -> float:
    begun = [asyncio.Event() for _ in range(RUNNING)]
    first: list[float] = []
    async with Client(url, model) as client, asyncio.TaskGroup() as group:
        tasks = []
        for place, event in enumerate(begun):
            messages = chat(
                "You tell long stories.", f"Write a long story about a lighthouse, story number {place + 8 * number}."
            )
            tasks.append(group.create_task(_until_cancelled(client, messages, event)))
        for event in begun:
            await asyncio.wait_for(event.wait(), 120)
        ninth = chat("You answer briefly.", texts.question(number))
        waiting = group.create_task(client.ask(ninth, 4, heard=lambda text: first.append(time.perf_counter())))
        await asyncio.sleep(0.1)
        left = time.perf_counter()
        tasks[0].cancel()
        await waiting
        for task in tasks:
            task.cancel()
    return first[0] - left


async def _until_cancelled(client: Client, messages: list[dict[str, str]], begun: asyncio.Event) -> None:
    try:
        await client.ask(messages, LONG_TOKENS, heard=lambda text: begun.set())
    except asyncio.CancelledError:
        return
