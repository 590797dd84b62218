"""Speaks with the system's message bus: calls methods, reads what comes, and takes the descriptors that come with it.

Only what listening to logind takes of the protocol (D-Bus specification 0.42): the EXTERNAL handshake, method calls
with text arguments, and of what comes the fields that are text or a number.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Mapping
from typing import NamedTuple

BUS = b"org.freedesktop.DBus"
"""Whom the bus itself names as sender; it lets nobody else take that name, and writes every sender itself."""
MAX_MESSAGE_BYTES = 64 * 1024
"""Of one message; those that were asked for have some hundred bytes."""
MAX_DESCRIPTORS = 4
"""Waiting to be read; the answer that was asked for has one."""
ANSWER, ERROR, SIGNAL = 2, 3, 4
PATH, INTERFACE, MEMBER, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE, DESCRIPTORS = 1, 2, 3, 5, 6, 7, 8, 9
_CALL = 1
_NO_START = 2
"""Nobody is started to answer a call: a system that does without is left so."""
_FIXED = struct.Struct("<cBBBIII")
"""Byte order, kind, flags, version, length of the body, serial, length of the fields."""


class To(NamedTuple):
    """Whom a call is for."""

    path: str
    interface: str
    destination: str


class Message(NamedTuple):
    """What came."""

    kind: int
    fields: Mapping[int, bytes | int]
    body: bytes

    @property
    def sender(self) -> bytes:
        """Who the bus says it is from: a unique name, as `:1.7`, or `BUS`."""
        sender = self.fields.get(SENDER, b"")
        return sender if isinstance(sender, bytes) else b""

    def answers(self, serial: int) -> bool:
        """Return whether it is the answer to the call of that number, good or bad."""
        return self.kind in (ANSWER, ERROR) and self.fields.get(REPLY_SERIAL) == serial

    def signals(self, said: Mapping[int, bytes]) -> bool:
        """Return whether it is a signal with all these fields."""
        return self.kind == SIGNAL and said.items() <= self.fields.items()


class SystemBus:
    """A connection to the bus, and the lock that somebody there handed over."""

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

    async def join(self, path: str) -> None:
        """Introduce this process. Raises OSError, EOFError, ValueError. Set a timeout."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, path)
        await self._send(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        if not (await self._line()).startswith(b"OK"):
            raise ValueError("the bus lets nobody in")
        await self._send(b"NEGOTIATE_UNIX_FD\r\n")
        await self._line()  # a bus that hands over no descriptors tells what it can all the same
        await self._send(b"BEGIN\r\n")

    async def call(self, member: str, *arguments: str, to: To) -> int:
        """Call a method, and return the number by which its answer is known."""
        self._serial += 1
        await self._send(call(self._serial, member, *arguments, to=to))
        return self._serial

    async def message(self) -> Message:
        """Return the next message. Raises ValueError, EOFError."""
        order, kind, _, _, body_bytes, _, field_bytes = _FIXED.unpack(await self._until(_FIXED.size))
        if order != b"l" or body_bytes + field_bytes > MAX_MESSAGE_BYTES:
            raise ValueError("a message of the bus is larger than expected, or in another byte order")
        header_bytes = _FIXED.size + field_bytes + -field_bytes % 8
        whole = await self._until(header_bytes + body_bytes)
        self._read = self._read[len(whole) :]
        fields = fields_of(whole[:header_bytes])
        self._take(fields.get(DESCRIPTORS, 0))
        return Message(kind, fields, whole[header_bytes:])

    def hold(self) -> None:
        """Keep the descriptor that came with the message: it is the lock."""
        self.let_go()
        self._lock = self._given.pop(0) if self._given else None

    def let_go(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self, count: bytes | int) -> None:
        """Take the descriptors of a message, and close those of the one before that nobody held."""
        while self._given:
            os.close(self._given.pop())
        if isinstance(count, int):
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


def fields_of(header: bytes) -> Mapping[int, bytes | int]:
    """Return the fields of a header. Where one is neither text nor a number, those behind it are left out."""
    found: dict[int, bytes | int] = {}
    at = _FIXED.size
    while at + 8 <= len(header):
        code, kind, number = header[at], header[at + 2 : at + 3], int.from_bytes(header[at + 4 : at + 8], "little")
        match kind:
            case b"u":
                found[code], at = number, at + 8
            case b"s" | b"o":
                found[code], at = header[at + 8 : at + 8 + number], at + 9 + number
            case b"g":
                size = header[at + 4]
                found[code], at = header[at + 5 : at + 5 + size], at + 6 + size
            case _:
                break
        at += -at % 8
    return found


def call(serial: int, member: str, *arguments: str, to: To) -> bytes:
    """Return a call with text arguments."""
    fields = [
        _field(PATH, b"o", to.path.encode()),
        _field(INTERFACE, b"s", to.interface.encode()),
        _field(MEMBER, b"s", member.encode()),
        _field(DESTINATION, b"s", to.destination.encode()),
    ]
    if arguments:
        fields.append(_field(SIGNATURE, b"g", b"s" * len(arguments)))
    packed, body = b"", b""
    for field in fields:
        packed += bytes(-len(packed) % 8) + field
    for argument in arguments:
        body += bytes(-len(body) % 4) + _text(argument.encode())
    head = _FIXED.pack(b"l", _CALL, _NO_START, 1, len(body), serial, len(packed))
    return head + packed + bytes(-len(packed) % 8) + body


def _field(code: int, kind: bytes, value: bytes) -> bytes:
    start = bytes([code, 1]) + kind + b"\0"
    return start + (bytes([len(value)]) + value + b"\0" if kind == b"g" else _text(value))


def _text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value + b"\0"
