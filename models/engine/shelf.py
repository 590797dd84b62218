"""State that ended requests have left behind, taken out of the context and kept beside it.

Attention goes through everything that lies in the context, whoever it belongs to: five ended requests of 370 tokens
make a step of one answer a third slower. Taking a state out or bringing it back costs less than computing one token.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.engine.cells import common_prefix
from models.engine.seats import Job, Past


@dataclass(frozen=True, slots=True)
class Kept:
    """The state of one sequence."""

    tokens: list[int]
    state: bytes
    past: Past


class Shelf:
    """States of at most `capacity` tokens together; the one used longest ago goes first. 0 keeps none."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.kept: list[Kept] = []
        """The one used last at the end."""

    def put(self, tokens: list[int], state: bytes, past: Past) -> list[Kept]:
        """Keep a state, in the place of those that are a beginning of it. Return what had to go for it."""
        self.kept = [one for one in self.kept if not _covers(tokens, past, one)]
        self.kept.append(Kept(list(tokens), state, past))
        gone = []
        while sum(len(one.tokens) for one in self.kept) > self.capacity:
            gone.append(self.kept.pop(0))
        return gone

    def longest(self, job: Job) -> tuple[Kept | None, int]:
        """Return the state with the longest beginning that the request may take over, and its length."""
        best, length = None, 0
        limit = len(job.pending) - 1  # the last token is computed again, for its logits
        for one in self.kept:
            shared = min(limit, one.past.open_to(job), common_prefix(one.tokens, job.pending))
            if shared > length:
                best, length = one, shared
        return best, length

    def used(self, kept: Kept) -> None:
        """Let a state be the last to go."""
        self.kept.remove(kept)
        self.kept.append(kept)

    def clear(self) -> None:
        self.kept.clear()


def _covers(tokens: list[int], past: Past, other: Kept) -> bool:
    """True where the tokens begin with all that `other` holds, and it belongs to nobody and nothing else."""
    same = other.past.asker == past.asker and other.past.conversation in (None, past.conversation)
    return same and tokens[: len(other.tokens)] == other.tokens
