"""The first token after a restart, with the state of the specialist's prompt on disk and without."""

from __future__ import annotations

import tempfile
import time
from contextlib import aclosing
from pathlib import Path

from models.backend import Delta, Finish, GenerateCall, Message
from models.backends.llama import LlamaModel
from scripts.benches import texts
from scripts.benches.figures import Report, alone, compared
from scripts.benches.setup import Setup, say

ABOUT = "a new process is asked with a 300-token prompt of a specialist: seconds to the first token"
SIDES = ("state on disk", "no state on disk")
PROMPT_TOKENS = 300


async def run(setup: Setup) -> Report:
    rounds = setup.count(3, 20)
    seconds: tuple[list[float], list[float]] = ([], [])
    loads: list[float] = []
    with tempfile.TemporaryDirectory(prefix="covey-bench-") as made:
        async with setup.loaded(prefix_folder=Path(made)) as model:
            await _first(model, 0)
        for number in range(1, rounds + 1):
            for side, folder in enumerate((Path(made), None)):
                began = time.perf_counter()
                async with setup.loaded(prefix_folder=folder) as model:
                    loads.append(time.perf_counter() - began)
                    seconds[side].append(await _first(model, number))
            say(f"round {number} of {rounds}: {seconds[0][-1]:.3f} against {seconds[1][-1]:.3f} s")
    rows = (
        compared("first token, from the request on", "s", seconds, "lower"),
        alone("until the model is loaded", "s", loads, "lower"),
    )
    return Report("restart", ABOUT, rows, SIDES, {"rounds": rounds, "prompt_tokens": PROMPT_TOKENS})


async def _first(model: LlamaModel, number: int) -> float:
    """Return the seconds to the first token, and stay until the answer is over."""
    system = Message("system", texts.system(PROMPT_TOKENS, 1))
    call = GenerateCall((system, Message("user", f"Say {number}.")), 4, own_messages=1)
    began, first = time.perf_counter(), 0.0
    async with aclosing(model.generate(call)) as items:
        async for item in items:
            if isinstance(item, Delta | Finish) and not first:
                first = time.perf_counter() - began
    return first
