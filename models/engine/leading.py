"""Requests that arrive together with the same unseen beginning: one computes it, the others wait and take it over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models.engine.cells import common_prefix
from models.engine.seats import Seat
from models.engine.states import States

WORTH_WAITING_TOKENS = 16
"""A request waits for another to compute their common prefix only when it is longer than this."""


def find_leader(seat: Seat, among: Iterable[Seat], states: States) -> None:
    """Let the seat wait for the one whose prompt has most in common with its own, if that is worth it."""
    assert seat.job is not None
    seat.leader = None
    ready = len(states.tokens(seat.sequence))
    mine = [*states.tokens(seat.sequence), *seat.job.pending]
    for other in among:
        if other is seat or other.job is None or not other.job.pending:
            continue
        theirs = [*states.tokens(other.sequence), *other.job.pending]
        shared = min(common_prefix(mine, theirs), len(mine) - 1, other.past.open_to(seat.job))
        if shared > max(ready, seat.shared if seat.leader else 0) + WORTH_WAITING_TOKENS:
            seat.leader, seat.leader_job, seat.shared = other, other.job, shared


def follow(seats: Sequence[Seat], states: States) -> None:
    """Let those who wait take over what their leader has computed."""
    for seat in seats:
        leader = seat.leader
        if seat.job is None or leader is None:
            continue
        gone = leader.job is not seat.leader_job
        if not gone and len(states.tokens(leader.sequence)) < seat.shared:
            continue
        seat.leader = None
        _take_over(seat, leader, states)
        if gone:  # the first of those who waited goes on, the others wait for it; never for one who waits itself
            find_leader(seat, [other for other in seats if other.leader is None], states)


def _take_over(seat: Seat, leader: Seat, states: States) -> None:
    assert seat.job is not None
    mine = [*states.tokens(seat.sequence), *seat.job.pending]
    common = common_prefix(states.tokens(leader.sequence), mine)
    usable = min(common, len(mine) - 1, leader.past.open_to(seat.job))
    if usable > len(states.tokens(seat.sequence)) and states.goes_on(leader.sequence, usable):
        states.cut(seat.sequence, 0)
        states.copy(leader.sequence, seat.sequence, usable)
        seat.job.pending = mine[usable:]
        seat.job.cached = usable
