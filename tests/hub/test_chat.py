"""The stream of a hub, cut at every byte and filled with nonsense."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.backoff import MOST_S, TRIES, pause_s
from hub.breaker import FAILURES, Breaker
from hub.chat import Answered, Counted, Ended, EventReader, Piece, is_same_model
from hub.errors import HubBusy, HubEndless, HubFailed, HubNonsense, KeyRefused

STREAM = (
    b": comment\n\nevent: x\n"
    b'data: {"model": "big", "choices": [{"delta": {"role": "assistant"}}]}\r\n\r\n'
    b'data: {"model": "big", "choices": [{"delta": {"content": "Gr\xc3\xbc"}}]}\n\n'
    b'data: {"model": "big", "choices": [{"delta": {"content": "\\u00dfe"}, "finish_reason": "stop"}]}\n\n'
    b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\ndata: [DONE]\n\n'
)
EVENTS = [Answered("big"), Answered("big"), Piece("Grü"), Answered("big"), Piece("ße"), Ended("stop"), Counted(3, 2)]


def test_every_way_to_cut_a_stream_gives_the_same_events() -> None:
    for cut in range(len(STREAM) + 1):
        reader = EventReader("far")
        assert [*reader.feed(STREAM[:cut]), *reader.feed(STREAM[cut:])] == EVENTS
        assert reader.done


@pytest.mark.parametrize(
    "data",
    [
        b"{", b"[]", b"7", b'{"choices": 7}', b'{"choices": [7]}', b'{"choices": [{"delta": {"content": 7}}]}',
        b'{"error": {"message": "x"}}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_nonsense_is_one_sentence(data: bytes) -> None:
    with pytest.raises(HubNonsense, match="far"):
        EventReader("far").feed(b"data: " + data + b"\n\n")


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail_in_another_way(data: bytes) -> None:
    try:
        EventReader("far").feed(data + b"\n")
    except HubNonsense:
        return


def test_a_stream_and_a_line_have_an_end() -> None:
    reader = EventReader("far")
    event = b"data: " + json.dumps({"choices": [{"delta": {"content": "x" * 1000}}]}).encode() + b"\n\n"
    with pytest.raises(HubEndless):
        for _ in range(1000):
            reader.feed(event)
    with pytest.raises(HubNonsense, match="without end"):
        EventReader("far").feed(b"x" * 300_000)


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ("gpt-x", "gpt-x-2026-08-06", True),
        ("org/big", "org/big", True),
        ("big:latest", "big", False),
        ("big", "big:latest", True),
        ("big", "small", False),
        ("gpt-x", "gpt-xx", False),
        ("gpt-x", "GPT-X", True),
    ],
)
def test_a_dated_edition_is_the_model_and_another_is_not(asked: str, answered: str, same: bool) -> None:
    assert is_same_model(asked, answered) is same


def test_pauses_grow_have_chance_in_them_and_end() -> None:
    failed = HubFailed("x")
    assert [pause_s(failed, tries, 0.5) for tries in range(1, TRIES + 1)] == [0.5, 1.0, None]
    assert pause_s(failed, 1, 0.0) != pause_s(failed, 1, 1.0)
    assert pause_s(KeyRefused("x"), 1, 0.5) is None
    assert pause_s(HubBusy("x", MOST_S + 1), 1, 0.5) is None


def test_a_breaker_opens_after_some_failures_rests_longer_each_time_and_closes_after_an_answer() -> None:
    breaker, now = Breaker(), 0.0
    for _ in range(FAILURES):
        assert breaker.rests_at(now) == 0
        breaker = breaker.failed(now)
    rests = []
    for _ in range(8):
        rests.append(breaker.rests_at(now))
        now = breaker.until_s
        breaker = breaker.failed(now)
    assert rests == sorted(rests) and rests[0] == 30 and rests[-1] == 600
    assert breaker.answered().rests_at(now) == 0
