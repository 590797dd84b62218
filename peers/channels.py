"""One WebSocket carries many conversations: the link's own words on channel 0, each piece of work on one more.

A message of the WebSocket is a channel's number, flags, and a piece of what is said there. The side
that dialled begins channels with odd numbers, the other one with even numbers, each higher than all
before. On its channel a request and its answer are the same bytes as over HTTP. Bytes in, events out:
no socket, no clock; whatever comes in, memory is bounded, as what comes of requests is counted outside.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntFlag

from peers.arrivals import MAX_BODY_BYTES, Arrival
from peers.codec import FrameReader, refused
from peers.errors import PeerBusy

HEADER = struct.Struct(">IB")
MAX_PIECE_BYTES = 64 * 1024
"""So that a ping or another answer gets its turn in between."""
MAX_OWN_BYTES = 2**20
"""Of one message of the link itself: 256 skill cards with their prefixes."""
MAX_OWN_VALUES = 2**16
"""Of one message of the link itself: three times what these cards have, and read within some milliseconds."""
MAX_OPEN = 16
"""Pieces of work of the other side at once; its grant allows fewer."""


class Flag(IntFlag):
    """What a piece means besides its bytes."""

    NONE = 0
    END = 1
    """This side says no more on this channel."""
    RESET = 2
    """Neither side says more: the work is given up."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the link itself, still encoded."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A whole request of the other side. It is let go when it was read, or when its channel is closed."""

    channel: int
    arrival: Arrival


@dataclass(frozen=True, slots=True)
class Answered:
    """A part of the answer to a request of ours."""

    channel: int
    data: bytes
    ended: bool


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The other side ended a channel before its end."""

    channel: int


@dataclass(frozen=True, slots=True)
class TooMany:
    """The other side began more than it may; the channel is to be reset."""

    channel: int


@dataclass(frozen=True, slots=True)
class Refused:
    """More came of a request than there is room for now; its channel is over but for this error."""

    channel: int
    error: PeerBusy


Event = Said | Asked | Answered | GivenUp | TooMany | Refused


class Channels:
    """What is open between two devices."""

    def __init__(self, begin: Callable[[], Arrival], *, dialled: bool) -> None:
        """`begin` gives what a request of the other side comes into; `dialled`: whether this side did."""
        self._begin = begin
        self._own_first = 1 if dialled else 2
        self._next = self._own_first
        self._ours: set[int] = set()
        self._arriving: dict[int, Arrival] = {}
        self._answering: dict[int, Arrival] = {}
        self._highest_theirs = 0
        self._reader = FrameReader(limit=MAX_OWN_BYTES)

    def open(self) -> int:
        """Return the number of a new channel of ours."""
        channel = self._next
        self._next += 2
        self._ours.add(channel)
        return channel

    def close(self, channel: int) -> None:
        """Forget a channel; what still comes there is ignored."""
        self._ours.discard(channel)
        for arrival in (self._arriving.pop(channel, None), self._answering.pop(channel, None)):
            if arrival is not None:
                arrival.let_go()

    def close_all(self) -> None:
        """The link is over."""
        for channel in [*self._ours, *self._arriving, *self._answering]:
            self.close(channel)

    def late(self) -> list[int]:
        """Return the channels of requests that should be whole by now."""
        return [channel for channel, arrival in self._arriving.items() if arrival.is_late]

    def receive(self, payload: bytes) -> list[Event]:
        """Take one message of the WebSocket. Raises RemoteProtocolError."""
        if len(payload) < HEADER.size:
            raise refused("it is shorter than its header")
        if len(payload) > HEADER.size + MAX_PIECE_BYTES:
            raise refused(f"a piece has more than {MAX_PIECE_BYTES} bytes")
        channel, number = HEADER.unpack_from(payload)
        if number > Flag.END | Flag.RESET:
            raise refused("it has flags that the wire does not know")
        flags, data = Flag(number), payload[HEADER.size :]
        if channel == 0:
            if flags:
                raise refused("the link itself does not end by a flag")
            return [Said(message) for message in self._reader.feed(data)]
        if channel % 2 == self._own_first % 2:
            return self._on_ours(channel, flags, data)
        return self._on_theirs(channel, flags, data)

    def _on_ours(self, channel: int, flags: Flag, data: bytes) -> list[Event]:
        if channel >= self._next:
            raise refused("it answers what was never asked")
        if channel not in self._ours:
            return []  # given up a moment ago
        if flags & Flag.RESET:
            self._ours.discard(channel)
            return [GivenUp(channel)]
        if flags & Flag.END:
            self._ours.discard(channel)
        return [Answered(channel, data, bool(flags & Flag.END))]

    def _on_theirs(self, channel: int, flags: Flag, data: bytes) -> list[Event]:
        if channel > self._highest_theirs:
            self._highest_theirs = channel
            if flags & Flag.RESET:
                return []
            if len(self._arriving) + len(self._answering) >= MAX_OPEN:
                return [TooMany(channel)]
            self._arriving[channel] = self._begin()
        if flags & Flag.RESET:
            known = channel in self._arriving or channel in self._answering
            self.close(channel)
            return [GivenUp(channel)] if known else []
        if channel in self._answering:
            raise refused("a request goes on after its end")
        if channel not in self._arriving:
            return []
        return self._arrived(channel, data, ended=bool(flags & Flag.END))

    def _arrived(self, channel: int, data: bytes, *, ended: bool) -> list[Event]:
        arrival = self._arriving[channel]
        if len(arrival) + len(data) > MAX_BODY_BYTES:
            self.close(channel)
            return [TooMany(channel)]
        try:
            arrival.add(data)
        except PeerBusy as error:
            self.close(channel)
            return [Refused(channel, error)]
        if not ended:
            return []
        self._answering[channel] = self._arriving.pop(channel)
        return [Asked(channel, arrival)]


def piece(channel: int, data: bytes = b"", flags: Flag = Flag.NONE) -> bytes:
    """Return one message of the WebSocket."""
    return HEADER.pack(channel, flags) + data


def pieces(channel: int, data: bytes, *, ended: bool = False) -> Iterator[bytes]:
    """Yield the messages that carry these bytes."""
    starts = range(0, max(len(data), 1), MAX_PIECE_BYTES)
    for start in starts:
        last = ended and start + MAX_PIECE_BYTES >= len(data)
        yield piece(channel, data[start : start + MAX_PIECE_BYTES], Flag.END if last else Flag.NONE)
