"""Proposing what comes next by looking it up: where the last tokens stood before, the same ones may follow.

Nothing here decides an answer. What is proposed is computed in one step and kept as far as the model,
its sampling and the constraint choose the very same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.engine.pace import Pace

MOST_PROPOSED = 12
"""Tokens proposed in one step; more are hardly ever all right."""
SIZES = (3, 2, 1)
"""Lengths of the ends that are looked up, longest first."""
FIRST_RATES = {3: 0.85, 2: 0.7, 1: 0.4}
"""Share of proposed tokens that is right, by the length of the end that was found; a guess until it is seen."""
WEIGHT = 0.15
"""Of one more proposed token in these shares."""
LEAST_GAIN = 1.2
"""A step with proposals must promise this many times the tokens a second of one without."""
RETRY_ANSWERS = 24
"""After so many tokens without a proposal a short one is tried again, if it could pay: the text may have changed."""
SURE = 0.95
"""What is tried again is taken to be right so often."""


class Lookup:
    """The ends that occur in one prompt and its answer, and how often what followed them was right."""

    def __init__(self, tokens: Sequence[int] = ()) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self._rates = dict(FIRST_RATES)
        self._since = 0
        self.extend(tokens)

    def extend(self, tokens: Sequence[int]) -> None:
        """Add what has come. An end is found only once something has followed it."""
        for token in tokens:
            place = len(self._tokens)
            for size in SIZES:
                if place >= size:
                    self._after[tuple(self._tokens[place - size :])] = place
            self._tokens.append(token)

    def proposal(self, pace: Pace, *, most: int, beside: int) -> tuple[int, list[int]]:
        """Return the length of the end that was found, and what may follow; nothing where it would not pay.

        `beside`: rows of the other answers in the same step.
        """
        for size in SIZES:
            place = self._after.get(tuple(self._tokens[-size:])) if len(self._tokens) >= size else None
            if place is not None:
                count = worthwhile(self._rates[size], pace, most=min(most, MOST_PROPOSED), beside=beside)
                if not count and self._since >= RETRY_ANSWERS:
                    count = worthwhile(SURE, pace, most=min(most, 1), beside=beside)
                self._since = 0 if count else self._since + 1
                return size, self._tokens[place : place + count]
        return 0, []

    def learn(self, size: int, *, proposed: int, right: int) -> None:
        """Learn from one proposal: the right tokens, and the first wrong one if there was any."""
        for _ in range(right):
            self._rates[size] += WEIGHT * (1 - self._rates[size])
        if right < proposed:
            self._rates[size] -= WEIGHT * self._rates[size]


def worthwhile(rate: float, pace: Pace, *, most: int, beside: int) -> int:
    """Return how many tokens to propose, each right with probability `rate`, for most tokens a second.

    All answers of a step count: what one gains must not cost the others more.
    """
    alone = pace.seconds(1 + beside)
    if alone is None:
        return 0
    best, count = LEAST_GAIN * (1 + beside) / alone, 0
    expected, chance = 1.0 + beside, 1.0
    for proposed in range(1, most + 1):
        chance *= rate
        expected += chance
        seconds = pace.seconds(1 + beside + proposed)
        assert seconds is not None
        if expected / seconds > best:
            best, count = expected / seconds, proposed
    return count
