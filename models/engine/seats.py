"""A seat: one sequence number, the request that uses it, and whose state it holds. And its share of a step."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from models.engine.answering import Answer, Scoring
from models.engine.library import Row
from models.engine.weighing import Weighing

Job = Answer | Scoring


@dataclass(slots=True)
class Past:
    """Whose request it was that computed a state."""

    asker: str = ""
    own: int = 0
    """First tokens of the state that are a specialist's own, and anybody's."""
    conversation: Path | None = None
    """The conversation whose state it is and which is not on disk yet."""

    def open_to(self, job: Job) -> int:
        """Return how many tokens of this state a request may take over: another's only as far as a specialist's."""
        return sys.maxsize if job.asker == self.asker else max(job.own, self.own)


@dataclass(slots=True)
class Seat:
    """A sequence number, who uses it, and whose state it holds."""

    sequence: int
    job: Job | None = None
    used_at: int = 0
    """Number of the step."""
    leader: Seat | None = None
    """The seat whose prompt this one waits for."""
    leader_job: Job | None = None
    shared: int = 0
    """Tokens to take over from the leader."""
    weighing: Weighing | None = None
    """What is left of a request's labels once its prompt is through."""
    model_seconds: float = 0.0
    past: Past = field(default_factory=Past)

    @property
    def answering(self) -> bool:
        """True once the prompt is through."""
        return isinstance(self.job, Answer) and bool(self.job.tokens)


@dataclass(slots=True)
class Take:
    """What one seat gets of a step."""

    seat: Seat
    count: int
    """Its pending tokens that are computed, or rows of labels."""
    proposed: int = 0
    """Tokens that may follow them, computed too."""
    rows: list[Row] = field(default_factory=list)

    @property
    def wanted(self) -> int:
        """Its rows whose logits are wanted."""
        return sum(row.wants_logits for row in self.rows)

    @property
    def single(self) -> bool:
        """True for one token that was chosen last, or that is left of a prompt."""
        return self.count == 1 and self.seat.weighing is None
