"""What a step takes by its number of rows, as far as steps have shown, and what follows for the next one."""

from __future__ import annotations

LONGEST_STEP = 2.5
"""A step with prompt rows may take this many times one without: bounds the gap between two tokens."""
UNSEEN_S = 0.05
"""A step may take this long where steps are short: hardly a reader sees such a gap, and many short steps compute fewer
rows a second."""
LONGEST_GAP = 3.5
"""But never so many times one without: four are promised, and what a row takes is only about known."""
CROWD_S = 0.1
"""Where as many prompts wait as answers are being written, a step may take this long: their readers wait for a first
word, and the others see new ones no oftener than that."""
CROWD = 3
"""Times as many prompts as answers: then all that is left of them is read in one step, if that takes no longer than"""
ONCE_S = 0.4
"""seconds, so that those few answers wait once; then they go on for as long as they waited before it happens again."""
FIRST_GUESS_ROWS = 32
FEWEST_ROWS = 8
"""Even on a slow device a prompt must come forward."""
WEIGHT = 0.2
"""Share of the newest step in the running averages; of prompt rows, that of so many as EQUAL_ROWS."""
EQUAL_ROWS = 8
KNOWN_ROWS = 32
"""Steps without prompt rows are remembered by their number of rows up to here."""
FORGET_STEPS = 5000
"""A number of rows that as many steps and more have not had is forgotten: the device may have been busy that time."""


class Pace:
    """Running averages of what steps and prompt rows take, in seconds."""

    def __init__(self) -> None:
        self._step_s: float | None = None
        self._row_s: float | None = None
        self._by_rows: dict[int, float] = {}
        self._lately: set[int] = set()
        self._steps = 0
        self._owed_s = 0.0

    def observe(self, *, answers: int, prompt_rows: int, seconds: float, proposed: int = 0) -> None:
        """Learn from one step that held `answers` rows of answers, `proposed` ones, and `prompt_rows` of prompts."""
        self._owed_s = seconds if answers and seconds > 2 * CROWD_S else max(self._owed_s - seconds, 0.0)
        if not prompt_rows and answers + proposed <= KNOWN_ROWS:
            self._remember(answers + proposed, seconds)
        if proposed:
            return
        if answers and not prompt_rows:
            self._step_s = _average(self._step_s, seconds)
        elif prompt_rows:
            beside = self._step_s or 0.0
            extra = seconds - beside if answers else seconds
            share = 1 - (1 - WEIGHT) ** (prompt_rows / EQUAL_ROWS)
            self._row_s = _average(self._row_s, max(extra, 0.0) / prompt_rows, share)

    def _remember(self, rows: int, seconds: float) -> None:
        self._by_rows[rows] = _average(self._by_rows.get(rows), seconds)
        self._lately.add(rows)
        self._steps += 1
        if self._steps % FORGET_STEPS == 0:
            self._by_rows = {number: took for number, took in self._by_rows.items() if number in self._lately}
            self._lately.clear()

    def rows(self, most: int, *, answers: int = 1, waiting: int = 0, left: int = 0) -> int:
        """Return how many prompt rows the next step may hold beside answers, at most `most`.

        `waiting`: prompts that are not read yet; `left`: their rows, together.
        """
        if self._step_s is None or not self._row_s:
            return min(most, FIRST_GUESS_ROWS)
        allowed = min(max(LONGEST_STEP * self._step_s, UNSEEN_S), LONGEST_GAP * self._step_s)
        if waiting >= answers:
            allowed = max(allowed, CROWD_S)
        wanted = max(int((allowed - self._step_s) / self._row_s), FEWEST_ROWS)
        if waiting >= CROWD * answers and left * self._row_s <= ONCE_S and not self._owed_s:
            wanted = max(wanted, left)
        return min(most, wanted)

    def reading(self, rows: int) -> float | None:
        """Return about how long a step of so many rows of prompts takes; None until one has shown it."""
        return None if self._row_s is None else rows * self._row_s

    def seconds(self, rows: int) -> float | None:
        """Return about how long a step of so many rows takes; None until a step has shown it.

        Between two numbers of rows that were seen it is in proportion; beyond the last one each further
        row counts like a row of a prompt.
        """
        below = max((n for n in self._by_rows if n <= rows), default=None)
        above = min((n for n in self._by_rows if n >= rows), default=None)
        if below is None:
            return None
        least = self._by_rows[below]
        if above is None:
            return least + (rows - below) * (self._row_s if self._row_s is not None else least)
        if above == below:
            return least
        return least + (self._by_rows[above] - least) * (rows - below) / (above - below)


def _average(before: float | None, now: float, share: float = WEIGHT) -> float:
    return now if before is None else (1 - share) * before + share * now
