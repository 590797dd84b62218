"""Work that goes over one link, both ways: each piece on a channel of its own, through the same gate as over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from models.errors import ModelsError
from peers import codec
from peers.arrivals import Arrival
from peers.channels import Channels, Flag, piece, pieces
from peers.desk import Desk, Send
from peers.errors import PeerBusy, PeerLost, PeersError
from peers.inbox import Inbox
from peers.node_id import NodeId
from peers.release import Released, sending

logger = logging.getLogger(__name__)

Out = Callable[[bytes], Awaitable[None]]
"""Sends one message of the WebSocket. Raises PeerLost."""


class Handovers:
    """The pieces of work that are open on one link."""

    def __init__(
        self, node: NodeId, name: str, channels: Channels, desk: Desk, out: Out, poke: Callable[[], None]
    ) -> None:
        """`poke` is called when there is something to `reset`."""
        self._node = node
        self._name = name
        self._channels = channels
        self._desk = desk
        self._out = out
        self._inboxes: dict[int, Inbox] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._resets: list[int] = []
        self._poke = poke

    @property
    def is_idle(self) -> bool:
        return not self._inboxes and not self._serving

    async def call(self, released: Released[bytes]) -> AsyncGenerator[bytes, None]:
        """Hand over a request and yield the bytes of its answer. Closing it early gives the work up.

        Raises PeerLost.
        """
        body = released.value_for(self._node)
        channel, inbox = self._channels.open(), Inbox()
        self._inboxes[channel] = inbox
        try:
            with sending(released):
                for part in pieces(channel, body, ended=True):
                    if inbox.ended:  # refused in the middle
                        break
                    await self._out(part)
            while (data := await inbox.get()) is not None:
                yield data
        finally:
            del self._inboxes[channel]
            if not inbox.ended:
                self.give_up(channel)

    def answered(self, channel: int, data: bytes, *, ended: bool) -> None:
        """Take a part of the answer to a request of ours."""
        self._inboxes[channel].put(data, ended=ended)

    def begin(self, channel: int, arrival: Arrival, group: asyncio.TaskGroup) -> None:
        """Do what the other side asks for."""
        self._serving[channel] = group.create_task(self._serve(channel, arrival))

    async def refuse(self, channel: int, error: PeerBusy) -> None:
        """Say why a request is not taken in; it counts as one that was asked."""
        peer = self._desk.gate.paired(self._node)
        if peer is None:
            return
        try:
            await self._desk.gate.pace(peer)
        except PeerBusy as too_often:
            error = too_often
        _, failed = await self._desk.refused(peer, error)
        for part in pieces(channel, codec.frames(failed.pack()), ended=True):
            await self._out(part)

    def give_up(self, channel: int) -> None:
        """Have the other side told that a channel is over."""
        self._channels.close(channel)
        self._resets.append(channel)
        self._poke()

    def given_up(self, channel: int) -> None:
        """The other side ended a channel before its end."""
        if channel in self._inboxes:
            self._inboxes[channel].fail(PeerLost(f"{self._name} gave the work up. Ask again in a moment."))
        elif (serving := self._serving.pop(channel, None)) is not None:
            serving.cancel()  # one that had not begun has no end either

    async def reset(self) -> None:
        """Tell the other side which channels were given up here."""
        while self._resets:
            await self._out(piece(self._resets.pop(), flags=Flag.RESET))

    def cut(self) -> None:
        """End what runs here for the other side, at once."""
        for task in self._serving.values():
            task.cancel()

    def lose(self) -> None:
        """The link is over: what was handed over is lost."""
        lost = PeerLost(f"The link to {self._name} broke. Check that it is on and in reach.")
        for inbox in self._inboxes.values():
            inbox.fail(lost)

    async def _serve(self, channel: int, arrival: Arrival) -> None:
        whole = False
        try:
            await self._answer(channel, arrival)
            await self._out(piece(channel, flags=Flag.END))
            whole = True
        except PeerLost:
            logger.debug("an asker left before its answer ended")
        finally:
            self._serving.pop(channel, None)
            self._channels.close(channel)
            if not whole:
                self.give_up(channel)

    async def _answer(self, channel: int, arrival: Arrival) -> None:
        async def send(said: Released[bytes]) -> None:
            for part in pieces(channel, said.value_for(self._node)):
                await self._out(part)

        async def begin() -> Send:
            return send

        peer = self._desk.gate.paired(self._node)
        if peer is None:
            raise PeerLost("it is no longer paired")
        try:
            await self._desk.gate.pace(peer)
            async with self._desk.taken(peer, arrival) as job:
                await self._desk.answer(job, begin)
        except PeerLost:
            raise
        except (PeersError, ModelsError) as error:
            _, failed = await self._desk.refused(peer, error)
            for part in pieces(channel, codec.frames(failed.pack())):
                await self._out(part)
