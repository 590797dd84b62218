"""What the system says of sleep reaches the node, and the system waits for the last word; a bus that is not there, or
talks nonsense, changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from runtime.logind import LOCK, LOGIND, THE_BUS, Heard, answers, call, descriptors_of, listening, sleep_of

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


class System:
    """A system bus that lets in whoever comes, with a logind behind it that sleeps when every lock is back."""

    def __init__(self, conn: socket.socket, *, locks: bool = True) -> None:
        self._conn = conn
        self._locks = locks
        self._held: list[int] = []
        """The other ends of the locks that were given out."""
        self.heard: list[bytes] = []

    async def let_in(self, accepts: bytes = b"OK 1234\r\n") -> None:
        self.heard.append(await self.receive())
        await self.say(accepts)
        self.heard.append(await self.receive())
        await self.say(b"AGREE_UNIX_FD\r\n" if self._locks else b"ERROR\r\n")
        calls = b""
        while b"Inhibit\0" not in calls:
            calls += await self.receive()
        self.heard.append(calls)

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._conn, 65536)

    async def say(self, *messages: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._conn, b"".join(messages))

    async def give_lock(self, serial: int, *before: bytes) -> None:
        """Answer to `Inhibit`; what is said before it arrives together with it."""
        mine, theirs = os.pipe()
        self._held.append(mine)
        await self.say(*before)
        socket.send_fds(self._conn, [reply(serial)], [theirs])
        os.close(theirs)

    async def locks_are_back(self, within_s: float) -> bool:
        """Return whether all were given back in time. A lock is a pipe: it can be read when nobody holds it."""
        return await asyncio.to_thread(lambda: all(select.select([one], [], [], within_s)[0] for one in self._held))

    def close(self) -> None:
        for lock in self._held:
            os.close(lock)
        self._conn.close()


def reply(serial: int) -> bytes:
    """Return the answer to `Inhibit`, with one descriptor, as dbus-daemon passes it on."""
    fields = (
        b"\x05\x01u\0" + struct.pack("<I", serial) + b"\x08\x01g\0\x01h\0\0" + b"\x09\x01u\0" + struct.pack("<I", 1)
    )
    return struct.pack("<cBBBIII", b"l", 2, 1, 1, 4, 9, len(fields)) + fields + bytes(-len(fields) % 8) + bytes(4)


@asynccontextmanager
async def system(path: Path, heard: Heard, *, locks: bool = True) -> AsyncIterator[System]:
    """A node that listens to a system, and has been let in."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        server.setblocking(False)
        server.bind(str(path))
        server.listen()
        async with listening(heard, path), asyncio.timeout(10):
            conn, _ = await asyncio.get_running_loop().sock_accept(server)
            made = System(conn, locks=locks)
            with contextlib.closing(made):
                await made.let_in()
                yield made


