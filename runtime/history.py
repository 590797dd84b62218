"""Fitting a conversation into a model's context: the oldest turns are left out first, whole turns only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.types import Json

TURN_OVERHEAD_TOKENS = 8
"""What a chat template adds around one turn; generous, because a prompt that is too long is refused."""
BYTES_PER_TOKEN = 3
"""Fewer than the four that English has, so that the estimate errs on the safe side."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing that was said."""

    role: Literal["user", "assistant", "system"]
    """`system`: an instruction of the program that asks, not a turn of anybody's."""
    content: str

    def to_json(self) -> dict[str, Json]:
        return {"role": self.role, "content": self.content}


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has, without a tokenizer; an upper guess for English."""
    return TURN_OVERHEAD_TOKENS + -(-len(text.encode()) // BYTES_PER_TOKEN)


def fit(turns: Sequence[Turn], limit_tokens: int) -> tuple[Turn, ...]:
    """Return the newest turns that fit into the limit, beginning with one of the user's."""
    kept: list[Turn] = []
    left = limit_tokens
    for turn in reversed(turns):
        left -= estimate_tokens(turn.content)
        if left < 0:
            break
        kept.append(turn)
    kept.reverse()
    while kept and kept[0].role == "assistant":  # an answer without its question confuses more than it helps
        kept.pop(0)
    return tuple(kept)
