"""Waits for what runs to end, within a bound, and no longer than the owner's patience."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


async def ended(running: Coroutine[object, object, object], timeout_s: float, hurry: asyncio.Event) -> None:
    """Wait until something has ended: so long, or until told to hurry. What has not ended then is cancelled."""
    waits = {asyncio.create_task(running), asyncio.create_task(hurry.wait())}
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
