"""Log-probability, margin, entropy and feasible mass for every token, against the same answers without them."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from models.backend import MOST_ALTERNATIVES, GenerateCall, Message
from scripts.benches import texts
from scripts.benches.decoding import TOKENS, Ways, decoded, rates
from scripts.benches.figures import Report, compared
from scripts.benches.setup import Setup, say

ABOUT = "decode speed with signals gathered for each token, against without"
SIDES = ("with signals", "without")
LEAST = 0.97
"""Of the speed without."""
TOLD: tuple[tuple[str, int | None, float | None], ...] = (
    ("decode", None, LEAST),
    ("decode, those of each token told", 0, LEAST),
    (f"decode, {MOST_ALTERNATIVES} alternatives to each told too", MOST_ALTERNATIVES, None),
)
"""What the asker is told of each token: nothing, its signals, and so many alternatives; and the bar."""


async def run(setup: Setup) -> Report:
    rounds = setup.count(4, 30)
    numbers = count()
    async with setup.loaded() as measured, setup.loaded(signals=False) as plain:

        def asked() -> Ways:
            number = next(numbers)
            call = GenerateCall((Message("user", f"{texts.filler(40, number)} {texts.story(number)}"),), TOKENS)
            told = [(measured, replace(call, details=n is not None, alternatives=n or 0)) for _, n, _ in TOLD]
            return *told, (plain, call)

        for model in (measured, plain):
            await decoded(model, GenerateCall((Message("user", "Say yes."),), 4))
        speeds: list[list[float]] = []
        for number in range(rounds):
            speeds.append(await rates(asked, turned=number % 2 == 0))
            say(f"round {number + 1} of {rounds}: {' '.join(f'{rate:.0f}' for rate in speeds[-1])} tok/s")
    *series, without = zip(*speeds, strict=True)
    rows = tuple(
        compared(what, "tok/s", (found, without), bar=bar) for (what, _, bar), found in zip(TOLD, series, strict=True)
    )
    return Report("signals", ABOUT, rows, SIDES, {"answer_tokens": TOKENS, "rounds": rounds})
