"""The relay between two ends: in order and whole, slow, stalled, blocked and cut."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from scripts.swarms.proxy import Proxy, proxy


@asynccontextmanager
async def echo() -> AsyncIterator[Proxy]:
    """A relay before a port that says everything again."""

    async def again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(again, "127.0.0.1", 0)
    async with proxy(server.sockets[0].getsockname()[1]) as way:
        yield way
    server.close()


async def said(way: Proxy, data: bytes) -> tuple[bytes, float]:
    """Return what came back, and the seconds that it took."""
    began = asyncio.get_running_loop().time()
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    try:
        writer.write(data)
        await writer.drain()
        back = await asyncio.wait_for(reader.readexactly(len(data)), 10)
    finally:
        writer.close()
    return back, asyncio.get_running_loop().time() - began


async def test_all_comes_through_in_order() -> None:
    data = os.urandom(2_000_000)
    async with echo() as way:
        back, _ = await said(way, data)
    assert back == data
    assert way.passed_bytes == 2 * len(data)


async def test_a_delay_is_waited_in_both_directions() -> None:
    async with echo() as way:
        way.turn(delay_s=0.1)
        _, seconds = await said(way, b"x")
    assert 0.2 <= seconds < 1.5


async def test_a_slow_way_takes_its_time() -> None:
    async with echo() as way:
        way.turn(bytes_per_s=1_000_000)
        _, seconds = await said(way, bytes(300_000))
    assert seconds > 0.25


async def test_lost_pieces_are_late_and_not_missing() -> None:
    data = os.urandom(200_000)
    async with echo() as way:
        way.turn(stall_share=0.3, stall_s=0.05)
        back, seconds = await said(way, data)
    assert back == data
    assert seconds > 0.05


async def test_a_blocked_way_is_silent_and_goes_on_when_it_is_clear() -> None:
    async with echo() as way:
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        way.turn(blocked=True)
        writer.write(b"x")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        way.turn(blocked=False)
        assert await asyncio.wait_for(reader.read(1), 5) == b"x"
        writer.close()


async def test_a_cut_ends_every_connection_and_lets_new_ones_in() -> None:
    async with echo() as way:
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        writer.write(b"x")
        assert await asyncio.wait_for(reader.read(1), 5) == b"x"
        way.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        writer.close()
        assert (await said(way, b"y"))[0] == b"y"
