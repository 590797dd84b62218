"""Many mixed requests, some of which leave early: nothing lost, nothing crossed, memory flat."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from functools import partial

from scripts.benches import servers, texts
from scripts.benches.client import Client, Unanswered, at_once, chat
from scripts.benches.figures import Report, alone
from scripts.benches.setup import Setup, say

ABOUT = "mixed requests 16 at a time, one in eight hangs up: lost, crossed, failed, and growth of memory"
WIDTH = 16
LEAVES = 8
"""One request in so many hangs up."""
SAMPLES = 10


async def run(setup: Setup) -> Report:
    requests = setup.count(120, 2000)
    draw = random.Random(1)
    counts: Counter[str] = Counter()
    memory: list[float] = []
    async with servers.covey(setup.home) as node, Client(node.url, setup.model) as client:
        await servers.warm(node.url, setup.model)
        began = time.perf_counter()
        share = requests // SAMPLES
        for part in range(SAMPLES):
            numbers = range(part * share, (part + 1) * share)
            jobs = [partial(_one, client, number, draw.random()) for number in numbers]
            outcomes, _ = await at_once(jobs, WIDTH)
            counts.update(outcomes)
            memory.append(node.memory_bytes() / 1e6)
            say(f"{(part + 1) * share} of {requests}: {dict(counts)}, {memory[-1]:.0f} MB")
        seconds = time.perf_counter() - began
        inside = (await client.get("/health"))["requests"]
    early, late = memory[1], memory[-1]  # the first part still fills caches
    rows = (
        alone("answered", "requests", [counts["answered"]]),
        alone("left early", "requests", [counts["left"]]),
        alone("crossed answers", "requests", [counts["crossed"]], "lower"),
        alone("failed or lost", "requests", [counts["failed"]], "lower"),
        alone("still inside at the end", "requests", [inside], "lower"),
        alone("memory after a fifth", "MB", [early], "lower"),
        alone("memory at the end", "MB", [late], "lower"),
        alone("requests a second", "1/s", [sum(counts.values()) / seconds], "higher"),
    )
    return Report("soak", ABOUT, rows, settings={"requests": requests, "width": WIDTH, "leaves": f"1 in {LEAVES}"})


async def _one(client: Client, number: int, chance: float) -> str:
    """Ask for something that only this request can be answered with, and say what came."""
    mark = f"mark-{number}"
    kind = number % 3
    try:
        async with asyncio.timeout(300):
            if chance < 1 / LEAVES:
                return await _leaving(client, number, chance)
            if kind == 0:
                return _judged(mark, await _marked(client, mark, {"enum": [mark]}))
            if kind == 1:
                schema = {"type": "object", "properties": {"id": {"const": mark}}, "required": ["id"]}
                return _judged(mark, await _marked(client, mark, {**schema, "additionalProperties": False}))
            heard = await client.ask(chat("You are brief.", texts.question(number)), 24)
            return "answered" if heard.text else "failed"
    except (Unanswered, TimeoutError, OSError):
        return "failed"


async def _marked(client: Client, mark: str, schema: dict[str, object]) -> str:
    form = {"type": "json_schema", "json_schema": {"name": "mark", "schema": schema}}
    return (await client.ask(chat("Repeat.", f"Say {mark}"), 48, response_format=form)).text


def _judged(mark: str, text: str) -> str:
    if f'"{mark}"' in text:
        return "answered"
    return "crossed" if "mark-" in text else "failed"


async def _leaving(client: Client, number: int, chance: float) -> str:
    try:
        async with asyncio.timeout(0.05 + 4 * chance):
            await client.ask(chat("You are wordy.", texts.question(number)), 64)
    except TimeoutError:
        return "left"
    return "answered"
