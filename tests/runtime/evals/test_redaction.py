"""Redaction under test: what is hidden is counted, and what can't be sent is not called restored."""

from __future__ import annotations

import pytest

from models.types import Refusal, RefusalCode, Request, Result
from runtime.evals.redaction import RedactionSubject, words
from runtime.evals.subject import ScriptedSubject

NAME = {"type": "person", "start": 5, "end": 10, "text": "Marta", "score": 0.9}


def finder(request: Request) -> Result:
    assert request.capability == "names"
    return Result(output=[dict(NAME)] if "Marta" in str(request.input["text"]) else [])


async def test_names_and_numbers_are_hidden_and_come_back() -> None:
    text = "Tell Marta to ring 780-999-2181."
    result = await RedactionSubject(ScriptedSubject(finder)).run(Request("redact", {"text": text}))
    assert result.text == "Tell [PERSON_1] to ring [PHONE_1]."
    assert result.signals.scores == {"words": 5.0, "hidden": 2.0, "sendable": 1.0, "restored": 1.0}


async def test_text_with_a_secret_is_not_sendable() -> None:
    result = await RedactionSubject(ScriptedSubject(finder)).run(Request("redact", {"text": "my PIN is 4821"}))
    assert result.text == ""
    assert result.signals.scores["sendable"] == 0.0
    assert "restored" not in result.signals.scores


async def test_refusal_of_the_finder_is_passed_on() -> None:
    refusal = Refusal(RefusalCode.MODEL_MISSING, "Pull it.")
    subject = RedactionSubject(ScriptedSubject(lambda request: Result(output=None, refusal=refusal)))
    assert (await subject.run(Request("redact", {"text": "x"}))).refusal == refusal


@pytest.mark.parametrize("text", ["", "one", " two words "])
def test_nothing_hidden_leaves_all_words(text: str) -> None:
    assert words(text, ()) == {"words": float(len(text.split())), "hidden": 0.0}
