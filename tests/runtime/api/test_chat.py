"""Chat completions as OpenAI documents them, asked by a real client over a real socket."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.backend import Constraint, GenerateCall
from models.backends.scripted import ScriptedText
from runtime.api.answering import DEFAULT_TOKENS, TEMPLATE_START_TOKENS, TEMPLATE_TOKENS
from runtime.api.errors import Refused
from runtime.api.gate import Gate
from runtime.api.openai import read_body
from tests.models.test_lengths import Busy
from tests.runtime.api.serving import MODEL, DiesOnce, Door, door, events, fault

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


async def test_a_whole_answer_has_the_documented_shape(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(["Good day to you."])) as at, at.chat(max_tokens=9) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        body = await response.json()
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", body["id"])
    assert body["object"] == "chat.completion"
    assert body["model"] == MODEL
    assert body["system_fingerprint"].startswith("fp_")
    message = {"role": "assistant", "content": "Good day to you.", "refusal": None}
    assert body["choices"] == [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


async def test_a_stream_is_framed_byte_for_byte_as_documented(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(["Grüß\nGott"])) as at, at.chat(stream=True) as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        data = await response.read()
    first = events(data)[0]
    fixed = f'data: {{"id":"{first["id"]}","object":"chat.completion.chunk","created":{first["created"]},'
    fixed += f'"model":"{MODEL}","choices":[{{"index":0,"delta":'
    end = f'"system_fingerprint":"{events(data)[-1]["system_fingerprint"]}"'
    assert data.decode() == (
        fixed + '{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'
        + fixed + '{"content":"Grüß"},"logprobs":null,"finish_reason":null}]}\n\n'
        + fixed + '{"content":"\\nGott"},"logprobs":null,"finish_reason":null}]}\n\n'
        + fixed + '{},"logprobs":null,"finish_reason":"stop"}],' + end + "}\n\n"
        + "data: [DONE]\n\n"
    )  # fmt: skip


async def test_usage_comes_in_a_chunk_of_its_own_when_asked_for(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(["One two."])) as at:
        async with at.chat(stream=True, stream_options={"include_usage": True}) as response:
            *chunks, last = events(await response.read())
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 3


async def test_streamed_and_whole_answers_are_the_same(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(lambda call: "The cat sat on the mat.")) as at:
        async with at.chat() as response:
            whole = (await response.json())["choices"][0]["message"]["content"]
        async with at.chat(stream=True) as response:
            chunks = events(await response.read())
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == whole


async def test_a_budget_that_runs_out_is_said(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(["one two three four"])) as at, at.chat(max_completion_tokens=2) as response:
        choice = (await response.json())["choices"][0]
    assert choice["message"]["content"] == "one two"
    assert choice["finish_reason"] == "length"


async def test_every_field_reaches_the_model(tmp_path: Path) -> None:
    model = ScriptedText(["{}", "x"])
    schema = {"type": "object"}
    async with door(tmp_path, model) as at:
        fields = {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            ],
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 7,
            "stop": "END",
            "presence_penalty": 0.25,
            "frequency_penalty": 0.125,
            "max_tokens": 12,
            "response_format": {"type": "json_schema", "json_schema": {"name": "any", "schema": schema}},
            "user": "an unknown field is ignored",
        }
        async with at.chat(**fields) as response:
            assert response.status == 200
        async with at.chat() as response:
            assert response.status == 200
    asked, plain = model.calls
    assert [(m.role, m.content) for m in asked.messages] == [("system", "Be brief."), ("user", "a\nb")]
    sampling = asked.sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed) == (0.5, 0.9, 7)
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.25, 0.125)
    assert asked.stop == ("END",)
    assert asked.max_tokens == 12
    assert asked.constraint == Constraint("json_schema", schema)
    assert (plain.sampling.temperature, plain.sampling.top_p, plain.max_tokens) == (1.0, 1.0, DEFAULT_TOKENS)


async def test_json_object_means_any_object(tmp_path: Path) -> None:
    model = ScriptedText(['{"a": 1}'])
    async with door(tmp_path, model) as at, at.chat(response_format={"type": "json_object"}) as response:
        assert json.loads((await response.json())["choices"][0]["message"]["content"]) == {"a": 1}
    assert model.calls[0].constraint == Constraint("json_schema", {"type": "object"})


async def test_a_budget_beyond_the_context_is_cut_to_what_is_left(tmp_path: Path) -> None:
    model = ScriptedText(["ok"], context_tokens=256)
    async with door(tmp_path, model) as at, at.chat(max_tokens=4096) as response:
        assert response.status == 200
    assert 100 < model.calls[0].max_tokens < 256


async def test_a_prompt_beyond_the_context_is_refused_with_the_numbers(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(["ok"], context_tokens=256)) as at:
        async with at.chat(messages=[{"role": "user", "content": "word " * 400}], stream=True) as response:
            status, error = await fault(response)
    assert (status, error["code"], error["type"]) == (400, "context_length_exceeded", "invalid_request_error")
    assert "256" in error["message"]


async def test_a_long_conversation_is_counted_in_few_steps_of_a_busy_model(tmp_path: Path) -> None:
    model = Busy(["ok"])
    messages = [{"role": "user", "content": "word " * 10}] * 100
    async with door(tmp_path, model) as at, at.chat(messages=messages) as response:
        assert response.status == 200
    assert model.steps == 2
    frame = TEMPLATE_START_TOKENS + 100 * TEMPLATE_TOKENS
    assert model.calls[0].max_tokens == model.context_tokens - frame - 100 * 11


async def test_more_messages_than_the_context_has_tokens_are_refused_with_the_numbers(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "x"}] * 9000
    async with door(tmp_path, ScriptedText(["x"])) as at, at.chat(messages=messages) as response:
        status, error = await fault(response)
    assert (status, error["code"]) == (400, "context_length_exceeded")
    assert "9000 messages" in error["message"]


async def test_a_client_that_leaves_frees_the_model(tmp_path: Path) -> None:
    model = ScriptedText(["word " * 1000], fault="slow")
    async with door(tmp_path, model) as at:
        async with at.chat(stream=True) as response:
            await response.content.readline()
            assert model.running == 1
        await _until_free(model)


async def test_a_client_that_leaves_before_the_answer_is_whole_frees_the_model(tmp_path: Path) -> None:
    model = ScriptedText(["word " * 1000], fault="slow")
    async with door(tmp_path, model) as at:
        client = asyncio.create_task(_read_whole(at))
        await _until_running(model, 1)
        client.cancel()
        await asyncio.wait({client})
        await _until_free(model)


async def _read_whole(at: Door) -> None:
    async with at.chat() as response:
        await response.read()


async def _until_free(model: ScriptedText) -> None:
    await _until_running(model, 0)


async def _until_running(model: ScriptedText, generations: int) -> None:
    for _ in range(300):
        if model.running == generations:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{model.running} generations run, not {generations}")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages.0.content"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "8"}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"n": 2}, "n"),
        ({"logprobs": "yes"}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": False, "top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": "3"}, "top_logprobs"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.schema"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop"),
        ({"stop": "x" * 257}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"tools": [TOOL]}, "tools"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tools"),
        ({"functions": [TOOL["function"]]}, "functions"),
        ({"logit_bias": {"11": -100}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"model": 4}, "model"),
        ({"model": None}, "model"),
    ],
)
async def test_a_wrong_field_is_named(tmp_path: Path, fields: dict[str, object], param: str) -> None:
    async with door(tmp_path, ScriptedText(["x"])) as at, at.chat(**fields) as response:
        status, error = await fault(response)
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [TOOL], "tool_choice": "none"},
        {"tools": [], "functions": None, "logit_bias": {}, "modalities": ["text"]},
    ],
)
async def test_what_asks_for_nothing_more_than_a_text_is_no_reason_to_refuse(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    async with door(tmp_path, ScriptedText(["x"])) as at, at.chat(**fields) as response:
        assert response.status == 200


async def test_a_schema_that_nothing_satisfies_is_refused(tmp_path: Path) -> None:
    schema = {"type": "integer", "minimum": 5, "maximum": 2}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with door(tmp_path, ScriptedText(["x"])) as at, at.chat(response_format=form) as response:
        status, error = await fault(response)
    assert (status, error["param"]) == (400, "response_format")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ('"messages": [0{}]', "messages.0"),
        ('"messages": [{{"role": "user", "content": [0{}]}}]', "messages.0.content"),
        ('"messages": [{{"role": "user"}}], "modalities": [0{}]', "modalities.0"),
        ('"messages": [{{"role": "user"}}], "stop": [0{}]', "stop"),
    ],
)
def test_of_a_long_list_that_is_all_wrong_only_the_beginning_is_looked_at(fields: str, param: str) -> None:
    """A body has room for a million errors, and each of them would be kept in full: a gigabyte, and seconds."""
    body = '{"model": "x", ' + fields.format(",0" * 1000) + "}"
    with pytest.raises(Refused) as caught:
        read_body(body.encode())
    assert caught.value.fault.param == param
    assert isinstance(caught.value.__cause__, ValidationError)
    assert caught.value.__cause__.error_count() < 5


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"x"', b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(tmp_path: Path, data: bytes) -> None:
    async with door(tmp_path, ScriptedText()) as at:
        async with at.client.post("/v1/chat/completions", data=data) as response:
            status, error = await fault(response)
    assert (status, error["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("name", ["gpt-4o", "bge-small-en", "qwen2.5-coder-0.5b", "../../etc/passwd", ""])
async def test_a_model_that_is_not_here_is_not_found(tmp_path: Path, name: str) -> None:
    async with door(tmp_path, ScriptedText()) as at, at.chat(model=name) as response:
        status, error = await fault(response)
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")


async def test_an_error_half_way_is_an_event_and_no_done_follows(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(["one two three four five six"] * 2, fault="dies")) as at:
        async with at.chat(stream=True) as response:
            assert response.status == 200
            data = await response.read()
    last = json.loads(data.split(b"\n\n")[-2].removeprefix(b"data: "))
    assert last["error"]["code"] == "worker_died"
    assert b"[DONE]" not in data


class _Defect(ScriptedText):
    """Fails after three tokens in a way that nobody foresaw."""

    async def generate(self, call: GenerateCall):  # type: ignore[no-untyped-def,override]
        async for item in super().generate(call):
            if getattr(item, "index", 0) >= 3:
                raise ZeroDivisionError("the inside")
            yield item


async def test_a_defect_half_way_tells_the_client_nothing_of_the_inside_and_the_log_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with door(tmp_path, _Defect(lambda call: "one two three four five six")) as at:
        async with at.chat(stream=True) as response:
            data = await response.read()
    assert json.loads(data.split(b"\n\n")[-2].removeprefix(b"data: "))["error"]["code"] == "internal"
    assert b"the inside" not in data
    assert "ZeroDivisionError: the inside" in caplog.text


async def test_a_lost_worker_is_not_the_clients_concern(tmp_path: Path) -> None:
    model = DiesOnce(lambda call: "one two three four five six seven")
    async with door(tmp_path, model) as at:
        async with at.chat(stream=True, stream_options={"include_usage": True}) as response:
            *chunks, last = events(await response.read())
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == "one two three four five six seven"
    assert last["usage"]["completion_tokens"] == 7
    assert len(model.calls) == 2


async def test_more_requests_than_fit_are_turned_away_with_a_time(tmp_path: Path) -> None:
    model = ScriptedText(lambda call: "word " * 200, fault="slow")
    async with door(tmp_path, model, gate=Gate(2)) as at:
        async with at.chat(stream=True) as one, at.chat(stream=True) as two:
            assert (one.status, two.status) == (200, 200)
            async with at.chat() as third:
                status, error = await fault(third)
                assert int(third.headers["Retry-After"]) > 0
        assert (status, error["code"], error["type"]) == (429, "rate_limit_exceeded", "rate_limit_error")
        await _until_free(model)
        async with at.chat(stream=True) as again:
            assert again.status == 200


async def test_a_client_that_leaves_makes_room_at_the_gate(tmp_path: Path) -> None:
    gate = Gate(1)
    async with door(tmp_path, ScriptedText(lambda call: "word " * 200, fault="slow"), gate=gate) as at:
        async with at.chat(stream=True) as response:
            await response.content.readline()
        async with asyncio.timeout(3):
            await gate.empty()


async def test_eight_streams_at_once_each_get_their_own_answer(tmp_path: Path) -> None:
    model = ScriptedText(lambda call: call.messages[-1].content, seconds_per_token=0.001)

    async def one(at: Door, number: int) -> str:
        text = f"this is number {number} of eight"
        async with at.chat(messages=[{"role": "user", "content": text}], stream=True) as response:
            chunks = events(await response.read())
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == text
        return chunks[0]["id"]

    async with door(tmp_path, model) as at:
        assert len(set(await asyncio.gather(*(one(at, number) for number in range(8))))) == 8
