"""What a language model takes of memory, and whether that is free, before any of it is taken.

Systems promise more memory than they have and then end whichever program is largest, so asking for it is no test.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.errors import OutOfMemory

BUFFERS_SHARE = 0.15
"""Memory for computing, over the size of the weights."""
WORKER_BYTES = 70 * 1024 * 1024
"""Memory of a worker process before it loads anything: Python, numpy, llama.cpp; and what huge pages round up."""

ROOM = 4
"""Times the size of the weights that must be free for them to be read into memory of the worker, where they lie in
huge pages (`environment`). Else they stay mapped from their file, so that the system can drop and read them again."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a loaded language model takes, in bytes, before it was ever measured."""

    weights: int
    state: int
    """Keys and values of all tokens that are kept, in the context and on the shelf."""

    @property
    def total(self) -> int:
        return self.weights + int(self.weights * BUFFERS_SHARE) + self.state + WORKER_BYTES


def has_room(weights: Path, available: int) -> bool:
    """Return whether a model's weights are to be read into memory of their own, with so many bytes available."""
    return weights.is_file() and ROOM * weights.stat().st_size <= available


def check(footprint: Footprint, available: int, *, tokens: int) -> None:
    """Raise OutOfMemory, with the numbers, where a model takes more than is available (bytes)."""
    if footprint.total <= available:
        return
    weights, state = footprint.weights, footprint.state
    raise OutOfMemory(
        f"This model needs about {_mb(footprint.total)} MB of memory ({_mb(weights)} MB for its weights, "
        f"{_mb(state)} MB for {tokens:,} tokens of state) and {_mb(available)} MB are free. "
        "Close other programs, use a smaller model, or set context_tokens or state_tokens lower in the settings."
    )


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f}"
