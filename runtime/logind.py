"""Hears from the system that this device is about to sleep, and that it woke: listens to logind on the system bus.

Only what that takes of the protocol (D-Bus specification 0.42): the EXTERNAL handshake, two method
calls with text arguments, and signals with one boolean. Where there is no system bus it ends at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

BUS = Path("/run/dbus/system_bus_socket")
MATCH = "type='signal',sender='org.freedesktop.login1',member='PrepareForSleep'"
HANDSHAKE_S = 5.0
MAX_MESSAGE_BYTES = 64 * 1024
"""Of one message; those that were asked for have some hundred bytes."""
_FIXED = struct.Struct("<cBBBIII")
"""Byte order, kind, flags, version, length of the body, serial, length of the fields."""
_CALL, _SIGNAL = 1, 4
_PATH, _INTERFACE, _MEMBER, _DESTINATION, _SIGNATURE = 1, 2, 3, 6, 8

logger = logging.getLogger(__name__)


@asynccontextmanager
async def listening(heard: Callable[[bool], None], bus: Path = BUS) -> AsyncIterator[None]:
    """Tell `heard` True before this device sleeps, and False after it woke, as long as the block lasts."""
    task = asyncio.create_task(_listen(heard, bus))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _listen(heard: Callable[[bool], None], bus: Path) -> None:
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            reader, writer = await asyncio.open_unix_connection(str(bus))
            writer.write(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
            if not (await reader.readline()).startswith(b"OK"):
                return
        writer.write(b"BEGIN\r\n" + call(1, "Hello") + call(2, "AddMatch", MATCH))
        while True:
            going = sleep_of(*await _message(reader))
            if going is not None:
                heard(going)
    except (OSError, EOFError, ValueError, TimeoutError) as error:
        logger.debug("no system bus tells of sleep: %s", error)
    finally:
        if writer is not None:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Return header and body of the next message. Raises ValueError, EOFError."""
    fixed = await reader.readexactly(_FIXED.size)
    order, _, _, _, body_bytes, _, field_bytes = _FIXED.unpack(fixed)
    if order != b"l" or body_bytes + field_bytes > MAX_MESSAGE_BYTES:
        raise ValueError("a message of the bus is larger than expected, or in another byte order")
    fields = await reader.readexactly(field_bytes + -field_bytes % 8)
    return fixed + fields, await reader.readexactly(body_bytes)


def sleep_of(header: bytes, body: bytes) -> bool | None:
    """Return what a message says of sleep: True before, False after; None when it is about something else."""
    is_it = header[1] == _SIGNAL and b"PrepareForSleep\0" in header and len(body) == 4
    return bool(struct.unpack("<I", body)[0]) if is_it else None


def call(serial: int, member: str, argument: str = "") -> bytes:
    """Return a call of one of the bus's own methods."""
    fields = [
        _field(_PATH, b"o", b"/org/freedesktop/DBus"),
        _field(_INTERFACE, b"s", b"org.freedesktop.DBus"),
        _field(_MEMBER, b"s", member.encode()),
        _field(_DESTINATION, b"s", b"org.freedesktop.DBus"),
    ]
    body = b""
    if argument:
        fields.append(_field(_SIGNATURE, b"g", b"s"))
        body = _text(argument.encode())
    packed = b""
    for field in fields:
        packed += bytes(-len(packed) % 8) + field
    head = _FIXED.pack(b"l", _CALL, 0, 1, len(body), serial, len(packed))
    return head + packed + bytes(-len(packed) % 8) + body


def _field(code: int, kind: bytes, value: bytes) -> bytes:
    start = bytes([code, 1]) + kind + b"\0"
    return start + (bytes([len(value)]) + value + b"\0" if kind == b"g" else _text(value))


def _text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value + b"\0"
