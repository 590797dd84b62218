"""Many conversations in one WebSocket: whatever comes in, it is told apart, bounded or refused."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers import arrivals
from peers.arrivals import MAX_ARRIVING_BYTES, MAX_BODY_BYTES, WHOLE_S, Arrivals
from peers.channels import (
    MAX_OPEN,
    MAX_OWN_BYTES,
    MAX_PIECE_BYTES,
    Answered,
    Asked,
    Channels,
    Event,
    Flag,
    GivenUp,
    Refused,
    Said,
    TooMany,
    piece,
    pieces,
)
from peers.codec import frames
from peers.errors import RemoteProtocolError
from peers.node_id import NodeId
from tests.peers.nodes import Clock

NODE = NodeId("A" * 52)


@dataclass(frozen=True)
class Whole:
    """A request that came whole."""

    channel: int
    body: bytes


def side(dialled: bool, held: Arrivals | None = None) -> Channels:
    held = held or Arrivals()
    return Channels(lambda: held.begin(NODE), dialled=dialled)


def told(side: Channels, payloads: object) -> list[Event | Whole]:
    assert hasattr(payloads, "__iter__")
    return [as_told(event) for payload in payloads for event in side.receive(payload)]


def as_told(event: Event) -> Event | Whole:
    return Whole(event.channel, event.arrival.whole()) if isinstance(event, Asked) else event


def test_the_bytes_of_a_piece_are_as_specified() -> None:
    assert piece(3, b"hi", Flag.END) == bytes.fromhex("00000003 01 6869")
    assert piece(2**32 - 1, flags=Flag.RESET) == bytes.fromhex("ffffffff 02")
    assert list(pieces(0, b"")) == [bytes.fromhex("00000000 00")]


@pytest.mark.parametrize("size", [0, 1, MAX_PIECE_BYTES, MAX_PIECE_BYTES + 1, 3 * MAX_PIECE_BYTES])
def test_a_request_and_its_answer_come_across_whole(size: int) -> None:
    asker, worker = side(True), side(False)
    body = random.Random(size).randbytes(size)
    channel = asker.open()
    assert told(worker, pieces(channel, body, ended=True)) == [Whole(channel, body)]
    answered = told(asker, pieces(channel, body, ended=True))
    assert b"".join(event.data for event in answered if isinstance(event, Answered)) == body
    assert [event.ended for event in answered if isinstance(event, Answered)][-1]
    assert told(asker, [piece(channel, b"late")]) == []


def test_both_sides_ask_at_once_and_are_told_apart() -> None:
    here, there = side(True), side(False)
    mine, theirs = here.open(), there.open()
    assert (mine % 2, theirs % 2) == (1, 0)
    assert told(there, pieces(mine, b"a", ended=True)) == [Whole(mine, b"a")]
    assert told(here, pieces(theirs, b"b", ended=True)) == [Whole(theirs, b"b")]
    assert told(here, [piece(mine, b"x", Flag.END)]) == [Answered(mine, b"x", True)]


def test_the_links_own_words_go_between_the_parts_of_a_long_request() -> None:
    asker, worker = side(True), side(False)
    first, *rest = pieces(asker.open(), b"x" * 2 * MAX_PIECE_BYTES, ended=True)
    assert told(worker, [first, piece(0, frames(b"\x80"))]) == [Said(b"\x80")]
    assert told(worker, rest) == [Whole(1, b"x" * 2 * MAX_PIECE_BYTES)]


def test_what_is_given_up_is_told_once_and_what_comes_after_is_ignored() -> None:
    worker = side(False)
    assert told(worker, [piece(1, b"x", Flag.END), piece(1, flags=Flag.RESET)]) == [Whole(1, b"x"), GivenUp(1)]
    assert told(worker, [piece(1, flags=Flag.RESET), piece(1, b"more")]) == []
    assert told(worker, [piece(3, b"half"), piece(3, flags=Flag.RESET)]) == [GivenUp(3)]
    asker = side(True)
    channel = asker.open()
    assert told(asker, [piece(channel, flags=Flag.RESET), piece(channel, b"late")]) == [GivenUp(channel)]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\0\0\0\0",
        piece(0, flags=Flag.END),
        b"\0\0\0\x01\x04",
        piece(2, b"x"),
        piece(1, b"x" * (MAX_PIECE_BYTES + 1)),
    ],
)
def test_what_breaks_a_rule_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        side(False).receive(payload)


def test_a_request_does_not_go_on_after_its_end() -> None:
    worker = side(False)
    worker.receive(piece(1, b"x", Flag.END))
    with pytest.raises(RemoteProtocolError):
        worker.receive(piece(1, b"y"))


def test_more_channels_than_allowed_are_turned_away_one_by_one() -> None:
    worker = side(False)
    for count in range(MAX_OPEN):
        worker.receive(piece(1 + 2 * count, b"x", Flag.END))
    assert worker.receive(piece(1 + 2 * MAX_OPEN, b"x", Flag.END)) == [TooMany(1 + 2 * MAX_OPEN)]
    worker.close(1)
    assert told(worker, [piece(3 + 2 * MAX_OPEN, b"x", Flag.END)]) == [Whole(3 + 2 * MAX_OPEN, b"x")]


def test_requests_that_never_end_are_bounded() -> None:
    worker, count, full = side(False), 0, piece(1, b"x" * MAX_PIECE_BYTES)
    while worker.receive(full) == []:
        count += 1
    assert count * MAX_PIECE_BYTES <= MAX_BODY_BYTES
    held = Arrivals()
    worker = side(False, held)
    for channel in range(3, 3 + 2 * MAX_OPEN, 2):
        for _ in range(64):
            worker.receive(piece(channel, b"x" * MAX_PIECE_BYTES))
    assert held.size_bytes <= MAX_ARRIVING_BYTES
    worker.close_all()
    assert held.size_bytes == 0


def test_requests_that_are_whole_and_not_read_yet_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MAX_ARRIVING_BYTES", 3 * MAX_PIECE_BYTES)
    held, full = Arrivals(), b"x" * MAX_PIECE_BYTES
    worker = side(False, held)
    first, *_ = [worker.receive(piece(channel, full, Flag.END))[0] for channel in (1, 3, 5)]
    (refused,) = worker.receive(piece(7, full))
    assert isinstance(refused, Refused) and "one by one" in str(refused.error)
    assert worker.receive(piece(7, full, Flag.END)) == [], "an honest asker has sent the rest already"
    assert held.size_bytes == 3 * MAX_PIECE_BYTES
    assert isinstance(first, Asked)
    first.arrival.let_go()
    assert isinstance(worker.receive(piece(9, full, Flag.END))[0], Asked)
    worker.close_all()
    assert held.size_bytes == 0


def test_a_request_that_dribbles_does_not_hold_its_room() -> None:
    clock = Clock()
    worker = side(False, Arrivals(clock.seconds))
    worker.receive(piece(1, b"x"))
    worker.receive(piece(3, b"x", Flag.END))
    clock.pass_s(WHOLE_S)
    assert worker.late() == []
    clock.pass_s(1)
    assert worker.late() == [1], "work may take as long as it likes"


def test_a_word_of_the_link_is_bounded() -> None:
    with pytest.raises(RemoteProtocolError):
        for part in pieces(0, frames(b"x" * (MAX_OWN_BYTES + 1))):
            side(True).receive(part)


@given(st.lists(st.binary(max_size=40), max_size=30), st.booleans())
def test_no_bytes_break_it(payloads: list[bytes], dialled: bool) -> None:
    held = Arrivals()
    one = side(dialled, held)
    one.open()
    for payload in payloads:
        try:
            one.receive(payload)
        except RemoteProtocolError:
            continue
    assert len(one._arriving) + len(one._answering) <= MAX_OPEN
    one.close_all()
    assert held.size_bytes == 0
