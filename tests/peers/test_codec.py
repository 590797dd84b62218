"""Frames and maps: what goes in comes out, and nothing the other side sends can hurt."""

from __future__ import annotations

import datetime
import math
import struct
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peers import codec
from peers.codec import MAX_CONTAINERS, MAX_DEPTH, MAX_VALUES, FrameReader, decode, encode, frames
from peers.errors import LocalProtocolError, RemoteProtocolError

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
MESSAGES = st.dictionaries(st.text(), VALUES, max_size=6)


@given(MESSAGES)
def test_what_is_encoded_is_decoded(message: dict[str, Any]) -> None:
    assert decode(encode(message)) == message


@given(MESSAGES)
@settings(max_examples=30)
def test_a_message_cut_at_any_byte_is_refused(message: dict[str, Any]) -> None:
    packed = encode(message)
    for length in range(len(packed)):
        with pytest.raises(RemoteProtocolError):
            decode(packed[:length])


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        assert isinstance(decode(data), dict)
    except RemoteProtocolError:
        pass


def nested(depth: int) -> bytes:
    return b"\x81\xa1a" + b"\x91" * depth + b"\xc0"


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xc0",
        b"\x93\x01\x02\x03",
        encode({"a": 1}) + b"\x00",
        b"\x82\xa1a\x01\xa1a\x02",
        b"\x81\x01\x02",
        b"\x81\xa1a\xc7\x00\x05",
        msgpack.packb({"a": msgpack.ExtType(5, b"x")}),
        msgpack.packb({"a": datetime.datetime.now(datetime.UTC)}, datetime=True),
        b"\x81\xa1a\xa1\xff",
        b"\x81\xa1\xff\x01",
        b"\x81\xc4\x01a\x01",
        nested(MAX_DEPTH),
        nested(5000),
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa1a\xdd\xff\xff\xff\xff",
        b"\x81\xa1a\xdb\xff\xff\xff\xff",
        b"\x81\xa1a\xc6\xff\xff\xff\xff",
        b"\xc1",
    ],
    ids=[
        "nothing", "nil", "a list", "more behind it", "a key twice", "a number as key", "ext", "ext with data",
        "a timestamp", "not UTF-8", "a key that is not UTF-8", "bytes as key", "too deep", "far too deep",
        "four billion keys", "four billion items", "four GB of text", "four GB of bytes", "never used",
    ],
)  # fmt: skip
def test_what_the_specification_forbids_is_refused(packed: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(packed)
    assert "Update Covey" in str(caught.value)


def test_the_deepest_allowed_message_passes() -> None:
    assert decode(nested(MAX_DEPTH - 1))


@pytest.mark.parametrize("item", [b"\x80", b"\x90"])
def test_a_bomb_of_empty_containers_stays_small_in_memory(item: bytes) -> None:
    count = MAX_CONTAINERS * 5
    bomb = b"\x81\xa1a\xdd" + struct.pack(">I", count) + item * count
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="maps and lists"):
            decode(bomb)
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


def lists(number: int, items: int) -> bytes:
    """A message with so many lists of small numbers."""
    return b"\x81\xa1a" + bytes([0x90 + number]) + (b"\xdd" + struct.pack(">I", items) + b"\x01" * items) * number


def test_lists_of_a_few_million_small_numbers_are_refused_before_they_are_unpacked() -> None:
    bomb = lists(15, MAX_VALUES)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="1048576 values"):
            decode(bomb)
        assert tracemalloc.get_traced_memory()[1] < 60 * 2**20
    finally:
        tracemalloc.stop()


def test_all_lists_and_maps_share_one_bound() -> None:
    fitting = (MAX_VALUES - 3) // 2
    assert decode(lists(2, fitting))
    with pytest.raises(RemoteProtocolError, match="values"):
        decode(lists(2, fitting + 1))


def test_a_list_that_says_it_is_long_gets_no_more_room_than_the_message_could_fill() -> None:
    nested = b"\x81\xa1a" + b"\xdd\x00\x10\x00\x00" * 500
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError):
            decode(nested)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_a_short_message_gets_no_more_room_than_it_has() -> None:
    packed = encode({"kind": "beat"})
    tracemalloc.start()
    try:
        assert decode(packed) == {"kind": "beat"}
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), 2**64, "\ud800", (1, 2), datetime.date(2026, 1, 1)], ids=lambda value: repr(value)[:12]
)
def test_what_the_wire_can_not_carry_is_our_own_defect(value: object) -> None:
    with pytest.raises(LocalProtocolError):
        encode({"a": value})


def test_sizes_are_checked_on_both_sides() -> None:
    with pytest.raises(LocalProtocolError, match="at most 100"):
        encode({"a": "x" * 100}, limit=100)
    with pytest.raises(RemoteProtocolError, match="100 are allowed"):
        decode(encode({"a": "x" * 100}), limit=100)


def test_numbers_keep_their_kind() -> None:
    message = decode(encode({"whole": 1, "real": 1.0, "endless": math.inf}))
    assert [type(value) for value in message.values()] == [int, float, float]


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 64), st.integers(1, 50))
def test_frames_come_together_however_they_arrive(messages: list[bytes], size: int, step: int) -> None:
    wire = b"".join(frames(message, limit=size) for message in messages)
    reader = FrameReader(frame_limit=size)
    found = [one for start in range(0, len(wire), step) for one in reader.feed(wire[start : start + step])]
    assert found == messages
    reader.end()


def test_frames_cut_at_any_byte_end_in_an_error() -> None:
    wire = frames(b"x" * 100, limit=30)
    for length in range(1, len(wire)):
        reader = FrameReader(frame_limit=30)
        assert reader.feed(wire[:length]) == []
        with pytest.raises(RemoteProtocolError, match="ends in the middle"):
            reader.end()


@pytest.mark.parametrize(
    "wire",
    [
        struct.pack(">I", codec.MAX_FRAME_BYTES + 1),
        struct.pack(">I", 2**31 - 1),
        struct.pack(">I", 2**31),
        (struct.pack(">I", 2**31 + 2**20) + b"x" * 2**20) * 17,
    ],
    ids=["one byte too long", "two GB", "endless empty frames", "a message without end"],
)
def test_an_oversize_frame_is_refused_before_it_is_held(wire: bytes) -> None:
    reader = FrameReader()
    with pytest.raises(RemoteProtocolError):
        for start in range(0, len(wire), 65536):
            reader.feed(wire[start : start + 65536])


def test_a_large_message_goes_in_several_frames() -> None:
    message = b"x" * (2 * codec.MAX_FRAME_BYTES + 5)
    wire = frames(message)
    assert len(wire) == len(message) + 3 * 4
    assert FrameReader().feed(wire) == [message]
