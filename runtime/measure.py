"""Measures the text models of this device: load, prompt, decode at 1, 4 and 8 streams, memory. For owners.

Runs a model in a worker of its own, as a node would, and says in one sentence what the device is good for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass

from models.backend import Delta, GenerateCall, Message, TextModel, whole

STREAMS = (1, 4, 8)
ANSWER_TOKENS = 48
PROMPT_WORDS = 200
MODEL_S = 40.0
"""Seconds for one model; what is not measured by then is left out, so that a slow device is not kept for long."""
READING = 5.0
"""Words a second that most people read; an answer that comes faster than this never keeps a reader waiting."""
WORDS_PER_TOKEN = 0.75
COMFORT = READING / WORDS_PER_TOKEN


@dataclass(frozen=True, slots=True)
class Measured:
    """What one model does on this device. None: there was no time to measure it."""

    model: str
    load_s: float
    prompt_tokens_s: float | None
    decode_tokens_s: dict[int, float]
    """By streams at once; all of them together."""
    memory_bytes: int


async def measure(name: str, loading: AbstractAsyncContextManager[TextModel]) -> Measured:
    """Load a model and measure it. Raises ModelsError."""
    began = time.perf_counter()
    async with loading as model:
        load_s = time.perf_counter() - began
        prompt, rates = None, dict[int, float]()
        try:
            async with asyncio.timeout(MODEL_S):
                prompt = await prompt_rate(model)
                for streams in STREAMS:
                    rates[streams] = await decode_rate(model, streams)
        except TimeoutError:
            pass  # a slow device: what was measured so far is told
        return Measured(name, load_s, prompt, rates, model.memory_bytes)


async def prompt_rate(model: TextModel) -> float:
    """Return the prompt tokens a second of a prompt that nothing of is known yet."""
    text = await _prompt(model)
    began = time.perf_counter()
    usage = (await whole(model.generate(GenerateCall((Message("user", text),), 1)))).usage
    return (usage.prompt_tokens - usage.cached_tokens) / (time.perf_counter() - began)


async def _prompt(model: TextModel) -> str:
    """Return a text that takes no more than half of the context, which the owner may have made small."""
    words = [f"word{number % 97}" for number in range(PROMPT_WORDS)]
    while len(words) > 1 and await model.count_tokens(" ".join(words)) > model.context_tokens // 2:
        words = words[: len(words) // 2]
    return " ".join(words)


async def decode_rate(model: TextModel, streams: int) -> float:
    """Return the tokens a second of so many answers together, from the moment that all are being written."""
    times: list[list[tuple[float, int]]] = [[] for _ in range(streams)]

    async def one(place: int) -> None:
        message = Message("user", f"Write a long story about a lighthouse keeper, story number {place + 1}.")
        async with aclosing(model.generate(GenerateCall((message,), ANSWER_TOKENS))) as items:
            async for item in items:
                if isinstance(item, Delta):
                    times[place].append((time.perf_counter(), len(item.token_ids)))

    async with asyncio.TaskGroup() as group:
        for place in range(streams):
            group.create_task(one(place))
    return together([own for own in times if own])


def together(times: Sequence[Sequence[tuple[float, int]]]) -> float:
    """Return the tokens a second while all streams ran: (moment, tokens) of each, in order.

    >>> together([[(0.0, 1), (1.0, 1), (2.0, 1)], [(0.5, 1), (1.5, 1), (2.5, 1)]])
    2.0
    """
    if not times:
        return 0.0
    start = max(own[0][0] for own in times)
    end = min(own[-1][0] for own in times)
    if end <= start:
        return 0.0
    counted = sum(tokens for own in times for moment, tokens in own if start < moment <= end)
    return counted / (end - start)


def verdict(found: Sequence[Measured]) -> str:
    """Return one sentence on what the device is good for."""
    usable = [one for one in found if one.decode_tokens_s.get(1)]
    if not usable:
        return "This device is too slow for the models that are here; a smaller model may do (covey models list)."
    largest = max(usable, key=lambda one: one.memory_bytes)
    comfortable = [one for one in usable if one.decode_tokens_s[1] >= COMFORT]
    if not comfortable:
        return (
            f"{largest.model} writes {largest.decode_tokens_s[1]:.0f} tokens a second here, slower than one reads: "
            "fit for short answers, labels and extraction, less for conversation."
        )
    best = max(comfortable, key=lambda one: one.memory_bytes)
    readers = int(max(rate for rate in best.decode_tokens_s.values()) / COMFORT)
    company = f", for about {min(readers, max(STREAMS))} at a time" if readers > 1 else ""
    return (
        f"Good for conversation with {best.model}: it writes {best.decode_tokens_s[1] / COMFORT:.0f} times "
        f"as fast as one reads{company}."
    )
