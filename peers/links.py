"""The links of this node: one per paired device at most. The newest authenticated one takes the place of the old."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from aiolimiter import AsyncLimiter

from peers.errors import PeerBusy
from peers.link import BYE, UNPAIRED, Link
from peers.liveness import Health
from peers.neighbourhood import Neighbourhood
from peers.node_id import NodeId
from peers.patience import ended
from peers.station import Station

CROSSING_S = 5.0
"""Two links of one pair that began within this were dialled by both at once."""
LINKS_PER_MINUTE = 60
"""Of one device: one for each `covey ask` where no node is up. Back-off alone dials about eight times in a minute."""

logger = logging.getLogger(__name__)


class Links:
    """What is open now."""

    def __init__(self, station: Station, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.station = station
        self._clock = clock
        self._open: dict[NodeId, Link] = {}
        self._retired: set[Link] = set()
        self._rates: dict[NodeId, AsyncLimiter] = {}

    @property
    def around(self) -> Neighbourhood:
        return self.station.around

    def get(self, node: NodeId) -> Link | None:
        """Return the link over which work may go to a device now."""
        link = self._open.get(node)
        return link if link is not None and link.health is Health.UP else None

    async def pace(self, node: NodeId) -> None:
        """Count a link that a device wants to begin. Raises PeerBusy when it begins them too often."""
        rate = self._rates.setdefault(node, AsyncLimiter(LINKS_PER_MINUTE, 60.0))
        if not rate.has_capacity():
            raise PeerBusy(f"It may link {LINKS_PER_MINUTE} times a minute. Wait a moment.", 60.0 / LINKS_PER_MINUTE)
        await rate.acquire()

    async def keep(self, link: Link) -> None:
        """Put a link that was greeted in its place, and speak over it until it ends."""
        old, me = self._open.get(link.node), self.station.state.identity.node_id
        if old is not None and not takes_over(link, old, me):
            await link.discard()
            return
        self._open[link.node] = link
        if old is not None:
            old.retire()
            self._retired.add(old)
        self.around.note(link.neighbour)
        try:
            await link.run()
        except Exception:  # top of the task: a defect ends one link, not the node
            logger.exception("the link with %s ended in a way that it should not", link.name)
        finally:
            self._retired.discard(link)
            if self._open.get(link.node) is link:
                del self._open[link.node]
                self.around.forget(link.node)

    def cut(self, node: NodeId) -> None:
        """End the link of a device that is not paired any more, and all that runs over it."""
        for link in self._all():
            if link.node == node:
                link.end(UNPAIRED)

    def poke(self) -> None:
        """Tell all what is new, at once."""
        for link in self._open.values():
            link.poke()

    def doubt(self) -> None:
        """This device slept, or its network changed: every link must prove itself."""
        for link in self._open.values():
            link.doubt()

    async def drain(self, timeout_s: float, hurry: asyncio.Event) -> bool:
        """Take in no more work, tell all, and wait for what runs: so long, or until told to hurry.

        Returns whether all of it ended.
        """
        desk = self.station.desk
        desk.is_stopping = True
        self.poke()
        await ended(desk.until_idle(), timeout_s, hurry)
        return not desk.tasks

    async def pause(self) -> None:
        """This device is about to sleep: take in no more work, and say so.

        Returns when all were told; a link that is stuck never is. Set a timeout.
        """
        self.station.desk.is_sleeping = True
        await asyncio.gather(*(link.tell() for link in self._open.values()))

    def resume(self) -> None:
        """It woke: take in work again unless this node is about to stop, and say so."""
        self.station.desk.is_sleeping = False
        self.poke()

    def close(self) -> None:
        """End all links."""
        for link in self._all():
            link.end(BYE)

    def _all(self) -> list[Link]:
        return [*self._open.values(), *self._retired]


def takes_over(new: Link, old: Link, me: NodeId) -> bool:
    """Return whether a new link takes the place of an old one with the same device.

    It does, as only a device that holds no link dials; unless both dialled at the same moment. Then both
    sides keep the one that the device with the lower id dialled.
    """
    restarted = new.neighbour.boot != old.neighbour.boot
    crossed = new.dialled != old.dialled and new.began_s - old.began_s < CROSSING_S
    if restarted or not crossed or old.health is not Health.UP:
        return True
    return new.dialled == (me < new.node)
