"""Hears from the system that this device is about to sleep, has it wait for the last word, and hears that it woke.

Listens to logind on the system bus, and holds a delay lock of it (`systemd-inhibit --list` shows it). Only what that
takes of the protocol (D-Bus specification 0.42): the EXTERNAL handshake, method calls with text arguments, one answer
with a file descriptor, and signals with one boolean. Where there is no system bus it ends at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

BUS = Path("/run/dbus/system_bus_socket")
MATCH = "type='signal',sender='org.freedesktop.login1',member='PrepareForSleep'"
LOCK = "sleep", "Covey", "paired devices are told first", "delay"
"""What is locked, by whom, why, and how: the system waits until the lock is given back, five seconds at most."""
HANDSHAKE_S = 5.0
LAST_WORD_S = 2.0
"""How long the system is kept awake at most."""
MAX_MESSAGE_BYTES = 64 * 1024
"""Of one message; those that were asked for have some hundred bytes."""
MAX_DESCRIPTORS = 4
"""Waiting to be read; the answer that was asked for has one."""
_FIXED = struct.Struct("<cBBBIII")
"""Byte order, kind, flags, version, length of the body, serial, length of the fields."""
_CALL, _ANSWER, _SIGNAL = 1, 2, 4
_PATH, _INTERFACE, _MEMBER, _REPLY_SERIAL, _DESTINATION, _SIGNATURE, _DESCRIPTORS = 1, 2, 3, 5, 6, 8, 9

Heard = Callable[[bool], Awaitable[None]]
"""Told True before this device sleeps, which waits for it, and False after it woke."""

logger = logging.getLogger(__name__)


class To(NamedTuple):
    """Whom a call is for."""

    path: str
    interface: str
    destination: str


THE_BUS = To("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
LOGIND = To("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "org.freedesktop.login1")


@asynccontextmanager
async def listening(heard: Heard, bus: Path = BUS) -> AsyncIterator[None]:
    """Tell `heard` of each sleep and each wake, as long as the block lasts."""
    task = asyncio.create_task(_listen(heard, bus))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _listen(heard: Heard, bus: Path) -> None:
    with contextlib.ExitStack() as stack:
        try:
            joined = stack.enter_context(contextlib.closing(_Bus()))
            async with asyncio.timeout(HANDSHAKE_S):
                await joined.join(bus)
            await joined.call("Hello", to=THE_BUS)
            await joined.call("AddMatch", MATCH, to=THE_BUS)
            await _follow(joined, heard)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            logger.debug("no system bus tells of sleep: %s", error)


async def _follow(bus: _Bus, heard: Heard) -> None:
    """Hold the lock while this device is awake, and tell."""
    asked = await bus.call("Inhibit", *LOCK, to=LOGIND)
    while True:
        header, body = await bus.message()
        if answers(header, asked):
            bus.hold()
        going = sleep_of(header, body)
        if going is True:
            try:
                async with asyncio.timeout(LAST_WORD_S):
                    await heard(True)
            except TimeoutError:
                logger.debug("not all paired devices could be told before this device sleeps")
            bus.let_go()
        elif going is False:
            await heard(False)
            bus.let_go()
            asked = await bus.call("Inhibit", *LOCK, to=LOGIND)


class _Bus:
    """A connection to the bus, and the lock that it handed over."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._read = b""
        self._descriptors: list[int] = []
        """Of messages that are still to be read."""
        self._given: list[int] = []
        """Of the last message."""
        self._lock: int | None = None
        self._serial = 0

    def close(self) -> None:
        self.let_go()
        for descriptor in (*self._given, *self._descriptors):
            os.close(descriptor)
        self._socket.close()

    async def join(self, bus: Path) -> None:
        """Introduce this process. Raises OSError, EOFError, ValueError."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, str(bus))
        await self._send(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        if not (await self._line()).startswith(b"OK"):
            raise ValueError("the bus lets nobody in")
        await self._send(b"NEGOTIATE_UNIX_FD\r\n")
        await self._line()  # a bus that hands over no descriptors tells of sleep all the same
        await self._send(b"BEGIN\r\n")

    async def call(self, member: str, *arguments: str, to: To) -> int:
        """Call a method, and return the number by which its answer is known."""
        self._serial += 1
        await self._send(call(self._serial, member, *arguments, to=to))
        return self._serial

    async def message(self) -> tuple[bytes, bytes]:
        """Return header and body of the next message. Raises ValueError, EOFError."""
        order, _, _, _, body_bytes, _, field_bytes = _FIXED.unpack(await self._until(_FIXED.size))
        if order != b"l" or body_bytes + field_bytes > MAX_MESSAGE_BYTES:
            raise ValueError("a message of the bus is larger than expected, or in another byte order")
        header_bytes = _FIXED.size + field_bytes + -field_bytes % 8
        whole = await self._until(header_bytes + body_bytes)
        self._read = self._read[len(whole) :]
        self._take(descriptors_of(whole[:header_bytes]))
        return whole[:header_bytes], whole[header_bytes:]

    def hold(self) -> None:
        """Keep the descriptor that came with the message: it is the lock."""
        self.let_go()
        self._lock = self._given.pop(0) if self._given else None

    def let_go(self) -> None:
        """Give the lock back: the device may sleep."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self, count: int) -> None:
        """Take the descriptors of a message, and close those of the one before that nobody held."""
        while self._given:
            os.close(self._given.pop())
        self._given, self._descriptors = self._descriptors[:count], self._descriptors[count:]

    async def _line(self) -> bytes:
        while b"\n" not in self._read:
            await self._receive()
        line, _, self._read = self._read.partition(b"\n")
        return line

    async def _until(self, count: int) -> bytes:
        while len(self._read) < count:
            await self._receive()
        return self._read[:count]

    async def _receive(self) -> None:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._socket, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._socket)
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 4096, MAX_DESCRIPTORS)
        except BlockingIOError:
            return
        self._descriptors += descriptors
        if not data:
            raise EOFError("the bus went away")
        self._read += data
        if len(self._read) > 2 * MAX_MESSAGE_BYTES or len(self._descriptors) > MAX_DESCRIPTORS:
            raise ValueError("the bus says more than expected")

    async def _send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)


