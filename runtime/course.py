"""How one step has gone so far, over all its attempts and places, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.errors import ModelsError
from models.types import Digest, Result, Specialist, Tier
from runtime.checks import Verdict
from runtime.marking import Rung
from runtime.outlet import Outlet
from runtime.scheduler import Placement
from runtime.stronger import Rejected
from runtime.trace.spans import Span
from runtime.workload import bytes_out, money

RETRIES = 1
"""A step is run once more after a lost worker or a failed check; a third try seldom helps and doubles the wait."""


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What a step came to."""

    result: Result
    verdicts: tuple[Verdict, ...]
    attempts: int
    tier: Tier
    """The furthest that it was given to."""
    node: str = ""
    """Who did it."""
    bytes_out: int = 0
    """Bytes that left this device for it."""
    notes: tuple[str, ...] = ()
    """Who was lost on the way, one sentence each."""


@dataclass(slots=True)
class Course:
    """How one step has gone so far, over all its attempts."""

    placement: Placement
    sent: Outlet
    attempt: int = 0
    retries_left: int = RETRIES
    turned_down: int = 0
    """Attempts that a check turned down: each moves the seed, or the model would only repeat itself."""
    tried: frozenset[str] = frozenset()
    """Ids of the devices that had the step and lost it; empty is this device."""
    lost: tuple[str, ...] = ()
    """What those devices are called."""
    repeated: bool = False
    """Whether a device that lost it was given it once more."""
    writer: tuple[Digest, ...] = ()
    """Weights that wrote what was sent so far."""
    bytes_out: int = 0
    tier: Tier = Tier.PROCESS
    first: StepOutcome | ModelsError | None = None
    """What the devices came to; it stands when nobody stronger does better."""
    rung: Rung | None = None
    """Who stronger is trying it now."""
    waiting: tuple[Rung, ...] = ()
    """Who is tried after that."""
    why: str = ""
    """Why the step is marked."""
    rejected: Rejected | None = None
    notes: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
    """Who was lost, and who went on."""

    def go(self, placement: Placement, after: str, how: str) -> None:
        """Go to another place. `after` says what was lost, `how` what the other device does about it."""
        self.moves += (f"{after}, and {placement.node} {how}.",)
        self.placement = replace(placement, reason=f"{after}; {placement.reason}")

    def spend(self, specialist: Specialist, span: Span) -> None:
        """Count what an attempt sent to another device, whether it answered or not."""
        sent = bytes_out(specialist)
        self.bytes_out += sent
        if sent or not self.placement.id:  # where nothing went to, nothing was
            self.tier = max(self.tier, self.placement.tier)
        span.update({"covey.bytes_out": sent, "covey.money": money(specialist)})

    def outcome(self, result: Result, verdicts: tuple[Verdict, ...]) -> StepOutcome:
        return StepOutcome(result, verdicts, self.attempt, self.tier, self.placement.node, self.bytes_out, self.moves)
