"""What the deterministic specialists share: one piece of work becomes one chunk and one result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from models.errors import InputError
from models.types import Chunk, Evidence, Json, Request, Result, Usage


@dataclass(frozen=True, slots=True)
class Found:
    """What a deterministic specialist found."""

    output: Json
    text: str
    evidence: tuple[Evidence, ...] = ()
    confidence: float = 1.0


async def one_result(specialist: str, work: Callable[[], Found]) -> AsyncGenerator[Chunk | Result, None]:
    """Do the work in a thread, so that a long search never stops the node, and yield its outcome."""
    started = time.perf_counter()
    found = await asyncio.to_thread(work)
    usage = Usage(seconds=time.perf_counter() - started)
    yield Chunk(index=0, text=found.text)
    yield Result(
        output=found.output,
        text=found.text,
        confidence=found.confidence,
        usage=usage,
        evidence=found.evidence,
        specialist=specialist,
    )


def given_text(request: Request, name: str) -> str:
    """Return a text of the request's input. Raises InputError when it is missing, empty or of another type."""
    value = request.input.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{request.capability} needs a text named {name!r}; add it to the input and try again.")
    return value.strip()
