"""The model name `covey`: the node itself decides who answers."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

from models.backends.scripted import ScriptedText
from models.types import Chunk, Result, Tier
from runtime.api.answering import Ended, Said, from_node
from runtime.api.openai import ChatBody
from runtime.asking import Answer, Ask, Restarted, StreamItem
from runtime.config import Settings
from runtime.router import route
from runtime.task import Status, TaskId
from tests.runtime.api.serving import door, events, fault

SUM = [{"role": "user", "content": "What is 17.5% of 2,340 plus 12?"}]
TALK = [
    {"role": "system", "content": "You are a pirate."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Arr"},
    {"role": "user", "content": "And who are you"},
]


async def test_what_rules_can_settle_needs_no_model(tmp_path: Path) -> None:
    async with door(tmp_path) as at, at.chat(model="covey", messages=SUM) as response:
        body = await response.json()
    assert "421.5" in body["choices"][0]["message"]["content"]
    assert body["covey"]["specialists"] == ["calculate"]
    assert len(body["covey"]["trace_id"]) == 32


async def test_earlier_turns_and_instructions_reach_the_specialist(tmp_path: Path) -> None:
    model = ScriptedText(["Captain Hook."])
    async with door(tmp_path, model) as at, at.chat(model="covey", messages=TALK, stream=True) as response:
        chunks = events(await response.read())
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == "Captain Hook."
    said = [(message.role, message.content) for message in model.calls[0].messages]
    assert ("system", "You are a pirate.") in said
    assert said[-3:] == [("user", "Hello"), ("assistant", "Arr"), ("user", "And who are you")]


async def test_not_knowing_is_an_answer_and_a_refusal(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "zzz qqq"}]
    async with door(tmp_path, ScriptedText()) as at:
        async with at.chat(model="covey", messages=messages) as response:
            choice = (await response.json())["choices"][0]
        async with at.chat(model="covey", messages=messages, stream=True) as response:
            deltas = [chunk["choices"][0]["delta"] for chunk in events(await response.read())]
    assert choice["message"]["content"].startswith("Not sure: ")
    assert choice["message"]["refusal"]
    assert choice["finish_reason"] == "stop"
    assert "".join(delta.get("content", "") for delta in deltas) == choice["message"]["content"]
    assert {"refusal": choice["message"]["refusal"]} in deltas


async def test_an_answer_under_a_schema_is_json_and_nothing_else(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    messages = [{"role": "user", "content": "Ann lives in Paris."}]
    model = ScriptedText(lambda call: '{"name": "Ann"}')
    async with door(tmp_path, model) as at:
        async with at.chat(model="covey", messages=messages, response_format=form, stream=True) as response:
            chunks = events(await response.read())
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert json.loads(text) == {"name": "Ann"}


async def test_json_that_did_not_end_says_that_its_length_was_the_reason(tmp_path: Path) -> None:
    """Half an object is no answer; clients tell by the reason that more tokens would help."""
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": {"type": "object"}}}
    messages = [{"role": "user", "content": "Ann lives in Paris."}]
    model = ScriptedText(lambda call: '{"name": "Ann Catherine of the long names", "more": "and more of them"}')
    async with door(tmp_path, model) as at:
        async with at.chat(model="covey", messages=messages, response_format=form, max_tokens=4) as response:
            (choice,) = (await response.json())["choices"]
    assert choice["message"]["content"] is None and choice["message"]["refusal"]
    assert choice["finish_reason"] == "length"


class _Withdraws:
    """A node that takes back what it has said and says something else."""

    settings = Settings()

    async def stream(self, ask: Ask) -> AsyncGenerator[StreamItem, None]:
        yield Chunk(0, "Wrong", (1,))
        yield Restarted("a check failed")
        yield Chunk(0, "Right", (2,))
        result = Result(output="Right", text="Right")
        yield Answer(TaskId("t"), Status.COMPLETED, result, route([]), (), Tier.DEVICE, "here", (), 0.1)


async def test_what_is_withdrawn_is_marked_and_is_not_in_the_whole_answer() -> None:
    body = ChatBody.model_validate({"model": "covey", "messages": SUM})
    items = [item async for item in from_node(_Withdraws(), body)]  # type: ignore[arg-type]
    ended = items.pop()
    said = "".join(item.text for item in items if isinstance(item, Said))
    assert said.startswith("Wrong\n\n[Withdrawn") and said.endswith("]\n\nRight")
    assert isinstance(ended, Ended) and ended.text == "Right"


async def test_a_conversation_without_a_question_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path) as at, at.chat(model="covey", messages=TALK[:1]) as response:
        status, error = await fault(response)
    assert (status, error["param"]) == (400, "messages")


async def test_a_schema_with_a_number_that_is_none_is_the_clients_to_correct(tmp_path: Path) -> None:
    body = """{"model": "covey", "messages": [{"role": "user", "content": "The total is 5."}],
    "response_format": {"type": "json_schema", "json_schema": {"schema":
    {"type": "object", "properties": {"a": {"type": "number", "maximum": NUMBER}}}}}}"""
    async with door(tmp_path, ScriptedText()) as at:
        for number in ("NaN", "Infinity", "1e999", "1" + "0" * 400):
            async with at.client.post("/v1/chat/completions", data=body.replace("NUMBER", number)) as response:
                status, error = await fault(response)
                assert (status, error["param"]) == (400, "response_format"), number
