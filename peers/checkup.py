"""Answers a paired device that asks what the network between the two is like: dials back, and says what was heard.

It dials nowhere but to where the question came from, and only as long as a person waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from models.types import Label
from peers import codec, probes
from peers.book import Peer
from peers.check_messages import Check, Checked
from peers.codes import Address
from peers.errors import RemoteProtocolError
from peers.messages import Hello
from peers.node_id import NodeId
from peers.release import Released, Releaser
from peers.state import NodeState
from peers.version import agree
from peers.wire import read

CAPABILITY = "peer.check"


class CheckUp:
    """One node's answers. `answer` is what the server is given."""

    def __init__(
        self,
        state: NodeState,
        boot: str,
        *,
        heard_s: Callable[[NodeId], float | None],
        listens: Callable[[], bool],
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`heard_s`: seconds since a device was heard by multicast; `listens`: whether this one listens at all."""
        self._state = state
        self._hello = Hello(boot=boot)
        self._heard_s = heard_s
        self._listens = listens
        self._clock_ns = clock_ns

    async def answer(self, peer: Peer, data: bytes, host: str) -> Released[bytes]:
        """Return the answer to a check from a host. Raises RemoteProtocolError, ReleaseError, RecordError."""
        messages = codec.FrameReader().feed(data)
        if len(messages) != 2:
            raise RemoteProtocolError(
                "A check of the other device was refused: it is no hello and check. Update Covey."
            )
        agree(self._hello, read(messages[0], Hello), before=peer.version)
        check = read(messages[1], Check)
        dialled = ""
        if check.port and host:
            place = Address(host, check.port)
            dialled = (await probes.knock(place, peer.node_id, self._state.identity.node_id)).value
        checked = Checked(
            dialled=dialled,
            heard_s=self._heard_s(peer.node_id),
            listens=self._listens(),
            time_ns=self._clock_ns(),
        )
        return await asyncio.to_thread(
            Releaser(self._state.ledger).release,
            codec.frames(self._hello.pack()) + codec.frames(checked.pack()),
            Label.PUBLIC,
            capability=CAPABILITY,
            recipient=replace(peer.recipient(), capabilities=None),
            reason="the answer to its check of the network",
        )
