"""Asks again, with nothing beside it, what was answered in company, and says whether the two may differ so.

Rounding depends on what else is in a step, so that where two tokens are close either may be chosen. An
answer that read another's state differs where nothing is close.
"""

from __future__ import annotations

import math
from typing import Literal

from models.backend import Constraint, GenerateCall, TextModel, whole
from scripts.benches.soak_requests import SCHEMA, Asked, Got, is_right

Verdict = Literal["same", "close", "mistaken", "crossed"]
CLOSE_LOGITS = 1.0
"""Lead of the lone choice, where the two texts part, from which rounding can't turn it."""
CLOSE_SHARE = 0.2
"""Of a label's probability; rounding moves it by a few hundredths."""


async def judged(model: TextModel, asked: Asked, got: Got) -> Verdict:
    """Return what the lone answer says of the one in company. Raises ModelsError."""
    if not isinstance(got, str):
        lone = await model.score(asked.messages, asked.labels, asker=_nobody(asked))
        if max(abs(a - b) for a, b in zip(lone, got, strict=True)) > CLOSE_SHARE:
            return "crossed"
        return "same" if is_right(asked, got) else "mistaken"
    text = await _lone(model, asked)
    if text == got:
        return "same" if is_right(asked, got) or not asked.word else "mistaken"
    ours, other = await model.score(asked.messages, (text, got), asker=_nobody(asked))
    return "close" if other and math.log(ours / other) < CLOSE_LOGITS else "crossed"


async def _lone(model: TextModel, asked: Asked) -> str:
    """Let the model answer. Nothing of it is kept: each asker has its own state."""
    constraint = Constraint("json_schema", SCHEMA) if asked.kind == "named" else None
    call = GenerateCall(asked.messages, asked.tokens, constraint=constraint, asker=_nobody(asked))
    return (await whole(model.generate(call))).text


def _nobody(asked: Asked) -> str:
    """Return an asker that asks only this."""
    return f"request-{asked.number}"