def answers(header: bytes, serial: int) -> bool:
    """Return whether a message is the answer to the call of that number."""
    return header[1] == _ANSWER and bytes([_REPLY_SERIAL, 1]) + b"u\0" + struct.pack("<I", serial) in header


def descriptors_of(header: bytes) -> int:
    """Return how many descriptors come with a message."""
    before, found, after = header.partition(bytes([_DESCRIPTORS, 1]) + b"u\0")
    return int.from_bytes(after[:4], "little") if found and before else 0


def sleep_of(header: bytes, body: bytes) -> bool | None:
    """Return what a message says of sleep: True before, False after; None when it is about something else."""
    is_it = header[1] == _SIGNAL and b"PrepareForSleep\0" in header and len(body) == 4
    return bool(struct.unpack("<I", body)[0]) if is_it else None


def call(serial: int, member: str, *arguments: str, to: To = THE_BUS) -> bytes:
    """Return a call with text arguments."""
    fields = [
        _field(_PATH, b"o", to.path.encode()),
        _field(_INTERFACE, b"s", to.interface.encode()),
        _field(_MEMBER, b"s", member.encode()),
        _field(_DESTINATION, b"s", to.destination.encode()),
    ]
    if arguments:
        fields.append(_field(_SIGNATURE, b"g", b"s" * len(arguments)))
    packed, body = b"", b""
    for field in fields:
        packed += bytes(-len(packed) % 8) + field
    for argument in arguments:
        body += bytes(-len(body) % 4) + _text(argument.encode())
    head = _FIXED.pack(b"l", _CALL, 0, 1, len(body), serial, len(packed))
    return head + packed + bytes(-len(packed) % 8) + body


def _field(code: int, kind: bytes, value: bytes) -> bytes:
    start = bytes([code, 1]) + kind + b"\0"
    return start + (bytes([len(value)]) + value + b"\0" if kind == b"g" else _text(value))


def _text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value + b"\0"
