"""What a step has streamed so far, so that nothing is said twice or stays said that is void."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from models.types import Chunk
from runtime.asking import Restarted

Emit = Callable[[Chunk | Restarted], Awaitable[None]]
"""Takes what the answer's step streams; awaiting it is what slows a producer down to its reader."""


class Outlet:
    """The chunks of one step over all its attempts. Some steps hold them back until the checks have passed."""

    def __init__(self, emit: Emit, *, held: bool) -> None:
        self.token_ids: tuple[int, ...] = ()
        """Tokens that came so far: another run of the same draws continues behind them."""
        self._emit = emit
        self._held = held
        self._waiting: list[Chunk] = []
        self._countable = True
        self._sent = False

    async def send(self, chunk: Chunk) -> None:
        if self.token_ids and chunk.token_ids and chunk.index + len(chunk.token_ids) <= len(self.token_ids):
            return  # a specialist that can't resume says again what was sent already
        self._countable = self._countable and bool(chunk.token_ids)
        self.token_ids += chunk.token_ids
        if self._held:
            self._waiting.append(chunk)
            return
        self._sent = True
        await self._emit(chunk)

    async def release(self) -> None:
        for chunk in self._waiting:
            await self._emit(chunk)
        self._waiting.clear()

    async def interrupt(self, reason: str) -> None:
        """The run was lost: keep what came where its tokens are known, else begin again."""
        if not self._countable:
            await self.restart(reason)

    async def restart(self, reason: str) -> None:
        """What came is void."""
        self._waiting.clear()
        self.token_ids, self._countable = (), True
        if self._sent:
            self._sent = False
            await self._emit(Restarted(reason))
