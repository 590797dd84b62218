"""What holds for every step of a task, and how a time that ran out becomes a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from models.errors import DeadlineExceeded
from models.types import Authority, Tier


@dataclass(frozen=True, slots=True)
class Bounds:
    """What holds for every step of a task."""

    authority: Authority
    risk: float | None = None
    """Share of unnoticed errors (0..1) that is accepted."""
    deadline_s: float | None = None
    """For the whole plan."""
    seed: int = 0
    ceiling: Tier = Tier.HOME
    """Furthest tier that the asker allows; a label may hold a step back before it."""
    program: bool = False
    """A program on this device asks."""
    conversation: Path | None = None
    """Folder and id of the conversation that the task is a turn of."""


@asynccontextmanager
async def deadline(seconds: float | None) -> AsyncIterator[None]:
    """Cancel what runs inside after so many seconds. Raises DeadlineExceeded."""
    bound = asyncio.timeout(seconds)
    try:
        async with bound:
            yield
    except TimeoutError as error:
        if not bound.expired():
            raise
        raise DeadlineExceeded(
            f"The answer took longer than the {seconds:g} s it had; allow more time or ask for less."
        ) from error
