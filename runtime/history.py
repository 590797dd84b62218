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
KEPT_SHARE = 0.6
"""Of the limit, once it was reached."""


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
    """Return the newest turns that fit into the limit, beginning with one of the user's.

    A model that has read a conversation need not read it again as long as it begins alike. So when the
    limit is reached, more than the oldest turn goes: the same turn stays the first one for a while.
    """
    first, used = 0, 0
    for place, turn in enumerate(turns):
        used += estimate_tokens(turn.content)
        if used <= limit_tokens:
            continue
        while first < place and used > limit_tokens * KEPT_SHARE:
            used -= estimate_tokens(turns[first].content)
            first += 1
        if used > limit_tokens:  # this turn alone is too long
            first, used = place + 1, 0
    while first < len(turns) and turns[first].role == "assistant":  # an answer without its question only confuses
        first += 1
    return tuple(turns[first:])
