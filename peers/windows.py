"""Pairing windows on the network: showing one while a code is on the screen, and finding those that are open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

from peers import mdns
from peers.codes import Address
from peers.ground import Ground
from peers.mdns import WINDOW, Multicast, Opening, Plate
from peers.sightings import places

FIND_S = 6.0
"""Time in which a device at home has answered, even a busy one that lost the first question."""
MORE_S = 0.6
"""After the first was found: another one that waits has answered by then."""
MAX_WINDOWS = 8
"""That are looked at; a home has one open, a flood of them is not followed."""


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A device that waits to be paired, as it says of itself."""

    name: str
    addresses: tuple[Address, ...]


@asynccontextmanager
async def shown(
    here: Ground, sign: str, port: int, boot: str, opening: Opening = mdns.multicast
) -> AsyncIterator[None]:
    """Let other devices find this one's window as long as the block lasts. Raises DiscoveryError."""
    async with opening(here.addresses, (), lambda service, name: None) as opened:
        await opened.announce(Plate(WINDOW, mdns.window_name(sign), here.hosts, port, boot))
        yield


async def found(here: Ground, opening: Opening = mdns.multicast) -> list[OpenWindow]:
    """Return the windows that are open on these networks, soon after the first was found. Raises DiscoveryError."""
    names: dict[str, None] = {}
    windows: dict[str, OpenWindow] = {}
    heard = asyncio.Event()

    def hear(service: str, name: str) -> None:
        if len(names) < MAX_WINDOWS:
            names[name] = None
            heard.set()

    async with opening(here.addresses, (WINDOW,), hear) as opened:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIND_S) as limit:
                await _collect(opened, here, names, windows, heard, limit)
    return list(windows.values())


async def _collect(
    opened: Multicast,
    here: Ground,
    names: Mapping[str, None],
    windows: dict[str, OpenWindow],
    heard: asyncio.Event,
    limit: asyncio.Timeout,
) -> NoReturn:
    """Look at each name that is heard, until the time is over; once one is found, that is soon."""
    while True:
        await heard.wait()
        heard.clear()
        for name in [one for one in names if one not in windows]:
            window = await _looked_at(opened, name, here)
            if window is not None:
                windows[name] = window
        end = limit.when()
        if windows and end is not None:
            limit.reschedule(min(end, asyncio.get_running_loop().time() + MORE_S))


async def _looked_at(opened: Multicast, name: str, here: Ground) -> OpenWindow | None:
    near = [network for one in here.interfaces for network in one.networks]
    at = tuple(place for announced in await opened.look(WINDOW, name) for place in places(announced, near))
    return OpenWindow(name, at) if at else None
