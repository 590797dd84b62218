"""What an answer looks like: streamed to a terminal, in a file or pipe, as an object, and the line beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from models.backends.scripted import ScriptedPool, ScriptedText
from models.types import Evidence, Refusal, RefusalCode, Result
from runtime.asking import Answer, Ask
from runtime.claims import Claim
from runtime.cli import render
from runtime.cli.paper import Paper, streamed
from runtime.cli.starter import BETTER, Starter
from runtime.node import open_node
from runtime.router import route
from runtime.task import Status, TaskId


async def _streamed(home: Path, *replies: str) -> Answer:
    pool = ScriptedPool(text={"smollm2-135m": ScriptedText(list(replies), name="smollm2-135m")})
    async with open_node(home, pool=pool) as node:
        return await streamed(node, Ask("Write a short poem about rain"))


async def test_what_a_model_writes_can_not_command_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await _streamed(tmp_path, "Rain \x1b[2J falls \x07 softly.")
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "softly." in said


def _ended(paper: Paper, text: str) -> None:
    paper.end(_answer(Result(text=text, confidence=0.8)))


def test_the_answer_is_the_last_thing_on_a_terminal_even_when_a_later_try_was_worse(
    capsys: pytest.CaptureFixture[str],
) -> None:
    paper = Paper(live=True)
    paper.write("At noon.")
    paper.void("it looks hard")
    paper.write("At one, or")
    _ended(paper, "At noon.")
    assert capsys.readouterr().out == "At noon.\nAt one, or\nAt noon.\n"


def test_what_stood_on_the_terminal_already_is_not_printed_again(capsys: pytest.CaptureFixture[str]) -> None:
    paper = Paper(live=True)
    paper.write("At noon.")
    _ended(paper, "At noon.")
    assert capsys.readouterr().out == "At noon.\n"


def test_a_file_or_a_pipe_gets_the_answer_and_nothing_that_was_void(capsys: pytest.CaptureFixture[str]) -> None:
    paper = Paper(live=False)
    paper.write("At one, or")
    paper.void("it looks hard")
    _ended(paper, "At noon.")
    assert capsys.readouterr().out == "At noon.\n"


def _answer(result: Result, specialists: Sequence[str] = ("writer",)) -> Answer:
    from models.types import Tier

    return Answer(
        TaskId("ab" * 16), Status.COMPLETED, result, route([]), (), Tier.DEVICE, "here", tuple(specialists), 1.234
    )


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (
            Result(text="x", confidence=0.613, model="smollm2-135m"),
            "writer · smollm2-135m · confidence 0.61 (uncalibrated)",
        ),
        (Result(text="x", confidence=0.613, model="m", calibrated=True), "writer · m · confidence 0.61"),
        (
            Result(text="x", confidence=0.18, model="m"),
            "writer · m · unsure, check it: confidence 0.18 (uncalibrated)",
        ),
        (Result(text="x", confidence=0.5, model="m", calibrated=True), "writer · m · confidence 0.50"),
        (Result(text="x", confidence=1.0), "writer · computed, not guessed"),
        (Result(text="x", confidence=0.9), "writer · confidence 0.90 (uncalibrated)"),
        (Result(refusal=Refusal(RefusalCode.NOT_FOUND, "no"), model="m"), "writer · m · not sure"),
    ],
)
def test_the_line_beside_an_answer_says_what_made_it_and_how_sure_it_is(result: Result, line: str) -> None:
    assert render.byline(_answer(result)) == f"{line} · 1.23 s · trace abababab"


def test_evidence_and_findings_are_in_the_object() -> None:
    result = Result(refusal=Refusal(RefusalCode.NOT_SURE, "weak", "maybe 4"), evidence=(Evidence("a", 0, 1, "x"),))
    made = render.answer_object(_answer(result))
    assert made["evidence"] == [{"source": "a", "start": 0, "end": 1, "quote": "x"}]
    assert (made["found"], made["reason"], made["refusal"]) == ("maybe 4", "weak", "not_sure")
    json.dumps(made)


@pytest.mark.parametrize(
    ("result", "unsure"),
    [
        (Result(text="x", confidence=0.49, model="m"), True),
        (Result(text="x", confidence=0.5, model="m"), False),
        (Result(text="x", confidence=0.1), False),
        (Result(refusal=Refusal(RefusalCode.NOT_SURE, "weak"), confidence=0.1, model="m"), False),
    ],
)
def test_an_answer_that_is_as_likely_wrong_as_right_is_called_unsure(result: Result, unsure: bool) -> None:
    assert render.answer_object(_answer(result))["unsure"] is unsure


def test_what_was_streamed_is_not_said_twice() -> None:
    result = Result(refusal=Refusal(RefusalCode.NOT_SURE, "weak", "maybe 4"))
    assert render.spoken(result) == "Not sure: weak\nWhat I found: maybe 4"
    assert render.spoken(result, shown="It is maybe 4.") == "Not sure: weak"


def test_a_better_model_is_suggested_once_and_where_it_matters(tmp_path: Path) -> None:
    def answer(capability: str) -> Answer:
        routing = route([Claim("rules", capability, 1.0, "")])
        return replace(_answer(Result(text="x", model="smollm2-135m")), routing=routing)

    starter = Starter(tmp_path)
    assert starter.hint(answer("generate"), 8 * 10**9) == ""
    assert starter.hint(answer("code"), 10**6) == ""
    assert BETTER in starter.hint(answer("code"), 8 * 10**9)
    assert starter.hint(answer("code"), 8 * 10**9) == ""
