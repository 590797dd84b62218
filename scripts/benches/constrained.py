"""Output under a JSON Schema against free output of the same length: what the masks cost."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count

from models.backend import Constraint, GenerateCall, Message
from models.types import Json
from scripts.benches import texts
from scripts.benches.decoding import TOKENS, Ways, decoded, rates
from scripts.benches.figures import Report, alone, compared
from scripts.benches.setup import Setup, say

ABOUT = "decode speed under a schema, against free decoding of the same length"
SIDES = ("under a schema", "free")
ASKED = "List people."
LEAST = 0.9
"""Of the speed of free decoding."""

NOTE = "Both answers have the same number of tokens. Those that the schema leaves no choice about take no step."


def _schema() -> Json:
    person: Json = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 24},
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "city": {"type": "string", "maxLength": 24},
        },
        "required": ["name", "age", "city"],
        "additionalProperties": False,
    }
    return {"type": "array", "items": person, "minItems": 12, "maxItems": 12}


async def run(setup: Setup) -> Report:
    rounds = setup.count(4, 30)
    speeds: tuple[list[float], list[float]] = ([], [])
    constraint = Constraint("json_schema", _schema())
    numbers = count()

    async with setup.loaded() as model:

        def asked() -> Ways:
            number = next(numbers)
            free = GenerateCall((Message("user", f"{ASKED} {texts.story(number)} {texts.filler(40, number)}"),), TOKENS)
            return (model, replace(free, constraint=constraint)), (model, free)

        began = time.perf_counter()
        await decoded(model, GenerateCall((Message("user", ASKED),), 4, constraint=constraint))
        first = time.perf_counter() - began
        for number in range(rounds):
            for side, rate in enumerate(await rates(asked)):
                speeds[side].append(rate)
            say(f"round {number + 1} of {rounds}: {speeds[0][-1]:.0f} against {speeds[1][-1]:.0f} tok/s")
    rows = (
        compared("decode", "tok/s", speeds, bar=LEAST),
        alone("first use of a schema in a process", "s", [first], "lower"),
    )
    return Report("constrained", ABOUT, rows, SIDES, {"answer_tokens": TOKENS, "rounds": rounds}, (NOTE,))
