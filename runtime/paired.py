"""The paired devices as places for work: who they are now, their specialists, and who needs a rest after a failure."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from models.errors import BackendError, ModelsError, StoreError
from models.types import Specialist
from peers.book import is_expired
from peers.client import PeerClient
from peers.courier import Courier
from peers.errors import LinkError, PeerBusy, PeersError
from peers.liveness import Health
from peers.neighbourhood import Neighbourhood
from peers.node_id import NodeId
from peers.remote import RemoteSpecialist
from peers.state import NodeState
from runtime.others import Lender
from runtime.peer_seats import seat_of
from runtime.recovery import what_failed
from runtime.seats import Seat
from runtime.speeds import Speed

REST_S = 5.0
"""A device that was lost gets no new work for so long; its link tells sooner when it is well again for sure."""

Call = Callable[[], Awaitable[None]]
"""Asks the paired devices what they can do, and returns when they have said it or had the time to."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Rest:
    """A device that gets no work for a while."""

    until_s: float
    why: str
    boot: str
    """Of the start that failed; a device that was started anew needs no rest."""


class PairedDevices:
    """See `runtime.others.Others`."""

    def __init__(
        self,
        state: NodeState,
        client: PeerClient,
        around: Neighbourhood,
        *,
        call: Call | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`call`: for a node that keeps no links; one that does knows its devices already."""
        self._state = state
        self._client = client
        self._around = around
        self._call = call
        self._clock = clock
        self._resting: dict[NodeId, _Rest] = {}

    async def seats(self, known: dict[tuple[str, str], Speed], *, call: bool) -> Sequence[Seat]:
        """See `runtime.others.Others`."""
        if call and self._call is not None:
            await self._call()
        try:
            book, now_ns = self._state.peers.book(), self._state.peers.now_ns()
        except PeersError as error:  # what can be done here is done all the same
            logger.warning("nothing is given to other devices: %s", error)
            return []
        neighbours = self._around.neighbours
        return [
            seat_of(peer, neighbours[node], known, self._rest_of(node))
            for node, peer in book.peers.items()
            if node in neighbours and not is_expired(peer, now_ns)
        ]

    def specialist(self, node: str, capability: str, reason: str) -> Specialist:
        """See `runtime.others.Others`."""
        return RemoteSpecialist(NodeId(node), capability, state=self._state, client=self._client, reason=reason)

    def failed(self, node: str, error: ModelsError) -> None:
        """See `runtime.others.Others`."""
        match error:
            case PeerBusy():
                self._rest(NodeId(node), error.retry_after_s, f"it is busy: {error}")
            case LinkError() | BackendError() | StoreError():
                self._rest(NodeId(node), REST_S, f"it {what_failed(error)} a moment ago: {error}")
            case _:
                return

    def lenders(self) -> Sequence[Lender]:
        """See `runtime.others.Others`."""
        try:
            peers, now_ns = self._state.peers.book().peers, self._state.peers.now_ns()
        except PeersError as error:  # as above
            logger.warning("no hub of another device is used: %s", error)
            return []
        return [
            Lender(peers[node], card)
            for node, known in self._around.neighbours.items()
            if node in peers and not is_expired(peers[node], now_ns) and known.health is Health.UP
            for card in known.hubs
        ]

    def courier(self, node: str) -> Courier:
        """See `runtime.others.Others`."""
        return Courier(NodeId(node), state=self._state, client=self._client)

    async def close(self) -> None:
        """See `runtime.others.Others`: what opened the client closes it."""

    def _rest(self, node: NodeId, seconds: float, why: str) -> None:
        self._resting[node] = _Rest(self._clock() + seconds, why, self._boot_of(node))

    def _rest_of(self, node: NodeId) -> str:
        """Return why a device takes no work now; one that was started anew since then does."""
        rest = self._resting.get(node)
        if rest is None or self._clock() >= rest.until_s or self._boot_of(node) != rest.boot:
            return ""
        return rest.why

    def _boot_of(self, node: NodeId) -> str:
        known = self._around.neighbours.get(node)
        return known.boot if known else ""
