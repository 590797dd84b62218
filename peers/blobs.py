"""Brings one file from several devices at once: each chunk from whoever is free, verified before it is written.

The digest of the whole file comes from the caller (the catalog, or the owner) and decides. A device that
sends a wrong chunk is asked no more; a row of chunks that turns out a lie costs those who told it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from models.errors import ModelsError, SourceError, SourceUnreachable
from peers.chunks import Chunks
from peers.errors import LinkError, PeerBusy, PeersError
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
    rows = await _rows(sha256, sources[:MAX_SOURCES], size_bytes, reasons)
    if not rows:
        raise SourceUnreachable("; ".join(reasons) or "no paired device has it")
    for row, holders in rows:
        part = await asyncio.to_thread(Part, target, row)
        filling = _Filling(sha256, part, holders, progress, reasons)
        if await _filled(filling, free_bytes):
            return filling.gave
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


async def _rows(
    sha256: str, sources: Iterable[BlobSource], size_bytes: int | None, reasons: list[str]
) -> list[tuple[Chunks, list[BlobSource]]]:
    """Ask all devices at once, and return each different row with those who say it, the most said first."""
    asked = list(sources)
    answers = await asyncio.gather(*(source.chunks(sha256) for source in asked), return_exceptions=True)
    rows: dict[Chunks, list[BlobSource]] = {}
    for source, answer in zip(asked, answers, strict=True):
        match answer:
            case PeersError() | ModelsError():
                reasons.append(str(answer).rstrip("."))
            case BaseException():
                raise answer
            case row if size_bytes is not None and row.size_bytes != size_bytes:
                reasons.append(f"{source.name} has {row.size_bytes:,} bytes where {size_bytes:,} are expected")
            case row:
                rows.setdefault(row, []).append(source)
    return sorted(rows.items(), key=lambda item: -len(item[1]))


class _Filling:
    """Fills one part from several devices, until it is whole or nobody is left."""

    def __init__(
        self, sha256: str, part: Part, sources: Sequence[BlobSource], progress: Progress, reasons: list[str]
    ) -> None:
        self.sha256 = sha256
        self.part = part
        self._progress = progress
        self.reasons = reasons
        self._fetching: dict[int, int] = {}
        """Chunk to how many devices send it now."""
        self.sources = list(sources)
        self.gave: list[str] = []

    async def run(self) -> None:
        """Let each device bring chunks. Raises StoreFull, StoreError, and what `progress` raises."""
        self._progress(self.part.bytes_done, self.part.chunks.size_bytes)
        workers = [asyncio.create_task(self._bring(source)) for source in self.sources]
        try:
            for done in asyncio.as_completed(workers):
                await done
                if not self.part.missing:
                    break
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

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
            if source.name not in self.gave:
                self.gave.append(source.name)
            self._progress(self.part.bytes_done, self.part.chunks.size_bytes)

    def _next(self) -> int | None:
        """Return the chunk to bring next: one that nobody sends yet, else one that a single other device sends."""
        missing = self.part.missing
        free = next((number for number in missing if not self._fetching.get(number)), None)
        return free if free is not None else next((n for n in missing if self._fetching.get(n) == 1), None)

    def _leave_out(self, source: BlobSource, reason: str) -> None:
        self.reasons.append(reason)
        self.sources.remove(source)
