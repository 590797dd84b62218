"""Output under a JSON Schema against free output of the same length: what the masks cost."""

from __future__ import annotations

import time
from contextlib import aclosing

from models.backend import Constraint, Delta, GenerateCall, Message
from models.backends.llama import LlamaModel
from scripts.benches import texts
from scripts.benches.figures import Report, alone, compared
from scripts.benches.setup import Setup, say

ABOUT = "decode speed under a schema, against free decoding of the same length"
SIDES = ("under a schema", "free")
ANSWER_TOKENS = 96


def _schema() -> dict[str, object]:
    person = {
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
    schema, free, first = [], [], []
    constraint = Constraint("json_schema", _schema())  # type: ignore[arg-type]
    async with setup.loaded() as model:
        began = time.perf_counter()
        await rate(model, GenerateCall((Message("user", "List people."),), 4, constraint=constraint))
        first.append(time.perf_counter() - began)
        for number in range(rounds):
            messages = (Message("user", f"List people. {texts.question(number)} {texts.filler(40, number)}"),)
            schema.append(await rate(model, GenerateCall(messages, ANSWER_TOKENS, constraint=constraint)))
            free.append(await rate(model, GenerateCall(messages, ANSWER_TOKENS)))
            say(f"round {number + 1} of {rounds}: {schema[-1]:.0f} against {free[-1]:.0f} tok/s")
    rows = (
        compared("decode", "tok/s", (schema, free)),
        alone("first use of a schema in a process", "s", first, "lower"),
    )
    return Report("constrained", ABOUT, rows, SIDES, {"answer_tokens": ANSWER_TOKENS, "rounds": rounds})


async def rate(model: LlamaModel, call: GenerateCall) -> float:
    """Return the tokens a second after the first."""
    async with aclosing(model.generate(call)) as items:
        times = [(time.perf_counter(), len(item.token_ids)) async for item in items if isinstance(item, Delta)]
    tokens = sum(count for _, count in times[1:])
    return tokens / (times[-1][0] - times[0][0]) if len(times) > 1 else 0.0
