"""Log-probability, margin, entropy and feasible mass for every token, against the same answers without them."""

from __future__ import annotations

from models.backend import GenerateCall, Message
from scripts.benches import texts
from scripts.benches.constrained import rate
from scripts.benches.figures import Report, compared
from scripts.benches.setup import Setup, say

ABOUT = "decode speed with signals gathered for each token, against without"
SIDES = ("with signals", "without")
ANSWER_TOKENS = 96


async def run(setup: Setup) -> Report:
    rounds = setup.count(4, 30)
    speeds: tuple[list[float], list[float]] = ([], [])
    async with setup.loaded() as measured, setup.loaded(signals=False) as plain:
        sides = (measured, plain)
        for model in sides:
            await rate(model, GenerateCall((Message("user", "Say yes."),), 4))
        for number in range(rounds):
            asked = f"{texts.filler(40, number)} {texts.story(number)}"
            for place in (0, 1) if number % 2 else (1, 0):
                call = GenerateCall((Message("user", asked),), ANSWER_TOKENS)
                speeds[place].append(await rate(sides[place], call))
            say(f"round {number + 1} of {rounds}: {speeds[0][-1]:.0f} against {speeds[1][-1]:.0f} tok/s")
    row = compared("decode", "tok/s", speeds)
    return Report("signals", ABOUT, (row,), SIDES, {"answer_tokens": ANSWER_TOKENS, "rounds": rounds})
