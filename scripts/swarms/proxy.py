"""A TCP relay in this process that makes the way to one port slow, stalls it, or cuts it: a poor network on loopback.

TCP hides lost packets behind a wait, so loss is a wait here too: `stall_share` of the pieces come `stall_s` late.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

PIECE_BYTES = 16 * 1024
HELD_PIECES = 64
"""Pieces on their way in one direction; more wait in the sender, as behind a full radio."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How the way is now. It holds for what comes from now on."""

    delay_s: float = 0.0
    """One way."""
    bytes_per_s: float = 0.0
    """0: as fast as it goes."""
    stall_share: float = 0.0
    """Of the pieces, 0…1."""
    stall_s: float = 0.3
    """What TCP waits at least before it sends a lost piece again, on most systems."""
    blocked: bool = False
    """Nothing comes through, and nobody is told: a pulled cable."""


class Proxy:
    """One relay."""

    def __init__(self, target_port: int, chance: random.Random | None = None) -> None:
        self.port = 0
        self.weather = Weather()
        self.passed_bytes = 0
        self._target = target_port
        self._chance = chance or random.Random(0)
        self._clear = asyncio.Event()
        self._clear.set()
        self._ways: set[asyncio.Task[None]] = set()

    def turn(self, **changes: float | bool) -> None:
        """Change the weather: `proxy.turn(delay_s=0.1)`."""
        self.weather = replace(self.weather, **changes)  # type: ignore[arg-type]
        (self._clear.clear if self.weather.blocked else self._clear.set)()

    def cut(self) -> None:
        """Break every connection, as a reset does."""
        for way in list(self._ways):
            way.cancel()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either side ends it."""
        way = asyncio.current_task()
        assert way is not None
        self._ways.add(way)
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._one_way(reader, far))
                group.create_task(self._one_way(far_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass  # the end of a connection is no error of the relay
        finally:
            self._ways.discard(way)
            for end in filter(None, (writer, far)):
                end.transport.abort()

    async def _one_way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take pieces in as they come, and let each out when its time has come, in order."""
        loop = asyncio.get_running_loop()
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(HELD_PIECES)

        async def let_out() -> None:
            while True:
                due_s, piece = await held.get()
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                await self._clear.wait()
                if not piece:
                    if writer.can_write_eof():
                        with contextlib.suppress(OSError, NotImplementedError):
                            writer.write_eof()
                    return
                writer.write(piece)
                self.passed_bytes += len(piece)
                if self.weather.bytes_per_s:
                    await asyncio.sleep(len(piece) / self.weather.bytes_per_s)
                await writer.drain()

        async with asyncio.TaskGroup() as group:
            group.create_task(let_out())
            while True:
                piece = await reader.read(PIECE_BYTES)
                late = self.weather.stall_s if self._chance.random() < self.weather.stall_share else 0.0
                await held.put((loop.time() + self.weather.delay_s + late, piece))
                if not piece:
                    return


@asynccontextmanager
async def proxy(target_port: int) -> AsyncIterator[Proxy]:
    """A relay to a port of loopback, on a free port of loopback, as long as the block lasts."""
    made = Proxy(target_port)
    server = await asyncio.start_server(made.carry, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut()
        await asyncio.sleep(0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await asyncio.gather(*made._ways, return_exceptions=True)
