"""A client that stops reading keeps neither its model nor its place, wherever in the answer it stops."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from models.backends.scripted import ScriptedPool, ScriptedText
from runtime import paths
from runtime.api.chat import Chat, Plain, Way
from runtime.api.gate import Gate
from runtime.api.listing import Offered
from runtime.api.openai import ChatBody
from runtime.node import open_node
from runtime.running import SOCKET
from tests.runtime.api.serving import MODEL, door

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Hello there"}]}
LARGE = " " * 6_000_000 + "end"
"""One token of the scripted model, and more than the buffers of two sockets hold."""


async def _never_reads(at: int | Path, body: dict[str, object]) -> socket.socket:
    """Send a request, to a port or to the owner's socket, and leave the answer where it is."""
    loop = asyncio.get_running_loop()
    owners = isinstance(at, Path)
    client = socket.socket(socket.AF_UNIX if owners else socket.AF_INET)
    client.setblocking(False)
    await loop.sock_connect(client, str(at) if owners else ("127.0.0.1", at))
    data = json.dumps(body).encode()
    path = "/covey/ask" if owners else "/v1/chat/completions"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
    await loop.sock_sendall(client, head.encode() + data)
    return client


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_nobody_reads_frees_its_place_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr("runtime.api.chat.WRITE_S", 0.2)
    gate, model = Gate(1), ScriptedText([LARGE])
    async with door(tmp_path, model, gate=gate) as at:
        with await _never_reads(at.server.port, {**BODY, "stream": stream}):
            await _until(lambda: model.calls != [])
            async with asyncio.timeout(10):
                await gate.empty()


async def test_an_asker_that_stands_still_keeps_its_place_for_a_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.api.owner.READ_S", 0.2)
    gate, model = Gate(1), ScriptedText([LARGE])
    async with door(tmp_path, model, gate=gate) as at:
        with await _never_reads(tmp_path / SOCKET, {"text": "Hello there", "capability": "generate"}):
            await _until(lambda: model.calls != [])
            async with asyncio.timeout(10):
                await gate.empty()
            assert at.node.pool.leased == 0  # type: ignore[attr-defined]


async def test_a_model_is_free_as_soon_as_a_whole_answer_is_written(tmp_path: Path) -> None:
    gate, model = Gate(1), ScriptedText([LARGE])
    async with door(tmp_path, model, gate=gate) as at:
        with await _never_reads(at.server.port, dict(BODY)):
            await _until(lambda: model.calls != [] and at.node.pool.leased == 0)  # type: ignore[attr-defined]
            assert gate.inside == 1  # the client may still read


async def test_a_whole_answer_larger_than_any_buffer_arrives_as_it_is(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText([LARGE])) as at, at.chat() as response:
        body = await response.json()
    assert body["choices"][0]["message"]["content"] == LARGE


class _FullAtTheEnd(Plain):
    """The last bytes just fill the buffer; the transport says so in this very way."""

    def __init__(self, request: web.Request) -> None:
        self._request = request

    async def write(self, response: web.StreamResponse, data: bytes, *, last: bool = False) -> None:
        await super().write(response, data, last=last)
        if last:
            self._request.protocol.pause_writing()


@asynccontextmanager
async def _full_at_the_end(request: web.Request, body: ChatBody) -> AsyncIterator[Way]:
    yield _FullAtTheEnd(request)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_stops_at_the_very_end_is_waited_for_no_longer_than_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr("runtime.api.chat.WRITE_S", 0.2)
    pool, through = ScriptedPool({MODEL: ScriptedText(["Good day."])}), asyncio.Event()
    async with open_node(paths.ensure_home(tmp_path), pool=pool) as node:
        chat = Chat(node, Offered(node.home, pool), _full_at_the_end)

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await chat.handle(request)
            finally:
                through.set()

        app = web.Application()
        app.router.add_post("/", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
                async with client.post("/", json={**BODY, "stream": stream}), asyncio.timeout(5):
                    await through.wait()
            assert pool.leased == 0
        finally:
            await runner.cleanup()
