"""Requests that are not whole yet take so much memory and no more, and reading a large one holds nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from models.types import last
from peers import arrivals, codec, tls
from peers.arrivals import ALWAYS_BYTES, MAX_ALL_BYTES, MAX_ARRIVING_BYTES, Arrivals
from peers.channels import HEADER, Flag, piece, pieces
from peers.conversions import subtask_of
from peers.errors import PeerBusy
from peers.messages import Failed, Hello
from peers.node_id import NodeId
from peers.wire import read
from tests.peers.scripts import REQUEST, WORDS, until
from tests.peers.swarm import Node, linked_pair, pair, running, session

A, B, C, D = (NodeId(letter * 52) for letter in "ABCD")
MIB = 2**20


def test_what_has_come_is_counted_until_it_is_let_go() -> None:
    coming = Arrivals()
    for _ in range(3):
        with coming.begin(A) as arrival:
            arrival.add(bytes(MAX_ARRIVING_BYTES))
            assert coming.size_bytes == len(arrival) == MAX_ARRIVING_BYTES
        assert (len(arrival), arrival.whole(), coming.size_bytes) == (0, b"", 0)
    with coming.begin(A) as arrival, pytest.raises(PeerBusy, match="one by one"):
        arrival.add(bytes(MAX_ARRIVING_BYTES + 1))
    arrival.let_go()
    assert coming.size_bytes == 0, "what was let go twice is given back once"


def test_small_requests_come_in_whatever_other_devices_send() -> None:
    coming = Arrivals()
    with coming.begin(A) as first, coming.begin(B) as second, coming.begin(C) as third, coming.begin(D) as fourth:
        first.add(bytes(MAX_ARRIVING_BYTES))
        second.add(bytes(MAX_ALL_BYTES - MAX_ARRIVING_BYTES))
        third.add(bytes(ALWAYS_BYTES))
        with pytest.raises(PeerBusy, match="Other devices"):
            third.add(b"x")
        fourth.add(b"x")


async def begun(laptop: Node, kitchen: Node, size_bytes: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send so much of a request of 16 MiB, and no more."""
    context = tls.client_context(laptop.state.identity, kitchen.state.identity.certificate_der)
    reader, writer = await asyncio.open_connection("127.0.0.1", kitchen.server.port, ssl=context)
    writer.write(b"POST /peer/1/subtasks HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (16 * MIB))
    writer.write(b"\0" * size_bytes)
    return reader, writer


async def test_bodies_that_come_slowly_and_together_are_bounded_and_the_next_is_told_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "MAX_ARRIVING_BYTES", 2 * MIB)
    async with pair(tmp_path) as (laptop, kitchen), running(tmp_path, "attic") as attic:
        attic.knows(kitchen)
        kitchen.knows(attic)
        held = [await begun(laptop, kitchen, MIB) for _ in range(2)]
        await asyncio.sleep(0.2)
        reader, writer = await begun(laptop, kitchen, MIB)
        async with asyncio.timeout(5):
            assert b"429" in await reader.readline()
            assert b"Send them one by one" in await reader.read(4096)
        assert (await last(attic.specialist(kitchen).run(REQUEST))).output == WORDS
        for _, one in [*held, (reader, writer)]:
            one.transport.abort()
        await until(lambda: not kitchen.server._desk.arrivals.size_bytes)
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS


def body(node: Node, values: int) -> bytes:
    subtask = subtask_of(replace(REQUEST, input={"prompt": "x", "numbers": [1] * values}), "f" * 32, node.id)
    return codec.frames(Hello().pack()) + codec.frames(subtask.pack())


async def first_on(socket: aiohttp.ClientWebSocketResponse, channel: int) -> Failed:
    """Return the refusal that comes on a channel."""
    async for message in socket:
        number, _ = HEADER.unpack_from(message.data)
        if number == channel:
            return read(codec.FrameReader().feed(message.data[HEADER.size :])[0], Failed)
    raise AssertionError("the link ended")


