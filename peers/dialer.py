"""Dials every paired device that has no link, at all addresses that are known, until it has one.

Addresses in their order: where it last answered, what the owner said, what pairing gave, what paired devices
tell, what was seen on the network. The next is tried when one has not answered at once; who answers must hold the
key. A sighting, or a wake of this device, ends the wait between two rounds, and joins a round that is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, repeat

from peers.book import MAX_ADDRESSES, Book, Peer, with_peer
from peers.client import PeerClient, addresses_of
from peers.codes import Address
from peers.errors import PeersError
from peers.link import Link
from peers.links import Links
from peers.liveness import LONGEST_WAIT_S, RETURN_WAIT_S, wait_s
from peers.node_id import NodeId
from peers.race import Attempt, first_of
from peers.sleeps import Sleeps

LOOK_S = 0.5
"""How often the book is looked at for devices that were paired or revoked."""
HEAD_START_S = 0.25
"""What an address is given before the next one is tried beside it (RFC 8305, 5)."""
AFTER_DEFECT_S = 5.0
JOIN_S = 1.0
"""How often sightings join a round: who announces a device elsewhere without end gains no more than that."""
MAX_JOINING = 6
"""Addresses that join at once."""
SETTLED_S = 10.0
"""A link that lived so long was a good one: when it ends, the first new try is at once."""
LATELY_S = 600.0
"""A device that was lost, or dialled for the first time, so long ago is expected back any moment; one that was
switched off is dialled more rarely."""

logger = logging.getLogger(__name__)


class Dialer:
    """Keeps the links of one node. `run` it as a task."""

    def __init__(
        self,
        links: Links,
        client: PeerClient,
        *,
        sleeps: Sleeps | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait_s: Callable[[int, float], float] = wait_s,
    ) -> None:
        self._links = links
        self._client = client
        self._state = links.station.state
        self._sleeps = sleeps or Sleeps()
        self._clock = clock
        self._wait_s = wait_s
        self._hints = links.station.hints

    def sighted(self, node: NodeId, address: Address) -> None:
        """A paired device was seen on the network: if it has no link, it is dialled now."""
        self._hints.sighted(node, address)

    def woken(self) -> None:
        """This device slept, or its network changed: links are doubted, and nobody waits before dialling."""
        self._links.doubt()
        self._hints.wake()

    async def run(self) -> None:
        """Dial until cancelled."""
        keeping: dict[NodeId, asyncio.Task[None]] = {}
        before: Mapping[NodeId, Sequence[str]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                paired = self._paired()
                for node in paired.keys() - keeping.keys():
                    keeping[node] = group.create_task(self._keep(node, group))
                for node in keeping.keys() - paired.keys():
                    keeping.pop(node).cancel()
                    self._hints.forget(node)
                    self._links.cut(node)
                for node in [node for node, said in paired.items() if said != before.get(node, said)]:
                    self._hints.call(node)
                before = paired
                if self._sleeps.noticed():
                    logger.info("this device slept: its links are made anew")
                    self._links.resume()
                    self.woken()
                await asyncio.sleep(LOOK_S)

    def _paired(self) -> Mapping[NodeId, Sequence[str]]:
        """Return the paired devices, each with the addresses that the owner said."""
        gate = self._links.station.desk.gate
        try:
            book = self._state.peers.book()
            return {node: peer.fixed for node, peer in book.peers.items() if gate.paired(node) is not None}
        except PeersError as error:
            logger.warning("%s", error)
            return {}

    async def _keep(self, node: NodeId, group: asyncio.TaskGroup) -> None:
        """See to it that one device has a link, for as long as it is paired."""
        while True:
            try:
                await self._keep_dialling(node, group)
            except PeersError as error:
                logger.warning("a paired device is not dialled just now: %s", error)
                await asyncio.sleep(AFTER_DEFECT_S)
            except Exception:  # top of a task: a defect must not end all dialling
                logger.exception("dialling a paired device failed; it is tried again")
                await asyncio.sleep(AFTER_DEFECT_S)

    async def _keep_dialling(self, node: NodeId, group: asyncio.TaskGroup) -> None:
        failures, since_s, lost_s = 0, None, self._clock()
        while True:
            if self._links.get(node) is not None:
                lost_s = self._clock()
                since_s = since_s or lost_s
                await self._hints.called(node, LOOK_S)
                continue
            if since_s is not None and self._clock() - since_s >= SETTLED_S:
                failures = 0
            since_s = None
            longest_s = RETURN_WAIT_S if self._clock() - lost_s < LATELY_S else LONGEST_WAIT_S
            if failures and await self._hints.called(node, self._wait_s(failures, longest_s)):
                failures = 0
            if self._links.get(node) is not None:
                continue  # the other side was faster
            failures += 1  # until the link has proved to be a good one
            link = await self._dial(node)
            if link is not None:
                group.create_task(self._links.keep(link))
                await asyncio.sleep(0)

    async def _dial(self, node: NodeId) -> Link | None:
        """Return a link that was greeted, or None when nobody answers anywhere.

        Only the first that answers is greeted: a device with two addresses must not hear of two links.
        """
        peer = self._state.peers.book().peers.get(node)
        if peer is None:
            return None
        pauses = chain([0.0], repeat(JOIN_S))
        won = await first_of(
            self._attempts(peer, self.places_of(peer)),
            HEAD_START_S,
            discard=_discard,
            more=lambda: self._joining(node, next(pauses)),
        )
        if won is None:
            return None
        link, place = won
        try:
            await link.greet()
            await asyncio.to_thread(self._remember, peer, place)
        except PeersError as error:
            logger.debug("%s", error)
            return None
        except BaseException:  # cancelled while it was greeted: nobody else knows of the link
            await link.discard()
            raise
        return link

    def places_of(self, peer: Peer) -> Sequence[Address]:
        """Return where a device may be, the likeliest first, each once."""
        return list(dict.fromkeys((*addresses_of(peer), *self._hints.places(peer.node_id))))

    def _attempts(self, peer: Peer, places: Sequence[Address]) -> list[Attempt[tuple[Link, Address]]]:
        return [partial(self._attempt, peer, place) for place in places]

    async def _joining(self, node: NodeId, pause_s: float) -> list[Attempt[tuple[Link, Address]]]:
        """Wait until a device is called in the middle of a round, and return what is worth a try then.

        A place that is being tried may be among them: what was said into a network that was gone comes too late.
        """
        await asyncio.sleep(pause_s)
        while not await self._hints.called(node, LONGEST_WAIT_S):
            pass
        peer = self._state.peers.book().peers.get(node)
        if peer is None:
            return []
        said = dict.fromkeys((*self._hints.newest(node), *addresses_of(peer)))
        return self._attempts(peer, [*said][:MAX_JOINING])

    async def _attempt(self, peer: Peer, place: Address) -> tuple[Link, Address] | None:
        try:
            link = await self._client.link(self._links.station, peer, place)
        except (PeersError, ValueError) as error:  # the latter: a name that is none
            logger.debug("%s", error)
            return None
        return link, place

    def _remember(self, peer: Peer, place: Address) -> None:
        """Write down where it answered, to begin there the next time."""
        text = str(place)
        if peer.addresses[:1] == (text,):
            return

        def moved(book: Book) -> Book:
            known = book.peers.get(peer.node_id, peer)
            others = [other for other in known.addresses if other != text]
            return with_peer(book, replace(known, addresses=(text, *others)[:MAX_ADDRESSES]))

        with contextlib.suppress(PeersError):
            self._state.peers.change(moved, synced=False)


async def _discard(won: tuple[Link, Address]) -> None:
    await won[0].discard()
