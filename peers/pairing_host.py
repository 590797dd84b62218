"""The side that shows the code, joined to its node: which window is open, and writing down who was paired."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from models.types import Label
from peers import membership, offer
from peers.offer import Offer
from peers.pairing import WINDOW_S, Me, Window
from peers.pairing_messages import PairRefused
from peers.policy import Place, Recipient, RecipientKind
from peers.release import Released, Releaser
from peers.state import NodeState

CAPABILITY = "peer.pair"
SOMEBODY = Recipient(RecipientKind.UNPAIRED, "unpaired", "a device that is being paired", Place.HOME, Label.PUBLIC)
"""Who knows no code learns nothing from the messages; who it was, the audit log says afterwards."""
_REFUSED = PairRefused().pack()

logger = logging.getLogger(__name__)


class PairingHost:
    """Answers pairing messages for one node. Its `answer` is what the server is given."""

    def __init__(
        self,
        state: NodeState,
        me: Me,
        *,
        closed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`closed` is called, in any thread, when a window has closed, by a pairing or by wrong codes."""
        self._state = state
        self._me = me
        self._closed = closed
        self._clock = clock
        self._releaser = Releaser(state.ledger)
        self._offer: Offer | None = None
        self._window: Window | None = None
        self._lock = asyncio.Lock()

    async def answer(self, data: bytes) -> Released[bytes] | None:
        """Return the answer to a pairing message; None for the one refusal."""
        async with self._lock:  # one message at a time, in the order in which they came
            return await asyncio.to_thread(self._answer, data)

    def _answer(self, data: bytes) -> Released[bytes] | None:
        now_s = self._clock()
        window = self._current(now_s)
        if window is None or self._offer is None:
            return None
        answered = window.answer(data, now_s)
        if window.paired is not None:
            peer = membership.admit(self._state, window.paired, self._offer.grant)
            logger.info("paired with %s", peer.name)
        if not window.is_open(now_s):
            offer.close(self._state.folder)
            self._closed()
        if answered == _REFUSED:
            return None
        return self._releaser.release(
            answered, Label.PUBLIC, capability=CAPABILITY, recipient=SOMEBODY, reason="the owner opened the window"
        )

    def _current(self, now_s: float) -> Window | None:
        """Return the window that the owner has opened last, if its time is not over."""
        found = offer.load(self._state.folder)
        if found is None:
            self._offer, self._window = None, None
            return None
        if found != self._offer:
            age_s = (self._state.peers.now_ns() - found.opened_ns) / 1e9
            if not -WINDOW_S < age_s < WINDOW_S:
                offer.close(self._state.folder)
                return None
            self._offer = found
            me = replace(self._me, name=found.name or self._me.name)
            self._window = Window(me, found.codes, opened_s=now_s - max(0.0, age_s))
        return self._window
