"""All slots are taken and one client leaves: how soon has the next one its first token?"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from models.backend import GenerateCall, Message, whole
from scripts.benches import reference, servers, texts
from scripts.benches.client import Client, chat
from scripts.benches.figures import Report, alone, compared
from scripts.benches.setup import Setup, say

ABOUT = "8 answers run, a ninth waits, one client hangs up: seconds to the ninth's first token, and to a free place"
SIDES = ("Covey", "llama-server")
RUNNING = 8
LONG_TOKENS = 200
"""Eight such answers fit into the small model's 2,048 tokens of state together."""


async def run(setup: Setup) -> Report:
    rounds = setup.count(3, 20)
    options = reference.start(setup)
    freed: tuple[list[float], list[float]] = ([], [])
    async with servers.covey(setup.home) as node, reference.started(setup, options) as other:
        for url in (node.url, other.url):
            await servers.warm(url, setup.model)
        for number in range(rounds):
            for side, url in enumerate((node.url, other.url)):
                freed[side].append(await _one(url, setup.model, number))
            say(f"round {number + 1} of {rounds}: {freed[0][-1]:.3f} against {freed[1][-1]:.3f} s")
    rows = (
        compared("from hanging up to the first token", "s", freed, "lower"),
        alone("from cancelling to the free place", "s", await _places(setup, 2 * rounds), "lower"),
    )
    return Report("cancel", ABOUT, rows, SIDES, {"rounds": rounds, "reference_options": " ".join(options)})


async def _places(setup: Setup, rounds: int) -> list[float]:
    """Return what a cancel adds to the first token of one who waits for the only place, against finding it free."""
    call = GenerateCall((Message("user", "Say hello."),), 1)
    added: list[float] = []
    async with setup.loaded(slots=1) as model:
        for number in range(rounds):
            asked = f"Tell a very long story. {texts.question(number)}"
            async with aclosing(model.generate(GenerateCall((Message("user", asked),), 900))) as story:
                await anext(story)
                waiting = asyncio.create_task(whole(model.generate(call)))
                await asyncio.sleep(0.1)
                began = time.perf_counter()
            await waiting
            after_cancel = time.perf_counter() - began
            await whole(model.generate(GenerateCall((Message("user", asked),), 2)))
            began = time.perf_counter()
            await whole(model.generate(call))
            added.append(after_cancel - (time.perf_counter() - began))
    return added


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
