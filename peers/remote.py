"""A specialist that runs on a paired device. The orchestrator can't tell it from a local one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from models.types import Chunk, Request, Result
from peers.client import PeerClient
from peers.courier import Courier
from peers.errors import LinkError, PeersError
from peers.node_id import NodeId
from peers.release import Releaser
from peers.state import NodeState


class RemoteSpecialist:
    """One capability of one paired device."""

    def __init__(
        self, node: NodeId, capability: str, *, state: NodeState, client: PeerClient, reason: str = "it is placed there"
    ) -> None:
        """`reason`: why the work goes there, for the ledger."""
        self.capability = capability
        self._courier = Courier(node, state=state, client=client)
        self._releaser = Releaser(state.ledger)
        self._reason = reason

    @property
    def name(self) -> str:
        return f"{self.capability}@{self._courier.name}"

    @property
    def bytes_out(self) -> int:
        """Bytes of requests that left this device for it so far."""
        return self._courier.bytes_out

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        """Send the request and yield what comes back.

        Closing the iterator cancels the work over there. Raises ModelsError; a device that can't be
        used, or answers nonsense, is a LinkError.
        """
        try:
            async with aclosing(self._run(request)) as pieces:
                async for piece in pieces:
                    yield piece
        except LinkError:
            raise
        except PeersError as error:
            raise LinkError(str(error)) from error

    async def _run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        peer = self._courier.peer()
        body = self._courier.packed(request)
        released = await asyncio.to_thread(
            self._releaser.release,
            body,
            request.label,
            capability=request.capability,
            recipient=peer.recipient(),
            reason=self._reason,
        )
        async with aclosing(self._courier.carried(request, released, peer)) as pieces:
            async for piece in pieces:
                yield piece
