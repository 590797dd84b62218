"""Brings one file from several devices at once: each chunk from whoever is free, verified before it is written.

The digest of the whole file comes from the caller (the catalog, or the owner) and decides. A device that
sends a wrong chunk is asked no more; a row of chunks that turns out a lie costs those who told it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from models.errors import ModelsError, SourceError, SourceUnreachable
from peers.chunks import Chunks
from peers.errors import LinkError, PeerBusy, PeersError
from peers.offers import BlobSource, offered
from peers.part import Part

TRIES = 3
"""Times that one device may fail in a row (a lost connection, no room) before it is left out."""
MAX_WAIT_S = 5.0
"""Longest pause that a busy device may ask for; others go on meanwhile."""
ROUNDS = 2
"""A chunk that was verified and is damaged on the disk afterwards is fetched once more, not without end."""
MAX_SOURCES = 4
"""More than that fill any home's network, and each holds a chunk in memory."""

logger = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]
"""Called with (bytes done, bytes in all). It may raise to stop."""


async def copy(
    sha256: str,
    sources: Sequence[BlobSource],
    target: Path,
    progress: Progress,
    *,
    free_bytes: Callable[[], int],
    size_bytes: int | None = None,
) -> list[str]:
    """Bring the file to `target` and return the names of the devices that gave parts of it.

    What has come stays beside `target` after a failure, and a repeat goes on. Raises SourceUnreachable
    when no device has it, SourceError when they can't deliver, StoreFull, StoreError.
    """
    reasons: list[str] = []
    gave: dict[Chunks, list[str]] = {}
    async with offered(sha256, sources[:MAX_SOURCES], size_bytes, reasons) as offers:
        while (offer := await offers.next()) is not None:
            row, holders = offer
            part = await asyncio.to_thread(Part, target, row)
            late, givers = offers.joining(row), gave.setdefault(row, [])
            filling = _Filling(sha256, part, holders, late, gave=givers, progress=progress, reasons=reasons)
            if await _filled(filling, free_bytes):
                return givers
    if not gave:
        raise SourceUnreachable("; ".join(reasons) or "no paired device has it")
    raise SourceError("; ".join(dict.fromkeys(reasons)))


async def _filled(filling: _Filling, free_bytes: Callable[[], int]) -> bool:
    """Bring all that is missing and return whether it makes the promised file."""
    part = filling.part
    for _ in range(ROUNDS):
        while part.missing:
            if not filling.sources:
                return False
            part.check_room(free_bytes())
            await filling.run()
        if await asyncio.to_thread(part.finish, filling.sha256):
            return True
        if not part.missing:
            break  # each chunk is as the row says, and the whole is not the file: the row is a lie
    filling.reasons.extend(f"what {source.name} offers is another file" for source in filling.sources)
    return False


class _Filling:
    """Fills one part from several devices, until it is whole or nobody is left."""

    def __init__(
        self,
        sha256: str,
        part: Part,
        sources: Sequence[BlobSource],
        late: asyncio.Queue[BlobSource],
        *,
        gave: list[str],
        progress: Progress,
        reasons: list[str],
    ) -> None:
        """`late`: devices that join in under way. `gave` is where those are put that a part came from."""
        self.sha256 = sha256
        self.part = part
        self.reasons = reasons
        self.sources = list(sources)
        self._late = late
        self._gave = gave
        self._progress = progress
        self._fetching: dict[int, int] = {}
        """Chunk to how many devices send it now."""

    async def run(self) -> None:
        """Let each device bring chunks. Raises StoreFull, StoreError, and what `progress` raises."""
        self._progress(self.part.bytes_done, self.part.chunks.size_bytes)
        workers = {asyncio.create_task(self._bring(source)) for source in self.sources}
        joining = asyncio.create_task(self._join())
        try:
            while workers and self.part.missing:
                done, _ = await asyncio.wait({*workers, joining}, return_when=asyncio.FIRST_COMPLETED)
                if joining in done:
                    workers.add(asyncio.create_task(self._bring(joining.result())))
                    joining = asyncio.create_task(self._join())
                for worker in done & workers:
                    workers.discard(worker)
                    worker.result()
        finally:
            for task in (*workers, joining):
                task.cancel()
            await asyncio.gather(*workers, joining, return_exceptions=True)

    async def _join(self) -> BlobSource:
        """Wait for one more device."""
        source = await self._late.get()
        self.sources.append(source)
        return source

    async def _bring(self, source: BlobSource) -> None:
        """Bring chunks from one device until none is left to bring, or the device is to be left out."""
        failures = 0
        while (number := self._next()) is not None:
            self._fetching[number] = self._fetching.get(number, 0) + 1
            try:
                data = await source.read(self.sha256, *self.part.chunks.span(number))
                failures = 0
            except (PeersError, ModelsError) as error:
                failures += 1
                logger.info("a part of a model did not come from %s: %s", source.name, error)
                if failures >= TRIES or not isinstance(error, LinkError):  # refused: asking again won't help
                    return self._leave_out(source, str(error).rstrip("."))
                await asyncio.sleep(min(error.retry_after_s, MAX_WAIT_S) if isinstance(error, PeerBusy) else 0.2)
                continue
            finally:
                self._fetching[number] -= 1
            if number in self.part.done:  # another device was faster
                continue
            if not await asyncio.to_thread(self.part.chunks.holds, number, data):
                return self._leave_out(source, f"{source.name} sent bytes that are not the promised ones")
            await asyncio.to_thread(self.part.write, number, data)
            if source.name not in self._gave:
                self._gave.append(source.name)
            self._progress(self.part.bytes_done, self.part.chunks.size_bytes)

    def _next(self) -> int | None:
        """Return the chunk to bring next: one that nobody sends yet, else one that a single other device sends."""
        missing = self.part.missing
        free = next((number for number in missing if not self._fetching.get(number)), None)
        return free if free is not None else next((n for n in missing if self._fetching.get(n) == 1), None)

    def _leave_out(self, source: BlobSource, reason: str) -> None:
        self.reasons.append(reason)
        self.sources.remove(source)
