"""How many prompt rows a step may hold while answers are being written, from what steps have taken so far."""

from __future__ import annotations

LONGEST_STEP = 3.0
"""A step with prompt rows may take this many times one without: bounds the gap between two tokens."""
FIRST_GUESS_ROWS = 32
FEWEST_ROWS = 8
"""Even on a slow device a prompt must come forward."""
WEIGHT = 0.2
"""Share of the newest step in the running averages."""


class Pace:
    """Running averages of what steps and prompt rows take, in seconds."""

    def __init__(self) -> None:
        self._step_s: float | None = None
        self._row_s: float | None = None

    def observe(self, *, answers: int, prompt_rows: int, seconds: float) -> None:
        """Learn from one step that held `answers` rows of answers and `prompt_rows` rows of prompts."""
        if answers and not prompt_rows:
            self._step_s = _average(self._step_s, seconds)
        elif prompt_rows:
            beside = self._step_s or 0.0
            extra = seconds - beside if answers else seconds
            self._row_s = _average(self._row_s, max(extra, 0.0) / prompt_rows)

    def rows(self, most: int) -> int:
        """Return how many prompt rows the next step may hold beside answers, at most `most`."""
        if self._step_s is None or not self._row_s:
            return min(most, FIRST_GUESS_ROWS)
        wanted = int((LONGEST_STEP - 1) * self._step_s / self._row_s)
        return max(min(most, wanted), min(most, FEWEST_ROWS))


def _average(before: float | None, now: float) -> float:
    return now if before is None else (1 - WEIGHT) * before + WEIGHT * now
