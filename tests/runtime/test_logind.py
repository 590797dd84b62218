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

from runtime.logind import LOCK, LOGIND, THE_BUS, Heard, listening
from runtime.system_bus import MEMBER, SystemBus, call

LOGIND_IS = b":1.0"
"""What logind is called on these buses."""
GOING = bytes.fromhex(
    "6c04010104000000150000007500000001016f00170000002f6f72672f667265656465736b746f702f6c6f67696e3100"
    "020173001e0000006f72672e667265656465736b746f702e6c6f67696e312e4d616e616765720000030173000f000000"
    "50726570617265466f72536c65657000080167000162000007017300040000003a312e300000000001000000"
)
"""`PrepareForSleep(true)` as dbus-daemon passes it on."""
BACK = GOING[:-4] + bytes(4)
ANOTHER = GOING.replace(LOGIND_IS, b":1.9")
"""The same, from any program on this device."""
GONE = bytes.fromhex(
    "6c0401012d000000050000008900000001016f00150000002f6f72672f667265656465736b746f702f44427573000000"
    "02017300140000006f72672e667265656465736b746f702e444275730000000003017300100000004e616d654f776e65"
    "724368616e676564000000000000000007017300140000006f72672e667265656465736b746f702e4442757300000000"
    "08016700037373730000000000000000160000006f72672e667265656465736b746f702e6c6f67696e31000004000000"
    "3a312e30000000000000000000"
)
"""`NameOwnerChanged`: logind has ended."""
NO_LOCK = bytes.fromhex(
    "6c03010100000000140000005500000004017300270000006f72672e667265656465736b746f702e444275732e457272"
    "6f722e41636365737344656e69656400050175000400000006017300040000003a312e31000000000701730004000000"
    "3a312e3000000000"
)
"""logind's answer to `Inhibit`, call number 4: there is no lock."""


class System:
    """A system bus that lets in whoever comes, with a logind behind it that sleeps when every lock is back."""

    def __init__(self, conn: socket.socket, server: socket.socket, *, locks: bool = True) -> None:
        self._conn = conn
        self._server = server
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
        if not self._locks:
            await self.say(NO_LOCK)

    async def let_in_again(self) -> None:
        """End, and begin anew."""
        self._conn.close()
        self._conn, _ = await asyncio.get_running_loop().sock_accept(self._server)
        await self.let_in()

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
    number, one = struct.pack("<I", serial), struct.pack("<I", 1)
    fields = b"\x05\x01u\0" + number + b"\x08\x01g\0\x01h\0\0" + b"\x09\x01u\0" + one
    fields += b"\x07\x01s\0\4\0\0\0" + LOGIND_IS + bytes(4)
    return struct.pack("<cBBBIII", b"l", 2, 1, 1, 4, 9, len(fields) - 3) + fields + bytes(4)


