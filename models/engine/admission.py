"""Which seat a request gets, what state it begins with, and what has to leave the context for it."""

from __future__ import annotations

from collections.abc import Sequence

from models.engine.cells import common_prefix
from models.engine.keeping import Keeping, passed_on
from models.engine.leading import find_leader
from models.engine.seats import Job, Past, Seat
from models.engine.shelf import Kept, Shelf
from models.engine.states import States

WORTH_KEEPING_TOKENS = 16
"""Fewer are computed again faster than they are looked after."""
WORTH_RESTORING = 4, 128
"""Bringing a state back must save so many tokens, and one more for so many that it holds: all of them are copied."""


class Admission:
    """The seats of one context."""

    def __init__(
        self, seats: Sequence[Seat], states: States, keeping: Keeping, shelf: Shelf, *, shares_prefixes: bool
    ) -> None:
        self._seats = seats
        self._states = states
        self._keeping = keeping
        self._shelf = shelf
        self._shares_prefixes = shares_prefixes

    def seat(self, job: Job, free: list[Seat]) -> bool:
        """Give the request one of the free seats; False where there is no room for its state yet."""
        if not self._fits(job):  # asked before anything is read: a request may wait for many steps
            return False
        self._restore(job, free)
        source, reused = self._longest_prefix(job)
        if not self._room_for(job.promised - reused, source, reused):
            return False
        target = self._target(free, source)
        if target.sequence == source:
            if target.past.conversation not in (None, job.conversation):
                self._put_by(target, reused)
            self._states.cut(target.sequence, reused)
        else:
            self._put_by(target, 0)
            if source is not None and reused:
                self._states.copy(source, target.sequence, reused)
        target.job = job
        target.model_seconds = 0.0
        passed_on((*(seat.past for seat in self._seats), *(kept.past for kept in self._shelf.kept)), job.conversation)
        target.past = Past(job.asker, job.own, job.conversation)
        job.cached = reused
        del job.pending[:reused]
        if self._shares_prefixes:
            find_leader(target, self._seats, self._states)
        return True

    def clear(self) -> None:
        """Take what ended requests have left behind out of the way of those that run."""
        if self._shelf.capacity:
            for seat in sorted(self._seats, key=lambda seat: seat.used_at):
                if seat.job is None and self._states.tokens(seat.sequence):
                    self._put_by(seat, 0)

    def _put_by(self, seat: Seat, length: int) -> None:
        """Cut an idle seat's state down to its first tokens; the whole goes to the shelf if others don't hold it.

        A conversation for which there is no place goes to disk.
        """
        tokens = self._states.tokens(seat.sequence)
        worth = self._states.alone(seat.sequence) >= WORTH_KEEPING_TOKENS or seat.past.conversation is not None
        if worth and self._shares_prefixes and (self._shelf.capacity or seat.past.conversation is not None):
            state = self._states.saved(seat.sequence, len(tokens))
            for gone in self._shelf.put(tokens, state, seat.past):
                self._keeping.write(gone.past, gone.tokens, gone.state)
            seat.past = Past(seat.past.asker, seat.past.own)
        self._states.cut(seat.sequence, length)

    def _fits(self, job: Job) -> bool:
        """Return whether there is room once all that nobody uses is out of the way.

        State brought back from elsewhere changes nothing about it: it takes the room that it saves.
        """
        source, reused = self._longest_prefix(job)
        running = [seat for seat in self._seats if seat.job is not None]
        used = [*(seat.sequence for seat in running), *self._states.scratch]
        held = [(sequence, len(self._states.tokens(sequence))) for sequence in used]
        if source is not None:
            held.append((source, reused))
        promised = sum(seat.job.promised for seat in running if seat.job is not None)
        return self._states.together(held) + promised + job.promised - reused <= self._states.capacity

    def _restore(self, job: Job, free: list[Seat]) -> None:
        """Bring state back from the shelf and from disk, unless as much of it is in the context."""
        kept, length = self._shelf.longest(job)
        if kept is not None and length - self._longest_prefix(job)[1] >= _worth_restoring(kept):
            self._shelf.used(kept)
            self._restored(job, free, kept.tokens, kept.state, length)
        prompt = self._keeping.own_prompt(job, known=self._longest_prefix(job)[1])
        if prompt is not None and self._restored(job, free, *prompt, len(prompt[0])):
            job.keep = 0
        turns = self._keeping.turns_before(job, known=self._longest_prefix(job)[1])
        if turns is not None:
            self._restored(job, free, *turns, common_prefix(turns[0], job.pending))

    def _restored(self, job: Job, free: list[Seat], tokens: list[int], state: bytes, length: int) -> bool:
        """Put the first `length` tokens of a state into a free seat; False where there is no room for all of it."""
        if not self._room_for(max(job.promised, len(tokens)), None, 0):
            return False
        target = self._target(free, None)
        self._put_by(target, 0)
        target.past = Past(job.asker, job.own)
        if not self._states.restore(target.sequence, tokens, state):
            return False
        self._states.cut(target.sequence, length)
        return True

    def _longest_prefix(self, job: Job) -> tuple[int | None, int]:
        """Return the sequence that holds the longest beginning of the request, and its length."""
        best, length = None, 0
        if not self._shares_prefixes:
            return best, length
        limit = len(job.pending) - 1  # the last token is computed again, for its logits
        for seat in self._seats:
            shared = min(limit, seat.past.open_to(job), common_prefix(self._states.tokens(seat.sequence), job.pending))
            if shared > length and self._states.goes_on(seat.sequence, shared):
                best, length = seat.sequence, shared
        return best, length

    def _target(self, free: list[Seat], source: int | None) -> Seat:
        """Prefer an empty seat, then the one used longest ago; the source itself only when no other is left."""
        others = [seat for seat in free if seat.sequence != source] or free
        return min(others, key=lambda seat: (bool(self._states.tokens(seat.sequence)), seat.used_at))

    def _room_for(self, tokens: int, source: int | None, reused: int) -> bool:
        """Put states by that nobody uses, oldest first, until `tokens` more fit beside what is promised.

        The source's state is touched last, and only past what the request takes over from it.
        """
        promised = sum(seat.job.promised for seat in self._seats if seat.job is not None)
        idle = [seat for seat in self._seats if seat.job is None]
        for seat in sorted(idle, key=lambda seat: (seat.sequence == source, seat.used_at)):
            if self._states.used + promised + tokens <= self._states.capacity:
                return True
            self._put_by(seat, reused if seat.sequence == source else 0)
        return self._states.used + promised + tokens <= self._states.capacity


def _worth_restoring(kept: Kept) -> int:
    least, held = WORTH_RESTORING
    return least + len(kept.tokens) // held
