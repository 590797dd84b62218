"""The paired devices of a program that keeps no links: called when nothing here can do the work, and not before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ModelsError
from models.types import Specialist
from runtime.config import Settings
from runtime.others import Lender, Nobody, Others
from runtime.reach import reach
from runtime.seats import Seat
from runtime.speeds import Speed

if TYPE_CHECKING:
    from peers.courier import Courier

BOOK = Path("node") / "peers.json"
"""Where paired devices stand; a device that was never paired has none, and then nothing is opened."""
logger = logging.getLogger(__name__)


class OnDemand:
    """See `runtime.others.Others`. `close` hangs up."""

    def __init__(self, home: Path, settings: Settings) -> None:
        self._home = home
        self._settings = settings
        self._others: Others = Nobody()
        self._holding: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def seats(self, known: dict[tuple[str, str], Speed], *, call: bool) -> Sequence[Seat]:
        """See `runtime.others.Others`."""
        async with self._lock:
            if call and self._holding is None and (self._home / BOOK).exists() and reach() != "off":
                await self._call()
        return await self._others.seats(known, call=call)

    def specialist(self, node: str, capability: str, reason: str) -> Specialist:
        """See `runtime.others.Others`."""
        return self._others.specialist(node, capability, reason)

    def failed(self, node: str, error: ModelsError) -> None:
        """See `runtime.others.Others`."""
        self._others.failed(node, error)

    def lenders(self) -> Sequence[Lender]:
        """See `runtime.others.Others`. For a hub of theirs alone nobody is called."""
        return self._others.lenders()

    def courier(self, node: str) -> Courier:
        """See `runtime.others.Others`."""
        return self._others.courier(node)

    async def close(self) -> None:
        """Hang up."""
        if self._holding is not None:
            self._holding.cancel()
            await asyncio.wait({self._holding})

    async def _call(self) -> None:
        """Link the paired devices, and wait until they have said what they can do, or had the time to."""
        ready = asyncio.Event()
        self._holding = asyncio.create_task(self._hold(ready))
        over = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait({over, self._holding}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()

    async def _hold(self, ready: asyncio.Event) -> None:
        """Keep the links until cancelled: one task opens and closes all of it."""
        from runtime.calling import called  # heavy, first use only

        try:
            async with called(self._home, self._settings) as others:
                self._others = others
                ready.set()
                await asyncio.Event().wait()
        except Exception as error:  # top of the task: without other devices the answer says what is missing here
            logger.warning("the paired devices could not be called: %s", error)
        finally:
            self._others = Nobody()
