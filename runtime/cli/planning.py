"""A node to plan with: in this process, but with the paired devices as the running node knows them, if one runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from models.errors import ModelsError
from models.types import Specialist
from runtime import paths
from runtime.node import Node, open_node
from runtime.others import Lender
from runtime.running import RunningNode
from runtime.seats import Seat
from runtime.speeds import Speed

if TYPE_CHECKING:
    from peers.courier import Courier


class AsTheNodeKnows:
    """The paired devices of the running node, for plans that are only shown. See `runtime.others.Others`."""

    def __init__(self, running: RunningNode) -> None:
        self._running = running

    async def seats(self, known: dict[tuple[str, str], Speed], *, call: bool) -> Sequence[Seat]:
        """Return what the running node knows; it has links, so nobody is called."""
        return await self._running.seats()

    def specialist(self, node: str, capability: str, reason: str) -> Specialist:
        """A plan that is only shown gives nobody work."""
        raise AssertionError("a plan that is only shown is not run")

    def failed(self, node: str, error: ModelsError) -> None:
        """Nothing is tried, so nothing fails."""

    def lenders(self) -> Sequence[Lender]:
        """What a hub of another device would be sent is shown when the owner is asked, not here."""
        return ()

    def courier(self, node: str) -> Courier:
        raise AssertionError("a plan that is only shown is not run")

    async def close(self) -> None:
        """Nothing was opened."""


@asynccontextmanager
async def planning_node() -> AsyncIterator[Node]:
    """Give a node whose `preview` shows what a request would do, as things are now."""
    running = RunningNode(paths.home())
    async with open_node() as node:
        if await running.answers():
            await node.others.close()
            node.others = AsTheNodeKnows(running)
        yield node
