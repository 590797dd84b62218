"""One link: a WebSocket with one paired device, from its hello to its end.

Three things go on at once: reading; pinging, and telling what is new; and watching whether the other
side is still there. Work that is handed over the link has a channel of its own; when the link ends,
so does all that runs over it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from functools import partial

import aiohttp
from aiohttp import WSMsgType, web
from aiolimiter import AsyncLimiter

from models.types import Label
from peers import codec, liveness
from peers.book import Peer
from peers.channels import (
    HEADER,
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
from peers.errors import PeerLost, PeersError, RemoteProtocolError
from peers.handovers import Handovers
from peers.interfaces import is_gone
from peers.liveness import Health
from peers.messages import Hello
from peers.neighbourhood import Neighbour
from peers.outflow import Outflow
from peers.release import Released, Releaser, sending
from peers.station import Station
from peers.tidings import Tidings, is_insider
from peers.version import agree
from peers.wire import WireMessage, read

HELLO_S = 10.0
TICK_S = 1.0
"""How often it is looked whether there is something to do."""
PAUSE_S = 0.05
"""After news. What begins and ends in the meantime is told together: a device with many short tasks would else say
more than the other side takes (`WORDS`), and lose its links while it is busy."""
DOUBT_S = 2.0
"""After a wake: what the other side is given to answer before the link is made anew."""
CLOSE_S = 0.5
WORDS = 500
WORDS_S = 10.0
"""Messages of the link itself, and pings, in ten seconds; a device says about five."""
WORD_BYTES = 4096
"""A longer message counts once for each of these: reading it, and checking its signatures, takes longer."""
BYE, REPLACED, UNPAIRED, BROKEN = 4000, 4001, 4002, 4003
"""Codes with which a link is closed."""
MAX_PAYLOAD_BYTES = HEADER.size + MAX_PIECE_BYTES + 1
"""Of one message of the WebSocket; aiohttp takes less than this."""
_PING = struct.Struct(">Q")

Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse
"""Either end of a WebSocket; both are spoken to alike. Neither answers pings by itself."""

logger = logging.getLogger(__name__)


class Link:
    """See above. `greet`, then `run`."""

    def __init__(
        self,
        station: Station,
        peer: Peer,
        socket: Socket,
        *,
        dialled: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.node = peer.node_id
        self.name = peer.name
        self.dialled = dialled
        """Whether this side did."""
        self.began_s = clock()
        self.neighbour = Neighbour(peer.node_id)
        self._station = station
        self._version = peer.version
        self._socket = socket
        self._clock = clock
        self._pulse = liveness.begun(clock())
        self._channels = Channels(partial(station.desk.arrivals.begin, peer.node_id), dialled=dialled)
        self._tidings = Tidings(station, peer)
        label = min(Label.PERSONAL, peer.grant.label) if is_insider(peer) else Label.PUBLIC
        recipient = replace(peer.recipient(), capabilities=None)
        self._outflow = Outflow(Releaser(station.state.ledger), recipient, label)
        self._handovers = Handovers(peer.node_id, peer.name, self._channels, station.desk, self._send, self.poke)
        self._words = AsyncLimiter(WORDS, WORDS_S)
        self._poked = asyncio.Event()
        self._tellings: list[asyncio.Future[None]] = []
        self._doubted_s: float | None = None
        self._retired = False
        self._pings = 0
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._code = BYE

    @property
    def health(self) -> Health:
        return Health.DOWN if self._over.done() else liveness.health(self._pulse, self._clock())

    async def greet(self) -> None:
        """Exchange hellos. Raises PeersError, and then the link is over."""
        try:
            async with asyncio.timeout(HELLO_S):
                await self._say(self._station.desk.hello())
                message = await self._socket.receive()
            self._hear_hello(message)
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            await self.discard()
            raise PeerLost(f"{self.name} said no hello. Check that it is on and not asleep.") from error
        except BaseException:  # cancelled, or refused by what was said: a link without a hello is not kept open
            await self.discard()
            raise

    def _hear_hello(self, message: aiohttp.WSMessage) -> None:
        if message.type is not WSMsgType.BINARY:
            raise PeerLost(f"{self.name} ended the link before it said hello. Check that the two are still paired.")
        events = self._channels.receive(message.data)
        if len(events) != 1 or not isinstance(events[0], Said):
            raise codec.refused("a link begins with one hello")
        hello = read(events[0].message, Hello)
        agree(self._station.desk.hello(), hello, before=self._version)
        self._pulse = liveness.begun(self._clock())
        self.neighbour = replace(self.neighbour, boot=hello.boot)

    async def run(self) -> None:
        """Speak until the link ends, and say why in the log."""
        why = "it was ended here"
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._talk())
                group.create_task(self._until_over())
                await self._read(group)
        except* (PeersError, OSError, aiohttp.ClientError, TimeoutError) as errors:
            why = str(errors.exceptions[0])
            if any(isinstance(error, RemoteProtocolError) for error in errors.exceptions):
                self._code = BROKEN
        finally:
            logger.debug("the link with %s ended: %s", self.name, why)
            if not self._over.done():
                self._over.set_result(None)
            self._handovers.lose()
            await asyncio.shield(self._put_away())

    async def discard(self) -> None:
        """End a link that is not needed."""
        self._code = REPLACED
        await asyncio.shield(self._put_away())

    def end(self, code: int = BYE) -> None:
        """End the link from outside, at once."""
        self._code = code
        self._handovers.cut()
        if not self._over.done():
            self._over.set_result(None)

    def retire(self) -> None:
        """A newer link takes its place: what runs over this one may end, nothing new begins."""
        self._retired, self._code = True, REPLACED
        self._tidings.retire()

    def poke(self) -> None:
        """Tell the other side now what is new, instead of within a second."""
        self._poked.set()

    async def tell(self) -> None:
        """The same, and return when it has gone out or the link is over. Set a timeout."""
        told = asyncio.get_running_loop().create_future()
        self._tellings.append(told)
        self._poked.set()
        await asyncio.wait({told, self._over}, return_when=asyncio.FIRST_COMPLETED)

    def doubt(self) -> None:
        """This device slept, or its network changed: the link must answer soon or be made anew.

        What comes to an address that this device has no more is lost, so that such a link ends now.
        """
        if is_gone(self._socket.get_extra_info("sockname")):
            self.end()
        self._doubted_s = self._clock()
        self._poked.set()

    def call(self, released: Released[bytes]) -> AsyncGenerator[bytes, None]:
        """Hand over a request and yield the bytes of its answer. Closing it early gives the work up.

        Raises PeerLost.
        """
        if self._over.done():
            raise PeerLost(f"The link to {self.name} has just ended. Ask again in a moment.")
        return self._handovers.call(released)

    async def _say(self, message: WireMessage) -> None:
        """Say something of the link itself."""
        released = await self._outflow.piece(codec.frames(message.pack()))
        with sending(released):
            for part in pieces(0, released.value_for(self.node)):
                await self._send(part)

    async def _send(self, payload: bytes) -> None:
        try:
            await self._socket.send_bytes(payload)
        except (OSError, aiohttp.ClientError) as error:
            raise PeerLost(f"The link to {self.name} broke. Check that it is on and in reach.") from error

    async def _read(self, group: asyncio.TaskGroup) -> None:
        while True:
            message = await self._socket.receive()
            self._pulse = liveness.heard(self._pulse, self._clock())
            match message.type:
                case WSMsgType.BINARY:
                    for event in self._channels.receive(message.data):
                        await self._on(event, group)
                case WSMsgType.PING:
                    await self._count_word()
                    await self._socket.pong(message.data)
                case WSMsgType.PONG:
                    await self._count_word()
                    if message.data == _PING.pack(self._pings):
                        self._answered()
                        self._note(replace(self.neighbour, rtt_s=self._clock() - self._pulse.pinged_s))
                case WSMsgType.CLOSE | WSMsgType.CLOSING | WSMsgType.CLOSED | WSMsgType.ERROR:
                    raise PeerLost(f"{self.name} ended the link.")
                case _:
                    raise codec.refused("a link has no text")

    def _answered(self) -> None:
        """End the doubt, if the ping was sent after it began: nothing older proves that the way is still there."""
        if self._doubted_s is not None and self._pulse.pinged_s >= self._doubted_s:
            self._doubted_s = None

    async def _on(self, event: Event, group: asyncio.TaskGroup) -> None:
        match event:
            case Said(message):
                await self._count_word(len(message))
                self._note(await self._tidings.hear(message, self.neighbour, self._clock()))
            case Asked(channel, arrival):
                self._handovers.begin(channel, arrival, group)
            case Refused(channel, error):
                await self._handovers.refuse(channel, error)
            case Answered(channel, data, ended):
                self._handovers.answered(channel, data, ended=ended)
            case GivenUp(channel):
                self._handovers.given_up(channel)
            case TooMany(channel):
                await self._send(piece(channel, flags=Flag.RESET))

    async def _talk(self) -> None:
        """Ping, give up channels, and tell what is new."""
        while True:
            self._poked.clear()
            tellings, self._tellings = self._tellings, []
            await self._handovers.reset()
            now = self._clock()
            doubted = self._doubted_s is not None and self._pulse.pinged_s < self._doubted_s
            if doubted or liveness.is_due(self._pulse, now):
                self._pings += 1
                self._pulse = liveness.pinged(self._pulse, now)
                await self._socket.ping(_PING.pack(self._pings))
            news = await self._tidings.news(now)
            for message in news:
                await self._say(message)
            for told in tellings:
                told.set_result(None)
            if news:
                await asyncio.sleep(PAUSE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._poked.wait()

    async def _watch(self) -> None:
        """End the link when the other side is gone, or no longer paired."""
        while True:
            await asyncio.sleep(TICK_S / 2)
            if self._station.desk.gate.paired(self.node) is None:
                self.end(UNPAIRED)
            for channel in self._channels.late():
                self._handovers.give_up(channel)
            now, health = self._clock(), self.health
            if self._doubted_s is not None and now - self._doubted_s > DOUBT_S:
                raise PeerLost(f"{self.name} did not answer after this device woke up.")
            if health is Health.DOWN:
                raise PeerLost(f"{self.name} has said nothing for {liveness.DOWN_S:g} s. It may be asleep.")
            if self._retired and self._handovers.is_idle:
                raise PeerLost("a newer link took its place")
            if health is not self.neighbour.health:
                self._note(replace(self.neighbour, health=health))

    async def _until_over(self) -> None:
        await self._over
        raise PeerLost("it was ended here")

    def _note(self, neighbour: Neighbour) -> None:
        self.neighbour = replace(neighbour, health=self.health)
        if not self._over.done() and not self._retired:
            self._station.around.note(self.neighbour)

    async def _count_word(self, size_bytes: int = 0) -> None:
        words = 1 + size_bytes // WORD_BYTES
        if not self._words.has_capacity(words):
            raise codec.refused(f"it says more than {WORDS} things in {WORDS_S:g} s")
        await self._words.acquire(words)

    async def _put_away(self) -> None:
        self._channels.close_all()
        with contextlib.suppress(PeersError):
            await self._outflow.close()
            await asyncio.to_thread(self._tidings.close)
        with contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._socket.close(code=self._code)