class Told:
    """What a node was told, and how long it took over it."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.going: asyncio.Queue[bool] = asyncio.Queue()
        self.done = False
        self._takes_s = takes_s

    async def hear(self, going: bool) -> None:
        self.going.put_nowait(going)
        await asyncio.sleep(self._takes_s)
        self.done = True


async def test_before_a_sleep_and_after_it_the_node_is_told(tmp_path: Path) -> None:
    told, other = Told(), call(9, "NameAcquired", "x")
    async with system(tmp_path / "bus", told.hear, locks=False) as bus:
        await bus.say(other, GOING, other, BACK)
        assert [await told.going.get(), await told.going.get()] == [True, False]
    assert bus.heard[0].startswith(b"\0AUTH EXTERNAL 3")
    assert bus.heard[1] == b"NEGOTIATE_UNIX_FD\r\n"
    assert bus.heard[2].startswith(b"BEGIN\r\n" + HELLO)
    assert b"member='PrepareForSleep'" in bus.heard[2]
    assert call(3, "Inhibit", *LOCK, to=LOGIND) in bus.heard[2]


async def test_the_system_sleeps_only_after_the_node_has_had_its_last_word(tmp_path: Path) -> None:
    told = Told(takes_s=0.5)
    async with system(tmp_path / "bus", told.hear) as bus:
        await bus.give_lock(3, call(9, "NameAcquired", "x"))
        assert not await bus.locks_are_back(0.2), "it is held while the device is awake"
        await bus.say(GOING)
        assert await bus.locks_are_back(1.5)
        assert told.done


async def test_the_system_is_kept_awake_for_two_seconds_at_most(tmp_path: Path) -> None:
    told = Told(takes_s=60.0)
    async with system(tmp_path / "bus", told.hear) as bus:
        await bus.give_lock(3)
        await bus.say(GOING)
        assert await told.going.get()
        assert await bus.locks_are_back(3.0)
        assert not told.done


async def test_after_a_wake_the_next_sleep_waits_again(tmp_path: Path) -> None:
    told = Told(takes_s=0.2)
    async with system(tmp_path / "bus", told.hear) as bus:
        await bus.give_lock(3)
        await bus.say(GOING)
        assert await bus.locks_are_back(2.0)
        await bus.say(BACK)
        assert call(4, "Inhibit", *LOCK, to=LOGIND) in await bus.receive()
        await bus.give_lock(4)
        told.done = False
        await bus.say(GOING)
        assert await bus.locks_are_back(2.0)
        assert told.done


async def test_a_node_that_stops_gives_the_lock_back(tmp_path: Path) -> None:
    told = Told()
    held: list[int] = []
    async with system(tmp_path / "bus", told.hear) as bus:
        await bus.give_lock(3)
        assert not await bus.locks_are_back(0.2)
        held.append(os.dup(bus._held[0]))
    assert os.read(held[0], 1) == b""
    os.close(held[0])


@pytest.mark.parametrize("says", [b"\0" * 64, b"B" + GOING[1:], b"l" + b"\xff" * 40, GOING[:30]])
async def test_nonsense_on_the_bus_ends_the_listening_and_nothing_else(tmp_path: Path, says: bytes) -> None:
    told = Told()
    async with system(tmp_path / "bus", told.hear) as bus:
        await bus.say(says)
        await asyncio.sleep(0.1)
    assert told.going.empty()


async def test_without_a_bus_or_when_it_refuses_nothing_happens(tmp_path: Path) -> None:
    told = Told()
    async with listening(told.hear, tmp_path / "none"):
        await asyncio.sleep(0.05)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"REJECTED EXTERNAL\r\n" + GOING)
        await reader.read()
        writer.transport.abort()

    async with await asyncio.start_unix_server(refuse, str(tmp_path / "bus")):
        async with listening(told.hear, tmp_path / "bus"):
            await asyncio.sleep(0.1)
    assert told.going.empty()


def test_the_calls_are_written_as_the_specification_says() -> None:
    assert call(1, "Hello", to=THE_BUS) == HELLO
    assert sleep_of(GOING[:-4], GOING[-4:]) is True
    assert sleep_of(BACK[:-4], BACK[-4:]) is False
    assert sleep_of(HELLO, b"") is None
    assert answers(reply(3)[:-4], 3) and not answers(reply(4)[:-4], 3)
    assert (descriptors_of(reply(3)[:-4]), descriptors_of(HELLO)) == (1, 0)


async def test_a_real_bus_lets_the_node_in_and_goes_on_when_there_is_no_logind_behind_it(tmp_path: Path) -> None:
    told = Told()
    with real_bus(tmp_path) as bus:
        async with listening(told.hear, bus):
            assert await asyncio.to_thread(joins, bus), "it was let in"
            await asyncio.sleep(0.3)
            assert is_on(await asyncio.to_thread(names, bus)), "and is there still"
    assert told.going.empty()


@contextmanager
def real_bus(folder: Path) -> Iterator[Path]:
    """A bus of one's own, on which anybody may talk to anybody."""
    if not shutil.which("dbus-daemon") or not shutil.which("dbus-send"):
        pytest.skip("needs dbus-daemon and dbus-send")
    config, place = folder / "bus.conf", folder / "bus"
    config.write_text(
        '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" '
        '"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">'
        f"<busconfig><type>custom</type><listen>unix:path={place}</listen><auth>EXTERNAL</auth>"
        '<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>'
        "</busconfig>"
    )
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:
        try:
            assert daemon.stdout is not None
            daemon.stdout.readline()
            yield place
        finally:
            daemon.terminate()


def joins(bus: Path) -> bool:
    """Return whether the node has joined a bus within ten seconds."""
    until_s = time.monotonic() + 10.0
    while not (joined := is_on(names(bus))) and time.monotonic() < until_s:
        time.sleep(0.05)
    return joined


def is_on(listed: str) -> bool:
    """Return whether the node is among those on a bus, besides who asks."""
    return listed.count('string ":1.') == 2


def names(bus: Path) -> str:
    """Return who is on a bus."""
    line = ["dbus-send", f"--bus=unix:path={bus}", "--print-reply", "--dest=org.freedesktop.DBus", "/"]
    return subprocess.run([*line, "org.freedesktop.DBus.ListNames"], capture_output=True, text=True, timeout=10).stdout
