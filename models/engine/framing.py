"""Length-prefixed msgpack messages over the pipe between a node and its worker.

A frame is four bytes of big-endian length, then that many bytes of msgpack (one map).
"""

from __future__ import annotations

import asyncio
import struct
from typing import IO, Any

import msgpack

from models.errors import InputError

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Bytes. A prompt of a full context is below 1 MiB; more than this is a broken pipe, not a message."""

_LENGTH = struct.Struct(">I")


class BrokenFrame(Exception):
    """The other end sent something that is not a frame; the pipe can't be trusted any more."""


def encode(message: dict[str, Any]) -> bytes:
    """Return a frame; half a character becomes a question mark. Raises InputError for what no frame can carry."""
    try:
        body: bytes = msgpack.packb(message, unicode_errors="replace")
    except ValueError as error:  # msgpack follows about a thousand levels of lists and maps
        raise InputError("The request is nested too deeply. Make its schema or its input flatter.") from error
    except OverflowError as error:
        raise InputError("The request holds a whole number of more than 64 bits. Give a smaller one.") from error
    if len(body) > MAX_FRAME_BYTES:
        raise InputError(f"The request has {len(body)} bytes, more than {MAX_FRAME_BYTES}. Make it shorter.")
    return _LENGTH.pack(len(body)) + body


def _length(head: bytes) -> int:
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME_BYTES:
        raise BrokenFrame(f"a frame of {length} bytes exceeds {MAX_FRAME_BYTES}")
    return int(length)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        message = msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException) as error:
        raise BrokenFrame("a frame did not hold msgpack") from error
    if not isinstance(message, dict):
        raise BrokenFrame("a frame did not hold a map")
    return message


def read(pipe: IO[bytes]) -> dict[str, Any] | None:
    """Return the next message of a blocking pipe, or None when the other end has closed it."""
    head = pipe.read(_LENGTH.size)
    if not head:
        return None
    if len(head) < _LENGTH.size:
        raise BrokenFrame("the pipe ended inside a frame")
    length = _length(head)
    body = pipe.read(length)
    if len(body) < length:
        raise BrokenFrame("the pipe ended inside a frame")
    return _decode(body)


async def receive(stream: asyncio.StreamReader) -> dict[str, Any] | None:
    """As `read`, for an asyncio stream."""
    head = b""
    try:
        head = await stream.readexactly(_LENGTH.size)
        return _decode(await stream.readexactly(_length(head)))
    except asyncio.IncompleteReadError as error:
        if head or error.partial:
            raise BrokenFrame("the pipe ended inside a frame") from error
        return None
