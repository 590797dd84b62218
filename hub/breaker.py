"""Leaves a hub alone for a while after it failed several times, so that nobody waits for it in vain. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

FAILURES = 3
"""In a row, before a hub is left alone."""
FIRST_REST_S = 30.0
LONGEST_REST_S = 600.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """How a hub has done lately. Times are seconds of a clock that only goes forward."""

    failures: int = 0
    rests: int = 0
    """Times in a row that it was left alone."""
    until_s: float = 0.0
    """When it may be tried again; one try then, and the next failure lets it rest longer."""

    def rests_at(self, now_s: float) -> float:
        """Return for how many seconds more it is left alone; 0 when it may be tried."""
        return max(0.0, self.until_s - now_s)

    def failed(self, now_s: float) -> Breaker:
        """Return how it stands after a failure."""
        failures = self.failures + 1
        if failures < FAILURES:
            return replace(self, failures=failures)
        rest_s = min(FIRST_REST_S * 2**self.rests, LONGEST_REST_S)
        return Breaker(failures, min(self.rests + 1, 16), now_s + rest_s)

    def answered(self) -> Breaker:
        """Return how it stands after an answer."""
        return Breaker()
