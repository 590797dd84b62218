"""Links the paired devices for the time of one request, and lets no work in meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from models.types import Chunk, Request, Result
from peers.book import Peer
from peers.client import PeerClient
from peers.desk import Desk
from peers.dialer import Dialer
from peers.hints import Hints
from peers.links import Links
from peers.neighbourhood import Neighbourhood
from peers.station import NoFacts, Station
from runtime.config import Settings
from runtime.others import Others
from runtime.own_state import own_state
from runtime.paired import PairedDevices

CALL_S = 2.0
"""In a home a device that is there has said what it can do in a fraction of this."""
MORE_S = 0.4
"""After the first has answered, the others have so long."""


@asynccontextmanager
async def called(home: Path, settings: Settings) -> AsyncIterator[Others]:
    """Give the paired devices that answer now, as long as the block lasts."""
    state = await asyncio.to_thread(own_state, home, settings)
    desk = Desk(state, _no_work)
    desk.is_stopping = True
    links = Links(Station(state, desk, Neighbourhood(), NoFacts(), Hints()))
    async with PeerClient(state.identity, state.peers, linked=links.get) as client:
        dialling = asyncio.create_task(Dialer(links, client).run())
        try:
            await _heard(links, len(state.peers.book().peers))
            yield PairedDevices(state, client, links.around)
        finally:
            links.close()
            dialling.cancel()
            await asyncio.wait({dialling})
            await asyncio.to_thread(desk.seldom.write, desk.seldom.rest())


async def _heard(links: Links, number: int) -> None:
    """Wait until so many devices have said what they can do: CALL_S at most, and MORE_S after the first."""
    loop = asyncio.get_running_loop()
    end_s, first = loop.time() + CALL_S, True
    while True:
        known = sum(one.is_known for one in links.around.neighbours.values())
        if known >= number:
            return
        if known and first:
            first, end_s = False, min(end_s, loop.time() + MORE_S)
        try:
            async with asyncio.timeout_at(end_s):
                await links.around.changed()
        except TimeoutError:
            return


async def _no_work(request: Request, peer: Peer) -> AsyncGenerator[Chunk | Result, None]:
    raise AssertionError("a program that lets no work in was given some")
    yield
