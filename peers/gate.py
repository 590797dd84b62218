"""Decides who may come in and with what, in one order: who it is, may it at all, how often, then what it asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from aiolimiter import AsyncLimiter

from models.types import Label
from peers.book import Peer, is_expired
from peers.errors import GrantRefused, PeerBusy
from peers.grants import TEMPORARY, Ask, Now, What, allows
from peers.messages import Subtask
from peers.node_id import NodeId
from peers.peerstore import PeerStore

MINUTE_S = 60.0
BUSY_RETRY_S = 1.0

MinuteOfDay = Callable[[], int]


def minute_of_day() -> int:
    """Return the minutes since midnight by this device's clock."""
    now = datetime.now()
    return now.hour * 60 + now.minute


class Gate:
    """Holds what is counted per peer: its running tasks and its rate."""

    def __init__(self, peers: PeerStore, *, minute: MinuteOfDay = minute_of_day) -> None:
        self._peers = peers
        self._minute = minute
        self._running: Counter[NodeId] = Counter()
        self._rates: dict[NodeId, tuple[int, AsyncLimiter]] = {}

    def peer(self, certificate: bytes) -> Peer | None:
        """Return the paired device that showed this certificate; None for everybody else."""
        if not certificate:
            return None
        known = (peer.node_id for peer in self._peers.book().peers.values() if peer.certificate == certificate)
        node = next(known, None)  # whoever showed it has its key: that is what TLS is for
        return None if node is None else self.paired(node)

    def paired(self, node: NodeId) -> Peer | None:
        """Return a device if it is paired now, was not revoked, and its time is not over."""
        peer = self._peers.book().peers.get(node)
        return None if peer is None or is_expired(peer, self._peers.now_ns()) else peer

    async def pace(self, peer: Peer) -> None:
        """Count one request. Raises PeerBusy at once when the device asks too often."""
        per_minute = peer.grant.limits.tasks_per_minute
        known = self._rates.get(peer.node_id)
        if known is None or known[0] != per_minute:
            known = self._rates[peer.node_id] = (per_minute, AsyncLimiter(per_minute, MINUTE_S))
        if not known[1].has_capacity():
            raise PeerBusy(f"It may ask {per_minute} times a minute. Ask again in a moment.", MINUTE_S / per_minute)
        await known[1].acquire()

    def check(self, peer: Peer, subtask: Subtask) -> None:
        """Hold a request against the grant. Raises GrantRefused, or PeerBusy for what time cures."""
        ask = Ask(What.RUN, subtask.capability, Label[subtask.label.upper()], subtask.budget_tokens or 0)
        self._hold(peer, ask)
        if subtask.relay:
            self._hold(peer, replace(ask, what=What.RELAY))

    def check_copy(self, peer: Peer, label: Label) -> None:
        """Hold the wish to copy a file of a model against the grant. Raises as `check`."""
        self._hold(peer, Ask(What.COPY_MODEL, label=label))

    def _hold(self, peer: Peer, ask: Ask) -> None:
        now = Now(self._peers.now_ns(), self._minute(), peer.figures.tasks_in, self._running[peer.node_id])
        verdict = allows(peer.grant, ask, now)
        if verdict.allowed:
            return
        if verdict.rule in TEMPORARY:
            raise PeerBusy(verdict.reason, BUSY_RETRY_S if verdict.rule == "at_once" else MINUTE_S)
        raise GrantRefused(verdict.reason)

    @contextmanager
    def running(self, peer: Peer) -> Iterator[None]:
        """Count a task while it runs."""
        self._running[peer.node_id] += 1
        try:
            yield
        finally:
            self._running[peer.node_id] -= 1
            if not self._running[peer.node_id]:
                del self._running[peer.node_id]
