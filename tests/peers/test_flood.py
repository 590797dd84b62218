"""A node under attack answers or refuses, does not fall, and serves afterwards. Large counts: `scripts/bench flood`."""

from __future__ import annotations

import asyncio
import contextlib
import random
import zlib
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from models.types import Chunk, Request, Result, last
from peers import codec, desk, tls
from peers.audit import Act
from peers.channels import MAX_OWN_VALUES, MAX_PIECE_BYTES, piece, pieces
from peers.conversions import subtask_of
from peers.errors import PeerBusy
from peers.grants import Limits, own_device
from peers.link_messages import Beat
from peers.messages import Hello
from tests.peers.golden import V1
from tests.peers.scripts import REQUEST, WORDS, until
from tests.peers.swarm import Node, count_to_five, pair, running, session

ASKED = 200
GARBAGE = 60
BROKEN = 300


def body(here: Node) -> bytes:
    subtask = subtask_of(REQUEST, "f" * 32, here.id)
    return codec.frames(Hello().pack()) + codec.frames(subtask.pack())


async def still_serves(here: Node, there: Node) -> None:
    there.knows(here)
    fresh = Node(here.name, here.state, here.server, here.client, here.dialer)
    assert (await last(fresh.specialist(there).run(REQUEST))).output == WORDS


async def test_a_paired_device_that_asks_without_end_is_refused_at_once_and_written_down_once(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:

        async def one() -> int:
            async with http.post(f"https://{kitchen.address}/peer/1/subtasks", data=body(laptop)) as response:
                await response.read()
                return response.status

        found = Counter(await asyncio.gather(*(one() for _ in range(ASKED))))
        assert set(found) <= {200, 429}
        assert found[429] >= ASKED - 70
        refusals = [one for one in kitchen.state.audit.newest(1000) if one.act is Act.REFUSED]
        assert len(refusals) <= 3


async def test_a_device_that_may_ask_often_is_not_told_to_ask_again_at_once(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:
        kitchen.knows(laptop, replace(own_device(), limits=Limits(tasks_per_minute=150)))
        peer = kitchen.state.peers.book().peers[laptop.id]
        with contextlib.suppress(PeerBusy):
            while True:
                await kitchen.server._gate.pace(peer)
        async with http.post(f"https://{kitchen.address}/peer/1/subtasks", data=b"") as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "1")


async def test_after_garbage_of_strangers_paired_devices_are_served(tmp_path: Path) -> None:
    chance = random.Random(1)
    async with pair(tmp_path) as (laptop, kitchen):
        for _ in range(GARBAGE):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", kitchen.server.port)
                writer.write(chance.randbytes(chance.randrange(400)))
                writer.transport.abort()
        await still_serves(laptop, kitchen)


@pytest.mark.parametrize(
    ("head", "sent"),
    [
        (b"Content-Encoding: gzip\r\nContent-Length: 4", b"\x1f\x8bno"),
        (b"Content-Encoding: deflate\r\nContent-Length: 400", zlib.compress(b"x" * 300_000)[:400].ljust(400)),
        (b"Transfer-Encoding: chunked", b"zz\r\nno\r\n"),
    ],
)
async def test_a_stranger_who_packs_or_cuts_what_it_says_is_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, head: bytes, sent: bytes
) -> None:
    async with running(tmp_path, "kitchen") as kitchen:
        context = tls.client_context(None, kitchen.state.identity.certificate_der)
        reader, writer = await asyncio.open_connection("127.0.0.1", kitchen.server.port, ssl=context)
        writer.write(b"POST /pair/1 HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n" + sent)
        assert b" 500 " not in await reader.readline()
        writer.transport.abort()
    assert [record.getMessage() for record in caplog.records if record.name == "aiohttp.server"] == []