async def test_requests_that_are_whole_and_wait_to_be_read_are_bounded_on_a_link_and_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "MAX_ARRIVING_BYTES", 2 * MIB)
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:
        desk, large = kitchen.server._desk, body(laptop, 900_000)
        async with http.ws_connect(f"https://{kitchen.address}/peer/1/link", autoping=False) as socket:
            async with asyncio.timeout(5), desk._aside._one:  # another large one is being read
                await socket.send_bytes(piece(0, codec.frames(Hello().pack())))
                for channel in (1, 3, 5):
                    for part in pieces(channel, large, ended=True):
                        await socket.send_bytes(part)
                refused = await first_on(socket, 5)
                assert refused.code == "busy" and "Send them one by one" in refused.message
                assert desk.arrivals.size_bytes == 2 * len(large)
                _, writer = await begun(laptop, kitchen, MIB)
                await until(lambda: desk.seldom._kinds)
                writer.transport.abort()
            await until(lambda: not desk.arrivals.size_bytes)
            await until(lambda: len(kitchen.asked) == 2)


async def test_an_asker_that_is_refused_in_the_middle_hears_why_and_keeps_its_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        link = laptop.links.get(kitchen.id)
        with monkeypatch.context() as less:
            less.setattr(arrivals, "MAX_ARRIVING_BYTES", MIB)
            with pytest.raises(PeerBusy, match=r"kitchen: .*Send them one by one"):
                await last(laptop.specialist(kitchen).run(replace(REQUEST, input={"prompt": "x" * 3 * MIB})))
        assert kitchen.asked == [] and not kitchen.server._desk.arrivals.size_bytes
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS
        assert laptop.links.get(kitchen.id) is link


async def test_a_request_that_dribbles_over_a_link_is_given_up_and_the_link_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "WHOLE_S", 0.3)
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:
        async with http.ws_connect(f"https://{kitchen.address}/peer/1/link", autoping=False) as socket:
            await socket.send_bytes(piece(0, codec.frames(Hello().pack())))
            await socket.send_bytes(piece(1, b"x" * 1000))
            async with asyncio.timeout(5):
                while (await socket.receive()).data != piece(1, flags=Flag.RESET):
                    continue
            assert not kitchen.server._desk.arrivals.size_bytes
            await socket.send_bytes(piece(1, b"more", Flag.END))
            for part in pieces(3, body(laptop, 10), ended=True):
                await socket.send_bytes(part)
            await until(lambda: len(kitchen.asked) == 1)


async def test_what_came_of_requests_is_let_go_when_the_link_ends(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:
        desk, large = kitchen.server._desk, body(laptop, 900_000)
        async with desk._aside._one:
            async with http.ws_connect(f"https://{kitchen.address}/peer/1/link", autoping=False) as socket:
                await socket.send_bytes(piece(0, codec.frames(Hello().pack())))
                for part in (*pieces(1, large, ended=True), piece(3, b"x" * 1000)):
                    await socket.send_bytes(part)
                await until(lambda: desk.arrivals.size_bytes == len(large) + 1000)
            await until(lambda: not desk.arrivals.size_bytes)


async def test_a_request_that_is_given_up_as_soon_as_it_is_whole_leaves_nothing_behind(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:
        async with http.ws_connect(f"https://{kitchen.address}/peer/1/link", autoping=False) as socket:
            await socket.send_bytes(piece(0, codec.frames(Hello().pack())))
            await until(lambda: kitchen.links._open)
            (link,) = kitchen.links._open.values()
            for channel in range(1, 41, 2):
                parts = [*pieces(channel, body(laptop, 10), ended=True), piece(channel, flags=Flag.RESET)]
                await asyncio.gather(*(socket.send_bytes(part) for part in parts))
            await until(lambda: link._channels._highest_theirs == 39)
            await until(lambda: link._handovers.is_idle)
            assert not kitchen.server._desk.arrivals.size_bytes


async def turns_while(work: Callable[[], object]) -> int:
    """Return how often the event loop came round while something was awaited."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    before = turns
    try:
        await work()  # type: ignore[misc]
        return turns - before
    finally:
        counting.cancel()
        await asyncio.wait({counting})


async def test_the_event_loop_goes_on_while_a_large_request_is_read(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        peer = kitchen.state.peers.book().peers[laptop.id]
        arrival = kitchen.server._desk.arrivals.begin(laptop.id)
        arrival.add(body(laptop, 900_000))

        async def take() -> None:
            async with kitchen.server._desk.taken(peer, arrival) as job:
                assert len(job.subtask.input["numbers"]) == 900_000

        assert await turns_while(take) >= 3
