"""State on disk, as the batch uses it: specialists' own prompts and conversations are brought back and put away."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from models.conversations import ConversationFiles
from models.engine.cells import common_prefix
from models.engine.prefixes import FEWEST_TOKENS, PrefixFiles
from models.engine.seats import Job, Past, Seat
from models.engine.shelf import Shelf
from models.engine.states import States


class Keeping:
    """What is kept of one context. Without files it keeps nothing and finds nothing."""

    def __init__(self, states: States, prefixes: PrefixFiles | None, conversations: ConversationFiles | None) -> None:
        self._states = states
        self._prefixes = prefixes
        self._conversations = conversations

    def own_prompt(self, job: Job, *, known: int) -> tuple[list[int], bytes] | None:
        """Return the state of the specialist's own prompt, unless `known` tokens, all of it, are in memory."""
        if self._prefixes is None or known >= job.keep:
            return None
        tokens = job.pending[: job.keep]
        state = self._prefixes.read(tokens)
        return None if state is None else (tokens, state)

    def turns_before(self, job: Job, *, known: int) -> tuple[list[int], bytes] | None:
        """Return the state of the conversation so far, where it is longer than the `known` tokens in memory."""
        if self._conversations is None or job.conversation is None:
            return None
        kept = common_prefix(self._conversations.tokens(job.conversation), job.pending)
        return self._conversations.read(job.conversation) if kept >= known + FEWEST_TOKENS else None

    def put_prompt_away(self, seat: Seat) -> None:
        """Write the state of a specialist's own prompt once it is computed and a sequence is spare to cut it out on."""
        job = seat.job
        if self._prefixes is None or job is None:
            return
        tokens = self._states.tokens(seat.sequence)[: job.keep]
        if len(tokens) < job.keep or self._states.spare is None:
            return
        job.keep = 0
        if self._states.goes_on(seat.sequence, len(tokens)) and not self._prefixes.has(tokens):
            self._prefixes.write(tokens, self._states.saved(seat.sequence, len(tokens)))

    def put_conversations_away(self, seats: Iterable[Seat], shelf: Shelf) -> None:
        """Write the state that ended turns have left behind."""
        for kept in shelf.kept:
            self.write(kept.past, kept.tokens, kept.state)
        for seat in seats:
            if seat.job is None and seat.past.conversation is not None:
                tokens = self._states.tokens(seat.sequence)
                self.write(seat.past, tokens, self._states.saved(seat.sequence, len(tokens)))

    def write(self, past: Past, tokens: list[int], state: bytes) -> None:
        """Write a state if it is a conversation's and not on disk yet."""
        conversation, past.conversation = past.conversation, None
        if self._conversations is not None and conversation is not None and len(tokens) >= FEWEST_TOKENS:
            self._conversations.write(conversation, tokens, state)


def passed_on(pasts: Iterable[Past], conversation: Path | None) -> None:
    """A conversation goes on in one place only: the others have nothing to keep of it."""
    for past in pasts:
        if past.conversation == conversation:
            past.conversation = None
