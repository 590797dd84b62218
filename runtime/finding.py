"""Runs discovery beside a node that stays, as far as its owner lets it look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from peers import mdns
from peers.codes import Address
from peers.discovery import Discovery, Sighted
from peers.mdns import Opening
from peers.state import NodeState
from runtime.reach import Reach

logger = logging.getLogger(__name__)


@asynccontextmanager
async def finding(
    state: NodeState,
    port: int,
    far: Reach,
    boot: str,
    sighted: Sighted,
    changed: Callable[[], None] = lambda: None,
    opening: Opening = mdns.multicast,
) -> AsyncIterator[Discovery]:
    """Look for paired devices, and let them find this one, as long as the block lasts."""
    discovery = Discovery(
        state,
        port=port,
        boot=boot,
        sighted=sighted,
        doubled=_warn,
        changed=changed,
        local_only=far == "lo",
        opening=opening,
    )
    running = asyncio.create_task(discovery.run())
    try:
        yield discovery
    finally:
        running.cancel()
        await asyncio.wait([running])


def _warn(at: Address) -> None:
    logger.warning(
        "A device at %s announces itself as this one. If a disk was copied, remove the folder `node` on the copy and "
        "pair it anew; `covey doctor` tells whether it has this device's key.",
        at,
    )
