"""When a step is broken off: nobody wants it any more, or one of several does not and it would not end soon by itself.

A step of prompts may take seconds, and a request that is given up keeps its place until the step ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from models.engine.seats import Job, Seat, Take

LONG_STEP_ROWS = 32
"""A step of fewer ends soon enough by itself; asking in between would cost more than a hundredth of it."""
SOON_S = 0.07
"""A step that ends within this is not broken off for one of several: a place is to be free a tenth of a second later.
What is broken off is computed again for the others. Steps of fewer rows instead would always cost more: 48 rows are
computed a tenth slower than 512 (smollm2-135m; qwen2.5-coder-0.5b a sixth), and eight short prompts that come together
and are read in steps of 128 begin to be answered one after the other, which took a fifth longer."""


class BreakingOff:
    """Tells while a step runs whether it is to be broken off. `gone` says which requests are given up."""

    def __init__(
        self, gone: Callable[[Job], bool], *, repeats: bool = True, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`repeats`: what was broken off can be computed again, because state can be cut where the step began."""
        self._gone = gone
        self._repeats = repeats
        self._now = now
        self._lost: set[int] = set()
        """Requests that lost rows for another's sake and have not come forward since."""

    def asks(self, takes: Sequence[Take], seats: Sequence[Seat], *, seconds: float | None) -> Callable[[], bool] | None:
        """Return what is asked during a step of about so many seconds; None where nothing is: others are short.

        A step that others want is broken off for one request only if they have come forward since the last time, or who
        asks and leaves again and again would stop them all; and never for one whose prompt others wait for.
        """
        if sum(take.count for take in takes) < LONG_STEP_ROWS or any(take.single for take in takes):
            return None
        led = {seat.leader.sequence for seat in seats if seat.leader is not None}
        free = [seat.job for seat in seats if seat.job is not None and seat.sequence not in led]
        followed = any(take.seat.sequence in led for take in takes)
        spared = not self._repeats or any(
            take.seat.job is not None and take.seat.job.id in self._lost for take in takes
        )
        until = self._now() + (float("inf") if seconds is None else seconds - SOON_S)

        def given_up() -> bool:
            if not any(map(self._gone, free)):
                return False
            return (not spared and self._now() < until) or (not followed and self._nobody(takes))

        return given_up

    def ended(self, takes: Sequence[Take], seats: Sequence[Seat], *, early: bool) -> None:
        """Hear how a step ended."""
        inside = {take.seat.job.id for take in takes if take.seat.job is not None}
        self._lost = self._lost | inside if early else self._lost - inside
        self._lost &= {seat.job.id for seat in seats if seat.job is not None}

    def _nobody(self, takes: Sequence[Take]) -> bool:
        return all(take.seat.job is None or self._gone(take.seat.job) for take in takes)
