"""What of an answer's time is not the model's: routing, planning, checks, journal, pipes, choosing tokens."""

from __future__ import annotations

import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from models.backend import GenerateCall, Message, whole
from runtime.asking import Ask
from runtime.config import Settings
from runtime.node import Node, open_node
from scripts.benches import texts
from scripts.benches.figures import Report, alone
from scripts.benches.setup import Setup, say

ABOUT = "everything that is not the model, as a share of the time of a warm answer of 64 tokens or more"
LEAST_TOKENS = 64
ANSWER_TOKENS = 96


async def run(setup: Setup) -> Report:
    wanted = setup.count(5, 60)
    whole_node = await _through_the_node(setup, wanted)
    engine = await _engine_alone(setup, wanted)
    rows = (
        alone("a whole `covey ask`, warm", "share", [other for other, _ in whole_node], "lower"),
        alone("of that: the engine's own", "share", [other for other, _ in engine], "lower"),
        alone("a whole `covey ask`, warm", "s", [seconds for _, seconds in whole_node], "lower"),
    )
    return Report("overhead", ABOUT, rows, settings={"answers": wanted, "answer_tokens": ANSWER_TOKENS})


async def _through_the_node(setup: Setup, wanted: int) -> list[tuple[float, float]]:
    settings = Settings(models={"generate": (setup.model,)}, threads=setup.threads)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="covey-bench-")))
        (folder / "models").symlink_to(setup.home / "models")
        node = await stack.enter_async_context(open_node(folder, settings))
        await node.ask(_ask(0))
        return await _asked(node, wanted)


async def _asked(node: Node, wanted: int) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for number in range(1, 4 * wanted):
        began = time.perf_counter()
        answer = await node.ask(_ask(number))
        seconds = time.perf_counter() - began
        usage = answer.result.usage
        if usage.completion_tokens >= LEAST_TOKENS:
            found.append((1 - usage.model_seconds / seconds, seconds))
            say(f"answer {len(found)} of {wanted}: {found[-1][0]:.1%} of {seconds:.2f} s")
        if len(found) == wanted:
            break
    return found


def _ask(number: int) -> Ask:
    """Name no capability, so that choosing one is part of what is measured, its embedding included."""
    return Ask(f"{texts.question(number)} Write at length.", budget_tokens=ANSWER_TOKENS)


async def _engine_alone(setup: Setup, wanted: int) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    async with setup.loaded() as model:
        for number in range(wanted + 1):
            began = time.perf_counter()
            finish = await whole(
                model.generate(GenerateCall((Message("user", texts.question(number)),), ANSWER_TOKENS))
            )
            seconds = time.perf_counter() - began
            if number and finish.usage.completion_tokens >= LEAST_TOKENS:
                found.append((1 - finish.usage.model_seconds / seconds, seconds))
    return found
