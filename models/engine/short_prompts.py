"""A short prompt whose turn it is does not wait for the rows of long ones: it has a step of its own before them."""

from __future__ import annotations

from collections.abc import Sequence

from models.engine.seats import Seat

SHORT_ROWS = 64
"""A prompt of so many rows is read within a tenth to a quarter of a second on two cores."""
SMALL_SHARE = 4
"""The short ones must be one in so many rows of the step, or less. Where they are more, they wait less than they cost:
answers that begin at different times share fewer steps."""


def before_long_ones(ready: Sequence[Seat], rows: int) -> Sequence[Seat]:
    """Return those of the seats whose rows the next step computes, at most `rows`; they come in order of their turn.

    Beside answers, steps are short anyway.
    """
    short = [seat for seat in ready if _short(seat)]
    if not short or short[0] is not ready[0] or any(_left(seat) == 1 for seat in ready):
        return ready
    both = min(rows, sum(map(_left, ready)))
    return short if SMALL_SHARE * sum(map(_left, short)) <= both else ready


def _short(seat: Seat) -> bool:
    """True for a prompt that never had more to read; not for the rest of a long one."""
    job = seat.job
    return job is not None and seat.weighing is None and max(len(job.prompt) - job.cached, _left(seat)) <= SHORT_ROWS


def _left(seat: Seat) -> int:
    return len(seat.job.pending) if seat.job is not None else 0
