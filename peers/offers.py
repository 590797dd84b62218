"""What several devices say a file consists of: who answers first is not kept waiting by who does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from models.errors import ModelsError
from peers.chunks import Chunks
from peers.errors import PeersError

LATE_S = 2.0
"""After the first answer the others have so long to say the same, or something else; later ones join in under way."""


class BlobSource(Protocol):
    """One device that may have the file. Calls raise PeersError; also SourceError when it has no such file."""

    @property
    def name(self) -> str: ...

    async def chunks(self, sha256: str) -> Chunks:
        """Return of which chunks the file consists, as that device says."""
        ...

    async def read(self, sha256: str, start: int, length: int) -> bytes:
        """Return a part of the file, exactly so long."""
        ...


class Offers:
    """Each different row of chunks with those who say it, as the answers come."""

    def __init__(self, size_bytes: int | None, reasons: list[str]) -> None:
        self._size_bytes = size_bytes
        self._reasons = reasons
        self._rows: dict[Chunks, list[BlobSource]] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._joined: tuple[Chunks, asyncio.Queue[BlobSource]] | None = None

    def ask(self, sha256: str, sources: Sequence[BlobSource]) -> None:
        """Begin to ask."""
        self._asking = {asyncio.create_task(self._ask(source, sha256)) for source in sources}

    async def close(self) -> None:
        """Wait for no answer any more."""
        for asking in self._asking:
            asking.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def next(self) -> tuple[Chunks, list[BlobSource]] | None:
        """Return the row that most say, and who does; None when all have answered and each was given."""
        self._come_back()
        while self._asking and not self._rows:
            await self._heard(asyncio.FIRST_COMPLETED)
        if self._asking:
            await self._heard(asyncio.ALL_COMPLETED, LATE_S)
        if not self._rows:
            return None
        row = max(self._rows, key=lambda one: len(self._rows[one]))
        return row, self._rows.pop(row)

    def joining(self, row: Chunks) -> asyncio.Queue[BlobSource]:
        """Return where those appear who say this row from now on, until the next row is asked for."""
        self._joined = row, asyncio.Queue()  # bounded by the number of devices
        return self._joined[1]

    def _come_back(self) -> None:
        """Those who joined in too late to be taken say their row still."""
        if self._joined is not None:
            row, joined = self._joined
            self._joined = None
            while not joined.empty():
                self._rows.setdefault(row, []).append(joined.get_nowait())

    async def _heard(self, until: str, limit_s: float | None = None) -> None:
        done, self._asking = await asyncio.wait(self._asking, timeout=limit_s, return_when=until)
        for asked in done:
            asked.result()

    async def _ask(self, source: BlobSource, sha256: str) -> None:
        """Put down what one device says."""
        try:
            row = await source.chunks(sha256)
        except (PeersError, ModelsError) as error:
            self._reasons.append(str(error).rstrip("."))
            return
        if self._size_bytes is not None and row.size_bytes != self._size_bytes:
            self._reasons.append(f"{source.name} has {row.size_bytes:,} bytes where {self._size_bytes:,} are expected")
        elif self._joined is not None and self._joined[0] == row:
            self._joined[1].put_nowait(source)
        else:
            self._rows.setdefault(row, []).append(source)


@asynccontextmanager
async def offered(
    sha256: str, sources: Sequence[BlobSource], size_bytes: int | None, reasons: list[str]
) -> AsyncIterator[Offers]:
    """Ask all at once, and no longer than the block lasts. `reasons`: where it is put why one has nothing to offer."""
    offers = Offers(size_bytes, reasons)
    offers.ask(sha256, sources)
    try:
        yield offers
    finally:
        await offers.close()
