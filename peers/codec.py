"""Bytes of the wire to plain values and back: frames with a length, msgpack maps inside, every size bounded.

A frame is four bytes of header and a payload. The header is big-endian: bit 31 says that the message
goes on in the next frame, bits 0-30 are the payload's length. A message is the payloads of its frames
put together: one msgpack map with text keys. This file knows no message, socket or clock.
"""

from __future__ import annotations

import struct
from typing import Any

import msgpack

from peers.errors import LocalProtocolError, RemoteProtocolError

MAX_FRAME_BYTES = 2**20
"""1 MiB: what a receiver must be ready to hold before it knows what it is."""
MAX_MESSAGE_BYTES = 16 * 2**20
"""16 MiB: a long document fits; more would let one request fill a small device's memory."""
MAX_DEPTH = 32
"""Nested maps and lists; deeper input overflows the stack of what reads it later."""
MAX_CONTAINERS = 100_000
"""Maps and lists in one message: an empty one takes a byte on the wire and 64 in memory."""
MAX_VALUES = 2**20
"""Items of all lists and keys of all maps: a page of vectors has some 100 000. A byte of the wire may take 56 here."""
MAX_MAP = 4096
"""Keys of one map."""
HEADER = struct.Struct(">I")
_MORE = 1 << 31

Message = dict[str, Any]


def encode(message: Message, *, limit: int = MAX_MESSAGE_BYTES) -> bytes:
    """Return a message as msgpack. Raises LocalProtocolError when it is too large or can't be carried."""
    try:
        packed: bytes = msgpack.packb(message, use_bin_type=True, strict_types=True)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise LocalProtocolError(
            f"A message can't be written for the wire ({error}). Report it: this is a defect."
        ) from error
    if len(packed) > limit:
        raise LocalProtocolError(
            f"This would be {len(packed)} bytes, but at most {limit} go to another device at once. Give it less."
        )
    return packed


def decode(packed: bytes, *, limit: int = MAX_MESSAGE_BYTES, values: int = MAX_VALUES) -> Message:
    """Return the map that some bytes hold; all of them, and nothing but text keys. Raises RemoteProtocolError.

    `limit`: bytes; `values`: items of lists and keys of maps.
    """
    if len(packed) > limit:
        raise refused(f"it has {len(packed)} bytes, and {limit} are allowed")
    seen = _Counted(values)
    unpacker = msgpack.Unpacker(
        raw=False,
        use_list=True,
        strict_map_key=True,
        object_pairs_hook=seen.pairs,
        list_hook=seen.items,
        ext_hook=_no_extension,
        max_buffer_size=max(len(packed), 1),  # room is made for as many bytes at once, up to 1 MiB
        max_str_len=limit,
        max_bin_len=limit,
        max_array_len=min(values, len(packed)),  # room is made for as many as a list says that it has
        max_map_len=MAX_MAP,
        max_ext_len=0,
    )
    try:
        unpacker.feed(packed)
        message = unpacker.unpack()
        used = unpacker.tell()
    except RemoteProtocolError:
        raise
    except (msgpack.UnpackException, msgpack.exceptions.BufferFull, ValueError, TypeError, RecursionError) as error:
        raise refused(f"it can't be read ({type(error).__name__})") from error
    if used != len(packed):
        raise refused("something follows its end")
    if not isinstance(message, dict):
        raise refused("it is no map")
    if not _fits(message):
        raise refused(f"it is nested deeper than {MAX_DEPTH}, or has a kind of value that is not allowed")
    return message


def frames(message: bytes, *, limit: int = MAX_FRAME_BYTES) -> bytes:
    """Return an encoded message as frames, one behind the other."""
    parts = [message[start : start + limit] for start in range(0, len(message), limit)] or [b""]
    last = len(parts) - 1
    return b"".join(HEADER.pack(len(part) | (_MORE if at < last else 0)) + part for at, part in enumerate(parts))


class FrameReader:
    """Puts frames together again, in whatever pieces the bytes arrive. Memory is bounded by the limits."""

    def __init__(self, *, limit: int = MAX_MESSAGE_BYTES, frame_limit: int = MAX_FRAME_BYTES) -> None:
        self._limit = limit
        self._frame_limit = frame_limit
        self._buffer = bytearray()
        self._message = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take some bytes and return the messages that they complete, still encoded. Raises RemoteProtocolError."""
        self._buffer += data
        done = []
        while len(self._buffer) >= HEADER.size:
            (header,) = HEADER.unpack_from(self._buffer)
            size = header & ~_MORE
            if size > self._frame_limit:  # before its payload is waited for
                raise refused(f"a frame has {size} bytes, and {self._frame_limit} are allowed")
            if len(self._message) + size > self._limit:
                raise refused(f"it has more than {self._limit} bytes")
            if size == 0 and header & _MORE:
                raise refused("an empty frame says that more follows")
            end = HEADER.size + size
            if len(self._buffer) < end:
                break
            self._message += self._buffer[HEADER.size : end]
            del self._buffer[:end]
            if not header & _MORE:
                done.append(bytes(self._message))
                self._message.clear()
        return done

    def end(self) -> None:
        """Say that no more bytes come. Raises RemoteProtocolError when a message is unfinished."""
        if self._buffer or self._message:
            raise refused("it ends in the middle")


def refused(why: str) -> RemoteProtocolError:
    """Return the error for a message that is not as the specification wants it."""
    return RemoteProtocolError(f"A message of the other device was refused: {why}. Update Covey on both devices.")


class _Counted:
    """Counts what there is while it is read, and refuses a key that comes twice."""

    def __init__(self, most_values: int) -> None:
        self._most_values = most_values
        self._containers = 0
        self._values = 0

    def pairs(self, pairs: list[tuple[str, Any]]) -> Message:
        self._one_more(len(pairs))
        found = dict(pairs)
        if len(found) != len(pairs):
            raise refused("a key comes twice")
        return found

    def items(self, items: list[Any]) -> list[Any]:
        self._one_more(len(items))
        return items

    def _one_more(self, values: int) -> None:
        self._containers += 1
        self._values += values
        if self._containers > MAX_CONTAINERS:
            raise refused(f"it has more than {MAX_CONTAINERS} maps and lists")
        if self._values > self._most_values:
            raise refused(f"it has more than {self._most_values} values")


def _no_extension(code: int, data: bytes) -> None:
    raise refused(f"it has a value of the kind {code}, which the wire does not know")


def _fits(message: Message) -> bool:
    """Return whether keys are text and nothing is nested too deep."""
    level: list[Any] = [message]
    for _ in range(MAX_DEPTH):
        if any(not isinstance(key, str) for one in level if isinstance(one, dict) for key in one):
            return False
        inside = (one.values() if isinstance(one, dict) else one for one in level)
        level = [item for items in inside for item in items if isinstance(item, dict | list)]
        if not level:
            return True
    return False
