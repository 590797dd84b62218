"""llama-server in the best of several configurations: a comparison with a badly set up one would be worth nothing.

The search goes through the options one by one, keeps what is fastest, and reports all that it tried.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from scripts.benches import servers
from scripts.benches.client import Unanswered
from scripts.benches.servers import Running
from scripts.benches.setup import Setup, say

SLOTS = 8
Options = tuple[str, ...]
Measure = Callable[[str], Awaitable[float]]
"""Takes a server's address, returns a figure of which more is better."""

DIMENSIONS: tuple[tuple[str, tuple[Options, ...]], ...] = (
    ("flash attention", (("-fa", "auto"), ("-fa", "off"), ("-fa", "on"))),
    ("state", (("-c", "16384"), ("-c", "16384", "-kvu"), ("-c", "4096", "-kvu"))),
    ("rows of a step", ((), ("-b", "512", "-ub", "128"), ("-b", "2048", "-ub", "1024"))),
    ("reuse of prompts", ((), ("--cache-reuse", "64"), ("-cram", "0"), ("-sps", "0.5"))),
    ("weights", ((), ("-lm", "none"))),
    ("polling", ((), ("--poll", "0"))),
)
"""What is tried, the defaults first. Threads are the physical cores for both sides, and fewer are tried last."""


def start(setup: Setup) -> Options:
    """Return the configuration that the search begins with: 8 slots, all else as llama-server has it."""
    first = tuple(option for _, choices in DIMENSIONS for option in choices[0])
    return ("-np", str(SLOTS), "-t", str(setup.threads), *first)


@asynccontextmanager
async def started(setup: Setup, options: Options) -> AsyncIterator[Running]:
    async with servers.reference(setup.model_file, setup.model, options) as running:
        yield running


Tried = list[dict[str, object]]


async def best_of(setup: Setup, candidates: Sequence[Options], measure: Measure) -> tuple[Options, Tried]:
    """Return the best of these configurations and how all did; without `full` the first one, untried."""
    if not setup.full:
        return candidates[0], []
    tried: Tried = []
    figures = [await _tried(setup, options, measure, tried) for options in candidates]
    return candidates[figures.index(max(figures))], tried


async def best(setup: Setup, measure: Measure) -> tuple[Options, Tried]:
    """Return the fastest configuration and all that were tried; without `full` the first one, untried."""
    if not setup.full:
        return start(setup), []
    tried: Tried = []
    chosen = [choices[0] for _, choices in DIMENSIONS]
    threads = setup.threads

    def options() -> Options:
        return ("-np", str(SLOTS), "-t", str(threads), *(option for choice in chosen for option in choice))

    top = await _tried(setup, options(), measure, tried)
    for place, (name, choices) in enumerate(DIMENSIONS):
        for choice in choices[1:]:
            before, chosen[place] = chosen[place], choice
            figure = await _tried(setup, options(), measure, tried)
            say(f"{name}: {' '.join(choice)} gives {figure:.1f}, the best so far {top:.1f}")
            if figure > top:
                top = figure
            else:
                chosen[place] = before
    if threads > 1:
        threads -= 1
        if await _tried(setup, options(), measure, tried) <= top:
            threads += 1
    return options(), tried


async def _tried(setup: Setup, options: Options, measure: Measure, tried: Tried) -> float:
    try:
        async with started(setup, options) as running:
            await servers.warm(running.url, setup.model)
            figure = await measure(running.url)
    except (servers.NotStarted, Unanswered) as error:
        tried.append({"options": " ".join(options), "failed": str(error)})
        return 0.0
    tried.append({"options": " ".join(options), "figure": round(figure, 2)})
    return figure