@asynccontextmanager
async def system(path: Path, heard: Heard, *, locks: bool = True) -> AsyncIterator[System]:
    """A node that listens to a system, and has been let in."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
        server.setblocking(False)
        server.bind(str(path))
        server.listen()
        async with listening(heard, path), asyncio.timeout(10):
            conn, _ = await asyncio.get_running_loop().sock_accept(server)
            made = System(conn, server, locks=locks)
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
    told, other = Told(), call(9, "NameAcquired", "x", to=THE_BUS)
    async with system(tmp_path / "bus", told.hear, locks=False) as bus:
        await bus.say(other, GOING, other, BACK)
        assert [await told.going.get(), await told.going.get()] == [True, False]
    assert bus.heard[0].startswith(b"\0AUTH EXTERNAL 3")
    assert bus.heard[1] == b"NEGOTIATE_UNIX_FD\r\n"
    assert bus.heard[2].startswith(b"BEGIN\r\n" + call(1, "Hello", to=THE_BUS))
    assert b"member='PrepareForSleep'" in bus.heard[2]
    assert call(4, "Inhibit", *LOCK, to=LOGIND) in bus.heard[2]


async def test_the_system_sleeps_only_after_the_node_has_had_its_last_word(tmp_path: Path) -> None:
    told = Told(takes_s=0.5)
    async with system(tmp_path / "bus", told.hear) as bus:
        await bus.give_lock(4, call(9, "NameAcquired", "x", to=THE_BUS))
        assert not await bus.locks_are_back(0.2), "it is held while the device is awake"
        await bus.say(GOING)
        assert await bus.locks_are_back(1.5)
        assert told.done


async def test_the_system_is_kept_awake_for_two_seconds_at_most(tmp_path: Path) -> None:
    told = Told(takes_s=60.0)
    async with system(tmp_path / "bus", told.hear) as bus:
        await bus.give_lock(4)
        await bus.say(GOING)
        assert await told.going.get()
        assert await bus.locks_are_back(3.0)
        assert not told.done


async def test_after_a_wake_the_next_sleep_waits_again(tmp_path: Path) -> None:
    told = Told(takes_s=0.2)
    async with system(tmp_path / "bus", told.hear) as bus:
        await bus.give_lock(4)
        await bus.say(GOING)
        assert await bus.locks_are_back(2.0)
        await bus.say(BACK)
        assert call(5, "Inhibit", *LOCK, to=LOGIND) in await bus.receive()
        await bus.give_lock(5)
        told.done = False
        await bus.say(GOING)
        assert await bus.locks_are_back(2.0)
        assert told.done


async def test_a_node_that_stops_gives_the_lock_back(tmp_path: Path) -> None:
    told = Told()
    held: list[int] = []
    async with system(tmp_path / "bus", told.hear) as bus:
        await bus.give_lock(4)
        assert not await bus.locks_are_back(0.2)
        held.append(os.dup(bus._held[0]))
    assert os.read(held[0], 1) == b""
    os.close(held[0])


NONSENSE = pytest.mark.parametrize(
    "says",
    [b"\0" * 64, b"B" + GOING[1:], b"l" + b"\xff" * 40, GOING[:30], b""],
    ids="zeros order size cut none".split(),
)


@NONSENSE
async def test_after_nonsense_on_the_bus_or_its_end_it_is_joined_again(tmp_path: Path, says: bytes) -> None:
    told = Told()
    async with system(tmp_path / "bus", told.hear, locks=False) as bus:
        await bus.say(says)
        await bus.let_in_again()
        assert told.going.empty()
        await bus.say(GOING)
        assert await told.going.get()


@NONSENSE
async def test_who_was_told_of_a_sleep_is_told_of_its_end_also_when_the_bus_ends(tmp_path: Path, says: bytes) -> None:
    """Otherwise this device would refuse all work of others until it is started anew."""
    told = Told()
    async with system(tmp_path / "bus", told.hear, locks=False) as bus:
        await bus.say(GOING + says)
        assert await told.going.get()
        await bus.let_in_again()
        assert not told.going.get_nowait()
        await bus.say(GOING)
        assert await told.going.get()


async def test_a_logind_that_ends_before_the_sleep_keeps_no_device_from_working(tmp_path: Path) -> None:
    told = Told()
    async with system(tmp_path / "bus", told.hear, locks=False) as bus:
        await bus.say(GONE, GOING, GONE, GONE, BACK)
        assert [await told.going.get() for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    "other",
    [
        ANOTHER,
        GOING.replace(b"/login1\0", b"/login2\0"),
        GOING.replace(b"1.Manager\0", b"1.Nobody1\0"),
        GOING.replace(b"\1b\0", b"\1u\0"),
        b"l\1" + GOING[2:],
    ],
    ids="sender path interface signature kind".split(),
)
async def test_what_others_say_of_sleep_is_not_believed(tmp_path: Path, other: bytes) -> None:
    """Any program on this device may send this process a signal of that name."""
    assert len(other) == len(GOING) and other != GOING
    told = Told()
    async with system(tmp_path / "bus", told.hear, locks=False) as bus:
        await bus.say(other, BACK)
        assert not await told.going.get()


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


async def test_a_real_bus_lets_the_node_in_and_goes_on_when_there_is_no_logind_behind_it(tmp_path: Path) -> None:
    told = Told()
    with real_bus(tmp_path) as bus:
        async with listening(told.hear, bus):
            assert await asyncio.to_thread(joins, bus), "it was let in"
            await asyncio.sleep(0.3)
            assert is_on(await asyncio.to_thread(names, bus)), "and is there still"
    assert told.going.empty()


async def test_on_a_real_bus_logind_is_heard_also_after_a_new_start_and_nobody_else_is(tmp_path: Path) -> None:
    told = Told()
    with real_bus(tmp_path) as bus:
        async with asyncio.timeout(10), listening(told.hear, bus):
            assert await asyncio.to_thread(joins, bus)
            for asked in (5, 7):  # each time logind begins or ends, it is asked anew
                with contextlib.closing(SystemBus()) as logind:
                    node = await asked_for_a_lock(logind, bus, asked)
                    await asyncio.to_thread(forge, bus, node)
                    await logind._send(GOING)
                    assert await told.going.get()
                assert not await told.going.get(), "it has ended"
    assert told.going.empty()


async def asked_for_a_lock(logind: SystemBus, bus: Path, asked: int) -> str:
    """Be logind on a real bus, and give no lock; return who asked for one."""
    await logind.join(str(bus))
    await logind.call("Hello", to=THE_BUS)
    whole = call(2, "RequestName", LOGIND.destination, "", to=THE_BUS)  # an empty text is the number 0, and a byte
    size = struct.pack("<I", struct.unpack_from("<I", whole, 4)[0] - 1)
    await logind._send(whole[:4] + size + whole[8:-1].replace(b"\2ss\0", b"\2su\0"))
    while (message := await logind.message()).fields.get(MEMBER) != b"Inhibit":
        pass
    await logind._send(NO_LOCK.replace(b":1.1", message.sender).replace(b"u\0\4", b"u\0" + bytes([asked])))
    return message.sender.decode()


def forge(bus: Path, node: str) -> None:
    """Say to one program on a bus, as another one, that this device is about to sleep."""
    line = ["dbus-send", f"--bus=unix:path={bus}", "--type=signal", f"--dest={node}", LOGIND.path]
    subprocess.run([*line, f"{LOGIND.interface}.PrepareForSleep", "boolean:true"], check=True, timeout=10)


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
