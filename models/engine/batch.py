"""Continuous batching: many answers share one context, join and leave between steps, and share prefixes.

A step is one decode call. Answers that are being written come first, prompts fill the rest in chunks,
so that a long prompt does not stall the others. A new request takes over the longest common prefix
that any sequence holds; requests that arrive together with the same unseen prefix let one compute it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from models.conversations import ConversationFiles
from models.engine.admission import Admission
from models.engine.answering import Answer, Scoring
from models.engine.breaking_off import BreakingOff
from models.engine.keeping import Keeping, passed_on
from models.engine.leading import follow
from models.engine.library import Interrupted, NoRoom, Row
from models.engine.lookup import MOST_PROPOSED
from models.engine.pace import Pace
from models.engine.prefixes import PrefixFiles
from models.engine.seats import Job, Seat, Take
from models.engine.shelf import Shelf
from models.engine.short_prompts import before_long_ones
from models.engine.states import Computes, Logits, States
from models.engine.unforeseen import unforeseen
from models.engine.weighing import Weighing
from models.errors import BackendError, ContextOverflow, DeadlineExceeded, ModelsError
from models.types import PROGRAMS, Usage


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """Bounds of one batch."""

    context_tokens: int
    """Most tokens of one request, prompt and answer together."""
    kv_tokens: int
    """Tokens of state, all sequences together."""
    slots: int
    """Requests that may run at once."""
    scratch: int
    """Further sequences, for weighing labels."""
    rows: int
    """Most rows of one step."""
    shelf_tokens: int = 0
    """Most tokens of state kept beside the context; 0 leaves what ended requests held where it lies."""
    show_s: float = 0.0
    """Seconds between two times that pieces of answers are shown; 0 shows every token at once."""
    shares_prefixes: bool = True
    """False for a model whose state can't be cut in the middle (recurrent ones)."""


