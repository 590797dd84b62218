"""What the model thought of each token, as OpenAI documents it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from models.backend import TokenDetail, TokenSignal
from models.backends.scripted import ScriptedText
from runtime.api.logprobs import LEAST_LOGPROB, logprobs_object
from tests.runtime.api.serving import DiesOnce, door, events

FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


def tokens(logprobs: Any) -> list[str]:
    assert set(logprobs) == {"content", "refusal"} and logprobs["refusal"] is None
    for entry in logprobs["content"]:
        assert set(entry) == {"token", "logprob", "bytes", "top_logprobs", "covey"}
        assert bytes(entry["bytes"]).decode() == entry["token"]
    return [entry["token"] for entry in logprobs["content"]]


async def test_a_whole_answer_has_an_entry_for_each_token(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(["Grüß Gott."])) as at, at.chat(logprobs=True) as response:
        choice = (await response.json())["choices"][0]
    assert tokens(choice["logprobs"]) == ["Grüß", " Gott", "."]
    assert choice["message"]["content"] == "Grüß Gott."
    first = choice["logprobs"]["content"][0]
    assert (first["logprob"], first["top_logprobs"]) == (-0.05, [])
    assert first["covey"] == {"forced": False, "margin": 1.0, "entropy": 0.05, "feasible_mass": 1.0}


async def test_each_piece_of_a_stream_has_the_entries_of_its_tokens(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(["one two three"])) as at:
        async with at.chat(logprobs=True, stream=True) as response:
            choices = [chunk["choices"][0] for chunk in events(await response.read())]
    begin, *said, end = choices
    assert (begin["logprobs"], end["logprobs"]) == (None, None)
    assert [tokens(choice["logprobs"]) for choice in said] == [["one"], [" two"], [" three"]]
    assert [choice["delta"]["content"] for choice in said] == ["one", " two", " three"]


async def test_the_likeliest_others_come_when_they_are_asked_for(tmp_path: Path) -> None:
    model = ScriptedText(["one"])
    async with door(tmp_path, model) as at, at.chat(logprobs=True, top_logprobs=20) as response:
        (entry,) = (await response.json())["choices"][0]["logprobs"]["content"]
    assert entry["top_logprobs"] == [{"token": "one", "logprob": -0.05, "bytes": list(b"one")}]
    assert (model.calls[0].details, model.calls[0].alternatives) == (True, 20)


async def test_what_the_form_forced_is_marked(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(['{"a": 1}'])) as at:
        async with at.chat(logprobs=True, response_format=FORM) as response:
            choice = (await response.json())["choices"][0]
    assert json.loads("".join(tokens(choice["logprobs"]))) == {"a": 1}
    by_token = {entry["token"]: entry for entry in choice["logprobs"]["content"]}
    assert (by_token["{"]["covey"], by_token["{"]["logprob"]) == ({"forced": True}, 0.0)
    assert by_token["a"]["covey"]["feasible_mass"] == 0.95


@pytest.mark.parametrize("fields", [{}, {"logprobs": False}, {"logprobs": None, "top_logprobs": 0}])
async def test_who_does_not_ask_gets_null_and_the_model_is_not_asked(tmp_path: Path, fields: dict[str, Any]) -> None:
    model = ScriptedText(["one two"])
    async with door(tmp_path, model) as at, at.chat(**fields) as response:
        assert (await response.json())["choices"][0]["logprobs"] is None
    assert not model.calls[0].details


async def test_an_answer_of_the_node_itself_has_null(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": "What is 17.5% of 2,340 plus 12?"}]
    async with door(tmp_path) as at:
        async with at.chat(model="covey", messages=asked, logprobs=True, top_logprobs=5) as response:
            assert (await response.json())["choices"][0]["logprobs"] is None


async def test_a_worker_lost_half_way_loses_and_repeats_no_entry(tmp_path: Path) -> None:
    model = DiesOnce(lambda call: "one two three four five six")
    async with door(tmp_path, model) as at, at.chat(logprobs=True) as response:
        choice = (await response.json())["choices"][0]
    assert len(model.calls) == 2
    assert tokens(choice["logprobs"]) == ["one", " two", " three", " four", " five", " six"]


def test_part_of_a_character_is_whole_in_the_bytes() -> None:
    euro = "€".encode()
    details = [TokenDetail(data, TokenSignal(-1.0, 0.5, 2.0, 1.0)) for data in (euro[:1], euro[1:])]
    entries: Any = logprobs_object(details)
    assert entries["content"][0]["token"] == "\ufffd"
    assert bytes(byte for entry in entries["content"] for byte in entry["bytes"]) == euro


def test_what_json_has_no_number_for_is_valid_json_all_the_same() -> None:
    detail = TokenDetail(b"a", TokenSignal(-math.inf, math.inf, 0.0, 0.0), ((b"b", -math.inf),))
    (entry,) = json.loads(json.dumps(logprobs_object([detail]), allow_nan=False))["content"]
    assert entry["logprob"] == entry["top_logprobs"][0]["logprob"] == LEAST_LOGPROB
    assert entry["covey"]["margin"] is None
