"""A network on which announcements are heard at once: multicast without sockets, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from peers.errors import DiscoveryError
from peers.mdns import Heard, Multicast, Plate
from peers.sightings import Announcement


class Air:
    """What is announced, by whom, and who listens."""

    def __init__(self) -> None:
        self.plates: list[Plate] = []
        self.opened: list[tuple[str, ...]] = []
        """The addresses of each opening, in order."""
        self.looks: list[str] = []
        """Names that were asked about."""
        self.listening = 0
        self.broken = False
        self.lossy = False
        """Whether announcements get lost."""
        self._ears: list[tuple[Sequence[str], Heard]] = []

    @asynccontextmanager
    async def opening(
        self, addresses: Sequence[str], services: Sequence[str], heard: Heard
    ) -> AsyncIterator[Multicast]:
        """Stands for `mdns.multicast`."""
        if self.broken:
            raise DiscoveryError("There is no network. Wait.")
        self.opened.append(tuple(addresses))
        ear, own = (services, heard), list[Plate]()
        self._ears.append(ear)
        self.listening += 1
        for plate in self.plates:
            if plate.service in services:
                heard(plate.service, plate.name)
        try:
            yield _End(self, own)
        finally:
            self.listening -= 1
            self._ears.remove(ear)
            for plate in own:
                self.plates.remove(plate)

    def say(self, plate: Plate) -> None:
        """Announce something, as anybody on the network can."""
        self.plates.append(plate)
        self.tell(plate)

    def tell(self, plate: Plate) -> None:
        """Have all who listen hear of something."""
        if self.lossy:
            return
        for services, heard in list(self._ears):
            if plate.service in services:
                heard(plate.service, plate.name)


class _End:
    def __init__(self, air: Air, own: list[Plate]) -> None:
        self._air = air
        self._own = own

    async def announce(self, plate: Plate) -> None:
        self._own.append(plate)
        self._air.say(plate)

    async def withdraw(self, plate: Plate) -> None:
        self._own.remove(plate)
        self._air.plates.remove(plate)

    async def ask(self, service: str, name: str = "") -> None:
        for plate in list(self._air.plates):
            if plate.service == service and name in ("", plate.name):
                self._air.tell(plate)

    async def look(self, service: str, name: str) -> Sequence[Announcement]:
        self._air.looks.append(name)
        await asyncio.sleep(0)
        found = [plate for plate in self._air.plates if (plate.service, plate.name) == (service, name)]
        return [Announcement(name, plate.hosts, plate.port, plate.boot) for plate in reversed(found[-3:])]
