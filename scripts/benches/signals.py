"""Log-probability, margin, entropy and feasible mass for every token, against the same answers without them."""

from __future__ import annotations

from dataclasses import replace

from models.backend import MOST_ALTERNATIVES, GenerateCall, Message
from scripts.benches import texts
from scripts.benches.constrained import rate
from scripts.benches.figures import Report, compared
from scripts.benches.setup import Setup, say

ABOUT = "decode speed with signals gathered for each token, against without"
SIDES = ("with signals", "without")
ANSWER_TOKENS = 96
TOLD: tuple[tuple[str, int | None], ...] = (
    ("decode", None),
    ("decode, those of each token told", 0),
    (f"decode, {MOST_ALTERNATIVES} alternatives to each told too", MOST_ALTERNATIVES),
)
"""What the asker is told of each token: nothing, its signals, and so many alternatives."""


async def run(setup: Setup) -> Report:
    rounds = setup.count(4, 30)
    async with setup.loaded() as measured, setup.loaded(signals=False) as plain:
        for model in (measured, plain):
            await rate(model, GenerateCall((Message("user", "Say yes."),), 4))
        speeds: list[list[float]] = [[] for _ in (*TOLD, plain)]
        for number in range(rounds):
            asked = f"{texts.filler(40, number)} {texts.story(number)}"
            call = GenerateCall((Message("user", asked),), ANSWER_TOKENS)
            calls = [(measured, replace(call, details=n is not None, alternatives=n or 0)) for _, n in TOLD]
            series = list(zip(speeds, [*calls, (plain, call)], strict=True))
            for found, (model, wanted) in series if number % 2 else reversed(series):
                found.append(await rate(model, wanted))
            say(f"round {number + 1} of {rounds}: {' '.join(f'{found[-1]:.0f}' for found in speeds)} tok/s")
    rows = tuple(
        compared(what, "tok/s", (found, speeds[-1])) for (what, _), found in zip(TOLD, speeds[:-1], strict=True)
    )
    return Report("signals", ABOUT, rows, SIDES, {"answer_tokens": ANSWER_TOKENS, "rounds": rounds})
