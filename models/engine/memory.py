"""Decides whether a model fits into the memory that is free, before any of it is taken.

Systems promise more memory than they have and then end whichever program is largest, so asking for it is no test.
"""

from __future__ import annotations

from models.errors import OutOfMemory

STATE_NUMBER_BYTES = 2
"""Keys and values are kept as 16-bit numbers."""


def state_bytes(tokens: int, *, layers: int, heads: int, head_size: int) -> int:
    """Return the memory that so many tokens of state take: a key and a value for each head of each layer."""
    return tokens * layers * heads * head_size * 2 * STATE_NUMBER_BYTES


def check(weights: int, state: int, available: int, *, tokens: int) -> None:
    """Raise OutOfMemory, with the numbers, where weights and state (bytes) are more than is available."""
    if weights + state <= available:
        return
    raise OutOfMemory(
        f"This model needs about {_mb(weights + state)} MB of memory ({_mb(weights)} for its weights, {_mb(state)} for "
        f"{tokens:,} tokens of context) and {_mb(available)} MB are free. "
        "Close other programs, or use a smaller model or context."
    )


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f}"
