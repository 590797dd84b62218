"""A wire between two devices that can be cut, or fall silent: a small proxy on loopback, for tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Wire:
    """See above. `port` is where to dial."""

    def __init__(self, port: int) -> None:
        """`port`: where the device listens on loopback."""
        self.port = 0
        self.speaking = asyncio.Event()
        self.speaking.set()
        self._far = port
        self._cut = False
        self._open: set[asyncio.StreamWriter] = set()

    def reset(self) -> None:
        """Break every connection that is open."""
        for end in self._open:
            end.transport.abort()

    def cut(self) -> None:
        """Break every connection, and let none through any more."""
        self._cut = True
        self.reset()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far)
        ends = {writer, far_writer}
        self._open |= ends
        try:
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self.speaking.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def wire_to(port: int) -> AsyncIterator[Wire]:
    """A wire to a port of loopback."""
    wire = Wire(port)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.speaking.set()
        wire.cut()