async def test_broken_requests_are_refused_and_nothing_falls(tmp_path: Path) -> None:
    chance = random.Random(2)
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:
        whole = body(laptop)
        for _ in range(BROKEN // 10):
            data = bytearray(whole)
            for _ in range(3):
                data[chance.randrange(len(data))] = chance.randrange(256)
            async with http.post(f"https://{kitchen.address}/peer/1/subtasks", data=bytes(data)) as response:
                assert response.status in {200, 400, 403, 422, 426, 429, 508}
        await still_serves(laptop, kitchen)


def broken_words() -> list[bytes]:
    """What a hostile paired device may say on a link: whole messages with bytes changed, cut or repeated."""
    chance, words = random.Random(3), []
    for message in V1.values():
        packed = bytearray(codec.frames(message.pack())[:4096])
        for _ in range(BROKEN // len(V1)):
            data = bytearray(packed)
            data[chance.randrange(len(data))] = chance.randrange(256)
            words.append(piece(0, bytes(data[: chance.randrange(1, len(data) + 1)])))
    return [*words, b"", b"\0", piece(2**32 - 1, b"x"), piece(0, b"x" * MAX_PIECE_BYTES), piece(7, b"", flags=3)]  # type: ignore[arg-type]


async def test_broken_words_on_a_link_end_that_link_and_nothing_else(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:
        words = iter(broken_words())
        for _ in range(12):
            async with http.ws_connect(f"https://{kitchen.address}/peer/1/link", autoping=False) as socket:
                with contextlib.suppress(ConnectionError, StopIteration):
                    await socket.send_bytes(piece(0, codec.frames(Hello().pack())))
                    for _ in range(25):
                        await socket.send_bytes(next(words))
        await until(lambda: not kitchen.links._open)
        await still_serves(laptop, kitchen)


async def test_a_device_that_talks_without_end_on_its_link_is_hung_up_on(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:
        async with http.ws_connect(f"https://{kitchen.address}/peer/1/link", autoping=False) as socket:
            await socket.send_bytes(piece(0, codec.frames(Hello().pack())))
            with contextlib.suppress(ConnectionError):
                for _ in range(700):
                    await socket.send_bytes(piece(0, codec.frames(Beat().pack())))
            while (message := await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                continue
            assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 4003)


async def test_a_word_of_a_link_with_far_too_many_values_ends_it(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:
        async with http.ws_connect(f"https://{kitchen.address}/peer/1/link", autoping=False) as socket:
            await socket.send_bytes(piece(0, codec.frames(Hello().pack())))
            word = codec.encode({"kind": "beat", "from_the_future": [1] * (MAX_OWN_VALUES + 1)})
            for part in pieces(0, codec.frames(word)):
                await socket.send_bytes(part)
            while (message := await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                continue
            assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 4003)


async def test_a_stranger_gets_no_link(tmp_path: Path) -> None:
    async with running(tmp_path, "kitchen") as kitchen:
        context = tls.client_context(None, kitchen.state.identity.certificate_der)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http:
            async with http.get(f"https://{kitchen.address}/peer/1/link") as response:
                assert response.status == 403


async def endless(request: Request) -> AsyncGenerator[Chunk | Result, None]:
    for index in range(100_000):
        yield Chunk(index, "x" * 60_000, (7,))


@pytest.mark.parametrize("way", ["http", "link"])
async def test_an_asker_that_takes_no_byte_of_its_answer_does_not_hold_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(desk, "STALLED_S", 0.5)
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http, AsyncExitStack() as stack:
        kitchen.script = endless
        if way == "http":
            asking = http.post(f"https://{kitchen.address}/peer/1/subtasks", data=body(laptop))
            await stack.enter_async_context(asking)
        else:
            linking = http.ws_connect(f"https://{kitchen.address}/peer/1/link", autoping=False)
            socket = await stack.enter_async_context(linking)
            await socket.send_bytes(piece(0, codec.frames(Hello().pack())))
            for part in pieces(1, body(laptop), ended=True):
                await socket.send_bytes(part)
        await until(lambda: kitchen.asked)
        await until(lambda: kitchen.ended == ["closed"], limit_s=5.0)
        kitchen.script = count_to_five
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS
