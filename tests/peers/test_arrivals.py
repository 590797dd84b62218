"""Requests that are not whole yet take so much memory and no more, and reading a large one holds nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.types import last
from peers import arrivals, codec, tls
from peers.arrivals import ALWAYS_BYTES, MAX_ALL_BYTES, MAX_ARRIVING_BYTES, Arrivals
from peers.conversions import subtask_of
from peers.errors import PeerBusy
from peers.messages import Hello
from peers.node_id import NodeId
from tests.peers.scripts import REQUEST, WORDS, until
from tests.peers.swarm import Node, pair, running

A, B, C, D = (NodeId(letter * 52) for letter in "ABCD")
MIB = 2**20


def test_what_has_come_is_forgotten_when_it_is_whole_or_given_up() -> None:
    coming = Arrivals()
    for _ in range(3):
        with coming.of(A) as count:
            count(MAX_ARRIVING_BYTES)
    with coming.of(A) as count, pytest.raises(PeerBusy, match="one by one"):
        count(MAX_ARRIVING_BYTES + 1)


def test_small_requests_come_in_whatever_other_devices_send() -> None:
    coming = Arrivals()
    with coming.of(A) as first, coming.of(B) as second, coming.of(C) as third, coming.of(D) as fourth:
        first(MAX_ARRIVING_BYTES)
        second(MAX_ALL_BYTES - MAX_ARRIVING_BYTES)
        third(ALWAYS_BYTES)
        with pytest.raises(PeerBusy, match="Other devices"):
            third(1)
        fourth(1)


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
        await until(lambda: not kitchen.server._arrivals._held)
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS


def body(node: Node, values: int) -> bytes:
    subtask = subtask_of(replace(REQUEST, input={"prompt": "x", "numbers": [1] * values}), "f" * 32, node.id)
    return codec.frames(Hello().pack()) + codec.frames(subtask.pack())


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
        large = body(laptop, 900_000)

        async def take() -> None:
            async with kitchen.server._desk.taken(peer, large) as job:
                assert len(job.subtask.input["numbers"]) == 900_000

        assert await turns_while(take) >= 3
