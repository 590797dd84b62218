"""Frames arrive whole or not at all."""

import asyncio
import io
from typing import Any

import pytest

from models.engine import framing
from models.errors import InputError

MESSAGE: dict[str, Any] = {"op": "delta", "id": 7, "text": "wörd", "tokens": [1, 2]}


def test_frames_come_back_in_order() -> None:
    pipe = io.BytesIO(framing.encode(MESSAGE) + framing.encode({"op": "cancel", "id": 8}))
    assert framing.read(pipe) == MESSAGE
    assert framing.read(pipe) == {"op": "cancel", "id": 8}
    assert framing.read(pipe) is None


@pytest.mark.parametrize("cut", range(1, len(framing.encode(MESSAGE))))
def test_a_frame_cut_anywhere_is_an_error_not_an_end(cut: int) -> None:
    with pytest.raises(framing.BrokenFrame):
        framing.read(io.BytesIO(framing.encode(MESSAGE)[:cut]))


@pytest.mark.parametrize("cut", range(1, len(framing.encode(MESSAGE))))
async def test_a_stream_cut_anywhere_is_an_error_not_an_end(cut: int) -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(framing.encode(MESSAGE)[:cut])
    stream.feed_eof()
    with pytest.raises(framing.BrokenFrame):
        await framing.receive(stream)


def test_a_length_beyond_the_bound_is_refused_before_reading() -> None:
    with pytest.raises(framing.BrokenFrame):
        framing.read(io.BytesIO(b"\xff\xff\xff\xff"))


def test_a_frame_that_is_not_a_map_is_refused() -> None:
    with pytest.raises(framing.BrokenFrame):
        framing.read(io.BytesIO(b"\x00\x00\x00\x01\x07"))


@pytest.mark.parametrize("body", [b"\xc1", b"\x81\xa1", b"\x81\x01\x02\x03", b"\x91" * 3000 + b"\x01", b"\x01", b""])
def test_bytes_that_are_no_message_are_a_broken_frame(body: bytes) -> None:
    with pytest.raises(framing.BrokenFrame):
        framing.read(io.BytesIO(len(body).to_bytes(4, "big") + body))


def test_a_request_nested_too_deeply_is_refused_in_a_sentence() -> None:
    deep: dict[str, object] = {}
    for _ in range(1100):
        deep = {"a": deep}
    with pytest.raises(InputError, match="flatter"):
        framing.encode(deep)


def test_a_number_of_more_than_64_bits_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="64 bits"):
        framing.encode({"schema": {"maximum": 10**30}})


def test_half_a_character_is_sent_as_a_question_mark() -> None:
    """As an argument of a command may hold it that was typed in another encoding."""
    assert framing.read(io.BytesIO(framing.encode({"text": "caf\udce9 \U0001f600"}))) == {"text": "caf? \U0001f600"}
