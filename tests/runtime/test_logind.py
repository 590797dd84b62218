"""What the system says of sleep reaches the node; a bus that is not there, or talks nonsense, changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtime.logind import call, listening, sleep_of

GOING = bytes.fromhex(
    "6c04000104000000070000006700000001016f00170000002f6f72672f667265656465736b746f702f6c6f67696e3100"
    "020173001e0000006f72672e667265656465736b746f702e6c6f67696e312e4d616e616765720000030173000f000000"
    "50726570617265466f72536c65657000080167000162000001000000"
)
"""`PrepareForSleep(true)` as dbus-daemon passes it on."""
BACK = GOING[:-4] + bytes(4)
HELLO = bytes.fromhex(
    "6c01000100000000010000006d00000001016f00150000002f6f72672f667265656465736b746f702f44427573000000"
    "02017300140000006f72672e667265656465736b746f702e4442757300000000030173000500000048656c6c6f000000"
    "06017300140000006f72672e667265656465736b746f702e4442757300000000"
)
"""As dbus-daemon accepts it."""


@asynccontextmanager
async def bus(path: Path, *says: bytes, accepts: bytes = b"OK 1234\r\n") -> AsyncIterator[list[bytes]]:
    """A system bus that lets in whoever comes, and says these things."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            heard.append(await reader.readline())
            writer.write(accepts)
            heard.append(await reader.readline())
            heard.append(await reader.read(4096))
            for one in says:
                writer.write(one)
            await reader.read()
        writer.transport.abort()

    async with await asyncio.start_unix_server(serve, str(path)):
        yield heard


async def test_before_a_sleep_and_after_it_the_node_is_told(tmp_path: Path) -> None:
    told: asyncio.Queue[bool] = asyncio.Queue()
    other = call(9, "NameAcquired", "x")
    async with bus(tmp_path / "bus", other, GOING, other, BACK) as heard:
        async with listening(told.put_nowait, tmp_path / "bus"), asyncio.timeout(3):
            assert [await told.get(), await told.get()] == [True, False]
    assert heard[0].startswith(b"\0AUTH EXTERNAL 3")
    assert heard[1] == b"BEGIN\r\n"
    assert heard[2].startswith(HELLO)
    assert b"member='PrepareForSleep'" in heard[2]


@pytest.mark.parametrize("says", [b"\0" * 64, b"B" + GOING[1:], b"l" + b"\xff" * 40, GOING[:30]])
async def test_nonsense_on_the_bus_ends_the_listening_and_nothing_else(tmp_path: Path, says: bytes) -> None:
    told: list[bool] = []
    async with bus(tmp_path / "bus", says), listening(told.append, tmp_path / "bus"):
        await asyncio.sleep(0.1)
    assert told == []


async def test_without_a_bus_or_when_it_refuses_nothing_happens(tmp_path: Path) -> None:
    told: list[bool] = []
    async with listening(told.append, tmp_path / "none"):
        await asyncio.sleep(0.05)
    async with bus(tmp_path / "bus", GOING, accepts=b"REJECTED EXTERNAL\r\n"):
        async with listening(told.append, tmp_path / "bus"):
            await asyncio.sleep(0.05)
    assert told == []


def test_the_calls_are_written_as_the_specification_says() -> None:
    assert call(1, "Hello") == HELLO
    assert sleep_of(GOING[:-4], GOING[-4:]) is True
    assert sleep_of(BACK[:-4], BACK[-4:]) is False
    assert sleep_of(HELLO, b"") is None
