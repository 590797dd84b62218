"""The API over a real model in its real process."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from models.pool import ModelPool
from models.store import Store
from runtime import paths
from runtime.api.server import serving
from runtime.node import open_node
from tests.runtime.api.serving import Door, events

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@asynccontextmanager
async def _real_door(home: Path, models_home: Path) -> AsyncIterator[Door]:
    pool = ModelPool(Store(models_home / "models"), budget_bytes=10**9, threads=2)
    try:
        async with (
            open_node(paths.ensure_home(home), pool=pool) as node,
            serving(node, 0) as server,
            aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client,
        ):
            yield Door(node, server, client)
    finally:
        await pool.close()


async def test_a_real_model_streams_counts_reuses_and_keeps_to_a_schema(tmp_path: Path, models_home: Path) -> None:
    messages = [{"role": "user", "content": "What is photosynthesis? " + "Explain it to a child. " * 8}]
    schema = {"enum": [{"ok": True}, {"ok": False}]}
    form = {"type": "json_schema", "json_schema": {"name": "ok", "schema": schema}}
    async with _real_door(tmp_path, models_home) as at:
        fields = {"messages": messages, "temperature": 0, "max_tokens": 24}
        async with at.chat(**fields) as response:  # computes the prompt; the next two find it, and are computed alike
            await response.read()
        async with at.chat(**fields) as response:
            whole = await response.json()
        async with at.chat(**fields, stream=True, stream_options={"include_usage": True}) as response:
            *chunks, last = events(await response.read())
        async with at.chat(messages=messages, max_tokens=40, response_format=form) as response:
            formed = json.loads((await response.json())["choices"][0]["message"]["content"])
    text = whole["choices"][0]["message"]["content"]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == text
    assert whole["usage"]["completion_tokens"] == last["usage"]["completion_tokens"] == 24
    assert last["usage"]["prompt_tokens_details"]["cached_tokens"] > 40
    assert isinstance(formed["ok"], bool)


async def test_log_probabilities_of_a_stream_are_those_of_the_whole_answer(tmp_path: Path, models_home: Path) -> None:
    schema = {"enum": ["a colour", "a country"]}
    form = {"type": "json_schema", "json_schema": {"name": "kind", "schema": schema}}
    fields = {"temperature": 0, "max_tokens": 16, "logprobs": True, "top_logprobs": 2}
    async with _real_door(tmp_path, models_home) as at:
        async with at.chat(**fields) as response:
            whole = (await response.json())["choices"][0]
        async with at.chat(**fields, stream=True) as response:
            streamed = [chunk["choices"][0]["logprobs"] for chunk in events(await response.read())]
        async with at.chat(**fields, response_format=form) as response:
            formed = (await response.json())["choices"][0]
    entries = whole["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == whole["message"]["content"]
    again = [entry for logprobs in streamed if logprobs for entry in logprobs["content"]]
    assert [entry["token"] for entry in again] == [entry["token"] for entry in entries]
    assert all(entry["top_logprobs"][0]["token"] == entry["token"] for entry in entries)
    kinds = formed["logprobs"]["content"]
    assert json.loads("".join(entry["token"] for entry in kinds)) in schema["enum"]
    assert {entry["covey"]["forced"] for entry in kinds} == {True, False}
    assert min(entry["covey"].get("feasible_mass", 1.0) for entry in kinds) < 1


async def test_a_client_that_leaves_makes_room_for_the_next(tmp_path: Path, models_home: Path) -> None:
    async with _real_door(tmp_path, models_home) as at:
        story = {"messages": [{"role": "user", "content": "Tell me a very long story."}], "max_tokens": 1900}
        for _ in range(4):  # each alone would take all of the context
            async with at.chat(stream=True, **story) as response:
                await response.content.readline()
        async with asyncio.timeout(20), at.chat(max_tokens=4) as response:
            assert response.status == 200


async def test_streams_whose_model_process_is_killed_go_on_to_their_end(tmp_path: Path, models_home: Path) -> None:
    """Eight at once: each has its whole answer all the same, and the next one is served by a new process."""
    tokens = 48
    begun = [asyncio.Event() for _ in range(8)]
    async with _real_door(tmp_path, models_home) as at:

        async def story(number: int) -> list[Any]:
            asked = [{"role": "user", "content": f"Write a very long story that begins in the year {1000 + number}."}]
            fields = {"messages": asked, "max_tokens": tokens, "temperature": 0, "stream": True}
            async with at.chat(**fields, stream_options={"include_usage": True}) as response:
                begin = b""
                while b'"content"' not in begin.partition(b"\n\n")[2]:
                    begin += await response.content.readany()
                begun[number].set()
                return events(begin + await response.read())

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            streams = [group.create_task(story(number)) for number in range(8)]
            for event in begun:
                await event.wait()
            killed = _kill_workers()
        async with asyncio.timeout(20), at.chat(max_tokens=4) as response:
            assert response.status == 200
    assert killed == 1
    for stream in streams:
        *pieces, last = stream.result()
        assert [reason for piece in pieces if (reason := piece["choices"][0]["finish_reason"])] == ["length"]
        assert last["usage"]["completion_tokens"] == tokens
        assert len("".join(piece["choices"][0]["delta"].get("content", "") for piece in pieces)) > tokens


def _kill_workers() -> int:
    """Kill the processes of models that this one started; return how many there were."""
    children = psutil.Process().children(recursive=True)
    workers = [child for child in children if "models.engine.worker" in child.cmdline()]
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
    return len(workers)