class Batch:
    """The batching loop of one context; not thread-safe.

    `done(job, usage)` is called when an answer has ended or labels are weighed (with their
    probabilities), `failed(job, error)` when it could not.
    """

    def __init__(
        self,
        library: Computes,
        settings: BatchSettings,
        *,
        progressed: Callable[[Answer], None],
        done: Callable[[Job, Usage, list[float]], None],
        failed: Callable[[Job, ModelsError], None],
        prefixes: PrefixFiles | None = None,
        conversations: ConversationFiles | None = None,
        cancelled: Callable[[int], bool] = lambda _: False,
    ) -> None:
        """`cancelled` tells, also while a step runs, for which request `cancel` is going to be called."""
        self._settings = settings
        self._states = States(
            library,
            capacity=settings.kv_tokens,
            sequences=settings.slots,
            scratch=settings.scratch,
        )
        self._seats = [Seat(i) for i in range(settings.slots)]
        self._waiting: deque[Job] = deque()
        self._progressed, self._done, self._failed = progressed, done, failed
        self._cancelled = cancelled
        self._clock = 0
        self._shown = 0.0
        self._breaking_off = BreakingOff(self._gone, repeats=settings.shares_prefixes)
        self._pace = Pace()
        self._keeping = Keeping(self._states, prefixes, conversations)
        self._shelf = Shelf(settings.shelf_tokens)
        self._admission = Admission(
            self._seats, self._states, self._keeping, self._shelf, shares_prefixes=settings.shares_prefixes
        )

    @property
    def busy(self) -> bool:
        return bool(self._waiting) or any(seat.job for seat in self._seats)

    def submit(self, job: Job) -> None:
        """Queue a request. Raises ContextOverflow at once when it can never fit."""
        need = job.promised
        limit = min(self._settings.context_tokens, self._settings.kv_tokens)
        if need > limit:
            prompt = len(job.prompt)
            raise ContextOverflow(
                f"The prompt has {prompt} tokens and the answer may take {need - prompt}, together more than "
                f"the context of {limit} tokens. Shorten the text or ask for a shorter answer."
            )
        self._waiting.append(job)

    def cancel(self, job_id: int) -> None:
        """Forget a request; its sequence is free at once."""
        self._waiting = deque(job for job in self._waiting if job.id != job_id)
        for seat in self._seats:
            if seat.job is not None and seat.job.id == job_id:
                self._leave(seat)

    def keep_conversations(self) -> None:
        """Write the state of conversations to disk; called when nothing else is to be done."""
        self._keeping.put_conversations_away(sorted(self._seats, key=lambda seat: seat.used_at), self._shelf)

    def forget(self, conversation: Path | None = None) -> None:
        """Let go of all state that requests have left behind; of one conversation, keep none of it on disk."""
        if conversation is not None:
            passed_on((*(seat.past for seat in self._seats), *(kept.past for kept in self._shelf.kept)), conversation)
            for job in self._waiting:
                if isinstance(job, Answer) and job.conversation == conversation:
                    job.conversation = None
            return
        self._shelf.clear()
        for seat in self._seats:
            if seat.job is None:
                seat.past.conversation = None
                self._cut_to_own(seat)

    def step(self) -> None:
        """Admit what fits, compute one batch of rows, hand out what came of it."""
        self._clock += 1
        self._expire()
        self._admit()
        follow(self._seats, self._states)
        self._admission.clear()
        rows, takes = self._plan()
        if not rows:
            return
        began = time.monotonic()
        try:
            expected = self._pace.reading(len(rows))
            logits = self._states.compute(rows, self._breaking_off.asks(takes, self._seats, seconds=expected))
        except Interrupted:
            self._breaking_off.ended(takes, self._seats, early=True)
            return
        except NoRoom:
            self._make_room(takes)
            return
        except ModelsError as error:
            for take in takes:
                self._states.wipe(take.seat.sequence)
                self._fail(take.seat, error)
            return
        self._breaking_off.ended(takes, self._seats, early=False)
        spent = time.monotonic() - began
        self._learn(takes, spent)
        for take in takes:
            take.seat.model_seconds += spent
        rows_wanted = iter(logits)
        for take in takes:
            self._advance(take, list(islice(rows_wanted, take.wanted)))
        self._show()

    def _show(self) -> None:
        """Show what answers have gained, when it is time; the first piece of one at once."""
        now = time.monotonic()
        due = now - self._shown >= self._settings.show_s
        for seat in self._seats:
            if isinstance(job := seat.job, Answer) and job.owed and (due or not job.shown):
                self._progressed(job)
        if due:
            self._shown = now

    def _learn(self, takes: list[Take], seconds: float) -> None:
        answers = sum(1 for take in takes if take.single)
        prompt_rows = sum(take.count for take in takes) - answers
        proposed = sum(take.proposed for take in takes)
        self._pace.observe(answers=answers, prompt_rows=prompt_rows, proposed=proposed, seconds=seconds)

    def _advance(self, take: Take, rows: list[Logits]) -> None:
        """Hand one request the logits that it wanted, if its pending tokens are through."""
        seat, job = take.seat, take.seat.job
        assert job is not None
        del job.pending[: take.count]
        try:
            if job.keep:
                self._keeping.put_prompt_away(seat)
            if not rows:
                return
            if isinstance(job, Scoring):
                self._weigh(seat, job, rows)
                return
            right = job.feed_all(rows)
        except ModelsError as error:
            self._fail(seat, error)
            return
        except Exception as error:  # whatever one request brings about, the others go on
            self._fail(seat, unforeseen(error))
            return
        if take.proposed > right:
            self._states.cut(seat.sequence, len(self._states.tokens(seat.sequence)) - take.proposed + right)
        if job.ending is not None:
            self._end(seat, job)

    def _end(self, seat: Seat, job: Answer) -> None:
        job.finish()
        usage = self._usage(seat, job, len(job.tokens) - job.resumed)
        self._leave(seat)
        self._done(job, usage, [])

    def _usage(self, seat: Seat, job: Job, completion: int) -> Usage:
        return Usage(
            prompt_tokens=len(job.prompt),
            cached_tokens=min(job.cached, len(job.prompt)),
            completion_tokens=completion,
            seconds=time.monotonic() - job.started,
            model_seconds=seat.model_seconds,
        )

    # Joining

    def _expire(self) -> None:
        now = time.monotonic()
        for job in [job for job in self._waiting if _late(job, now)]:
            self._waiting.remove(job)
            self._failed(job, _too_late(job))
        for seat in self._seats:
            if seat.job is not None and _late(seat.job, now):
                self._fail(seat, _too_late(seat.job))

    def _admit(self) -> None:
        """Seat waiting requests in order of arrival, as long as there is a seat and room for their state."""
        while self._waiting:
            free = [seat for seat in self._seats if seat.job is None]
            if not free or not self._seat(self._waiting[0], free):
                return
            self._waiting.popleft()

    def _seat(self, job: Job, free: list[Seat]) -> bool:
        if isinstance(job, Answer) and job.ending is not None:  # nothing left to compute
            self._end(Seat(-1), job)
            return True
        return self._admission.seat(job, free)

    def _gone(self, job: Job) -> bool:
        return self._cancelled(job.id) or _late(job, time.monotonic())

    # One step

    def _plan(self) -> tuple[list[Row], list[Take]]:
        """Return the rows of the next decode call, and what of them is whose."""
        ready = [s for s in self._seats if s.job is not None and s.leader is None and (s.job.pending or s.weighing)]
        ready.sort(key=lambda seat: (not _single(seat), seat.used_at, len(seat.job.pending) if seat.job else 0))
        takes = self._shared_out(before_long_ones(ready, self._settings.rows))
        self._propose(takes)
        for take in takes:
            take.rows = take.rows or self._rows(take)
        return [row for take in takes for row in take.rows], takes

    def _shared_out(self, ready: Sequence[Seat]) -> list[Take]:
        """Share the rows of a step out: one to each answer, what is left to prompts and labels, by turns."""
        room = self._settings.rows
        beside = room
        if any(map(_single, ready)):
            waiting = [len(one.job.pending) for one in ready if one.job and not (one.weighing or one.answering)]
            answers = sum(seat.answering for seat in ready)
            beside = self._pace.rows(room, answers=answers, waiting=len(waiting), left=sum(waiting))
        takes: list[Take] = []
        for seat in ready:
            take = self._take(seat, room if _single(seat) else min(room, beside))
            if not take.count:
                continue
            if not _single(seat):
                beside -= take.count
            room -= take.count
            seat.used_at = self._clock
            takes.append(take)
        return takes

    def _take(self, seat: Seat, most: int) -> Take:
        assert seat.job is not None
        if seat.weighing is None:
            return Take(seat, min(most, len(seat.job.pending)))
        rows = seat.weighing.rows(most)
        return Take(seat, len(rows), rows=rows)

    def _propose(self, takes: list[Take]) -> None:
        """Add proposed tokens to a step without prompts; those are worth more."""
        used = sum(take.count for take in takes)
        whole = [take for take in takes if take.seat.job and take.count == len(take.seat.job.pending)]
        if len(whole) < len(takes) or any(not take.seat.answering for take in takes):
            return
        left = min(MOST_PROPOSED, self._settings.rows - used)
        for take in takes:
            if isinstance(job := take.seat.job, Answer) and left:
                take.proposed = len(job.propose(self._pace, most=left, beside=used - 1))
                used += take.proposed
                left -= take.proposed

    def _rows(self, take: Take) -> list[Row]:
        job, sequence = take.seat.job, take.seat.sequence
        assert job is not None
        start = len(self._states.tokens(sequence))
        last = len(job.pending) - 1
        tokens = job.pending[: take.count]
        if take.proposed and isinstance(job, Answer):
            tokens = [*tokens, *job.proposed]
        return [Row(token, start + i, sequence, i >= last) for i, token in enumerate(tokens)]

    def _weigh(self, seat: Seat, job: Scoring, rows: list[Logits]) -> None:
        """Take the logits after the prompt, later those after branches of the labels."""
        if seat.weighing is None:
            seat.weighing = Weighing(self._states, seat.sequence, job, rows[0])
        else:
            seat.weighing.learn(iter(rows))
        if seat.weighing.done:
            usage = self._usage(seat, job, 0)
            probabilities = seat.weighing.probabilities()
            self._leave(seat)
            self._done(job, usage, probabilities)

    # Leaving

    def _leave(self, seat: Seat) -> None:
        """Free the seat. Its state stays for the next request with the same beginning, unless a device asked."""
        if seat.weighing is not None:
            seat.weighing.end()
        seat.job = seat.leader = seat.leader_job = seat.weighing = None
        seat.used_at = self._clock
        if seat.past.asker not in ("", PROGRAMS):
            self._cut_to_own(seat)

    def _cut_to_own(self, seat: Seat) -> None:
        """Forget what was said, of a state that can't be cut all."""
        self._states.cut(seat.sequence, seat.past.own if self._settings.shares_prefixes else 0)

    def _fail(self, seat: Seat, error: ModelsError) -> None:
        job = seat.job
        self._leave(seat)
        if job is not None:
            self._failed(job, error)

    def _make_room(self, takes: list[Take]) -> None:
        """Forget every idle state; if there is none, give up the youngest request."""
        idle = [s for s in self._seats if s.job is None and self._states.tokens(s.sequence)]
        for seat in idle:
            self._states.cut(seat.sequence, 0)
        if not idle:
            seat = max((take.seat for take in takes), key=lambda s: s.job.started if s.job else 0.0)
            self._states.cut(seat.sequence, 0)
            self._fail(seat, BackendError("The model's context is full. Ask again when less is running."))


def _single(seat: Seat) -> bool:
    """True where one token is left to compute, as in an answer: such rows come first."""
    return seat.weighing is None and seat.job is not None and len(seat.job.pending) == 1


def _late(job: Job, now: float) -> bool:
    return job.deadline is not None and now > job.deadline


def _too_late(job: Job) -> DeadlineExceeded:
    spent = time.monotonic() - job.started
    return DeadlineExceeded(f"The answer was not ready after {spent:.1f} s. Allow more time or ask for less.")
