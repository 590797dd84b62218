"""How many tokens several texts have together, asked of a model that may be busy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from models.backend import TextModel

AT_ONCE = 64
"""Texts. A busy worker counts what waits for it between two steps: each asked alone would wait for a step of its own.
More at once would only take memory."""


async def tokens_of(model: TextModel, texts: Sequence[str]) -> int:
    """Return the sum of what `count_tokens` says of each."""
    total = 0
    for start in range(0, len(texts), AT_ONCE):
        total += sum(await asyncio.gather(*map(model.count_tokens, texts[start : start + AT_ONCE])))
    return total
