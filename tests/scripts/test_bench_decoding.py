"""Two ways to write are compared over answers of the same, full length only."""

from __future__ import annotations

from itertools import count

import pytest

from models.backend import GenerateCall, Message
from models.backends.scripted import ScriptedText
from scripts.benches.client import Unanswered
from scripts.benches.decoding import TOKENS, Ways, rates

WHOLE = " ".join(["word"] * TOKENS)


async def test_rounds_with_an_answer_that_ends_early_are_asked_anew() -> None:
    numbers = count()

    model = ScriptedText(lambda call: WHOLE)
    short = ScriptedText(lambda call: WHOLE if call.messages[-1].content == "2" else "It ends.")

    def asked() -> Ways:
        call = GenerateCall((Message("user", str(next(numbers))),), TOKENS)
        return (model, call), (short, call)

    found = await rates(asked)
    assert next(numbers) == 3
    assert len(found) == 2


async def test_a_model_that_never_writes_so_much_is_one_sentence() -> None:
    call = GenerateCall((Message("user", "Say yes."),), TOKENS)
    model = ScriptedText(lambda call: "Yes.")
    with pytest.raises(Unanswered, match="choose another model"):
        await rates(lambda: ((model, call),))
