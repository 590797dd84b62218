"""One answer while it is being made: its prompt, what has come so far, and when it ends.

Knows nothing of the batch it runs in.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from models.backend import Sampling, TokenDetail, TokenSignal
from models.engine.cells import common_prefix
from models.engine.constrain import Matcher
from models.engine.library import Vocabulary
from models.engine.lookup import Lookup
from models.engine.pace import Pace
from models.engine.sampling import Row, SignalSum, choose, likeliest, pick, require_number
from models.engine.text import Piece, TextStream, joined

LEAST_SHARE = 0.005
"""Labels that begin alike and have less than this share of the probability together divide it evenly, instead of
taking another step of the model: no probability is off by more."""

Ending = Literal["stop", "length", "cancelled"]


@dataclass(slots=True)
class Answer:
    """A running generation. `feed` takes a row of logits and says what may be shown."""

    id: int
    prompt: list[int]
    max_tokens: int
    sampling: Sampling
    vocabulary: Vocabulary
    text: TextStream
    matcher: Matcher | None = None
    deadline: float | None = None
    """time.monotonic() at which the answer is given up."""
    started: float = field(default_factory=time.monotonic)
    tokens: list[int] = field(default_factory=list)
    """The answer so far, resumed tokens included."""
    resumed: int = 0
    """How many of them the asker had already."""
    pending: list[int] = field(default_factory=list)
    """Tokens whose state is not computed yet: first the prompt, later what was chosen last."""
    cached: int = 0
    """Tokens of the prompt whose state was there already."""
    own: int = 0
    """First tokens of the prompt that are a specialist's own: whoever asks may take their state over."""
    keep: int = 0
    """Those of them whose state is still to be kept on disk."""
    asker: str = ""
    """Whose state it may take over and leaves behind; empty for the owner of this device."""
    conversation: Path | None = None
    """Folder and id of the conversation whose next turn will begin with this one."""
    signals: SignalSum = field(default_factory=SignalSum)
    measured: bool = True
    """Gather signals."""
    details: list[TokenDetail] | None = None
    """What is told of each token that is not resumed; None where nobody asks. Needs `measured`."""
    alternatives: int = 0
    """Likeliest tokens told of each."""
    ending: Ending | None = None
    before: str = ""
    """Text of the resumed tokens, until it was said."""
    owed: list[Piece] = field(default_factory=list)
    shown: bool = False
    """A piece of it was taken to be shown."""
    lookup: Lookup | None = None
    """Proposes tokens, for an answer that is likely to repeat stretches of its prompt."""
    proposed: list[int] = field(default_factory=list)
    """Tokens computed in this step behind the pending ones, in the hope that they are chosen."""
    _found: int = 0
    """Length of the end that the proposal was found by."""

    def begin(self, resumed: tuple[int, ...]) -> None:
        """Lay out the prompt and the tokens that the asker already has. Raises ConstraintError."""
        self.pending = [*self.prompt, *resumed]
        self.resumed = len(resumed)
        for token in resumed:
            self.tokens.append(token)
            self.text.skip(token, self.vocabulary.piece(token))
            if self.matcher is not None:
                self.matcher.consume(token)
        self.before = self.text.shown
        if self.text.stopped:  # it broke off between the last piece and the word that it was the last
            self.ending = "stop"
        elif self.matcher is not None:
            self._force()
        if len(self.tokens) >= self.max_tokens and not self.ending:
            self.ending = "length"
        if self.lookup is not None:
            self.lookup.extend(self.whole)

    @property
    def whole(self) -> list[int]:
        """Prompt and answer so far."""
        return [*self.prompt, *self.tokens]

    @property
    def promised(self) -> int:
        """Tokens of state that it may still ask for, beyond what is computed."""
        return len(self.pending) + self.max_tokens - len(self.tokens)

    def feed(self, row: Row) -> None:
        """Choose the next token from the logits after the last one. Raises ConstraintError."""
        allowed = self.matcher.allowed() if self.matcher is not None else None
        signal = None
        if self.measured:
            token, signal = choose(row, self.sampling, self.tokens, allowed)
            self.signals.add(signal)
        else:
            token = pick(row, self.sampling, self.tokens, allowed)
        if self.matcher is not None and not self.vocabulary.ends(token):
            self.matcher.consume(token)
        if self.details is not None and not self.vocabulary.ends(token):
            self.details.append(self._detail(token, signal, row))
        self._take(token)
        if self.matcher is not None:
            self._force()

    def _detail(self, token: int, signal: TokenSignal | None, row: Row) -> TokenDetail:
        piece = self.vocabulary.piece
        others = tuple((piece(other), logprob) for other, logprob in likeliest(row, self.alternatives))
        return TokenDetail(piece(token), signal, others)

    def propose(self, pace: Pace, *, most: int, beside: int) -> list[int]:
        """Return tokens that may follow the pending ones, and hold them until `feed_all`."""
        self.proposed = []
        left = self.max_tokens - len(self.tokens) - 1  # the token after them comes for nothing
        if self.lookup is not None and self.tokens and min(left, most) > 0:
            self._found, found = self.lookup.proposal(pace, most=min(left, most), beside=beside)
            self.proposed = found[: self.matcher.accepted(found)] if self.matcher is not None and found else found
        return self.proposed

    def feed_all(self, rows: Sequence[Row]) -> int:
        """Choose from the logits after the last token, then from those after each proposed one that was chosen.

        Returns how many of the proposed tokens were. Raises ConstraintError.
        """
        before, right = len(self.tokens), 0
        proposed, self.proposed = self.proposed[: len(rows) - 1], []  # of a step that came to nothing none are computed
        while self.ending is None and not self.pending:
            self.feed(rows[right])
            same = common_prefix(self.pending, proposed[right:])
            del self.pending[:same]
            right += same
        if self.lookup is not None:
            self.lookup.extend(self.tokens[before:])
            self.lookup.learn(self._found, proposed=len(proposed), right=right)
        return right

    def _take(self, token: int) -> None:
        if self.vocabulary.ends(token):
            self.ending = "stop"
            return
        self.tokens.append(token)
        self.pending.append(token)
        piece = self.text.feed(token, self.vocabulary.piece(token))
        if piece:
            self.owed.append(piece)
        if self.text.stopped:
            self.ending = "stop"
        elif len(self.tokens) >= self.max_tokens:
            self.ending = "length"

    def _force(self) -> None:
        """Take what the constraint leaves no choice about, without asking the model."""
        assert self.matcher is not None
        for token in self.matcher.forced() if self.ending is None else []:
            if self.ending is not None:
                return
            if not self.vocabulary.ends(token):
                self.matcher.consume(token)
                if self.details is not None:
                    self.details.append(TokenDetail(self.vocabulary.piece(token), None))
            self._take(token)
        if self.matcher.finished:
            self.ending = "stop"

    def finish(self) -> None:
        """Show what was held back."""
        piece = self.text.end()
        if piece:
            self.owed.append(piece)

    def take_owed(self) -> Piece | None:
        """Return what is not shown yet as one piece, if there is anything."""
        owed, self.owed, self.shown = self.owed, [], True
        return joined(owed) if owed else None

    def details_of(self, piece: Piece) -> list[TokenDetail]:
        """Return what is told of the tokens of a piece. They must have been asked for."""
        assert self.details is not None
        first = piece.index - self.resumed
        return self.details[first : first + len(piece.token_ids)]


@dataclass(slots=True)
class Scoring:
    """The probabilities of labels as the next text, by their token trie."""

    id: int
    prompt: list[int]
    labels: list[list[int]]
    """Token ids of each label, without an end token."""
    end: int
    """Token that stands for the end of a label which begins another one."""
    pending: list[int] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    deadline: float | None = None
    cached: int = 0
    own: int = 0
    keep: int = 0
    asker: str = ""
    conversation: None = None
    followers: dict[tuple[int, ...], set[int]] = field(default_factory=dict)
    """The trie: which tokens come after each beginning of a label."""
    at_once: int = sys.maxsize
    """Most branches whose state there is a place for at the same time."""
    branches: list[tuple[int, ...]] = field(default_factory=list)
    """The paths after which labels part, the empty path first; only there is a choice to weigh."""

    def begin(self) -> None:
        self.pending = list(self.prompt)
        for label in self.labels:
            for i, token in enumerate([*label, self.end]):
                self.followers.setdefault(tuple(label[:i]), set()).add(token)
        self.branches = sorted((path for path, after in self.followers.items() if len(after) > 1), key=len)

    @property
    def whole(self) -> list[int]:
        return self.prompt

    @property
    def promised(self) -> int:
        return len(self.pending) + sum(map(len, self.branches[-self.at_once :]))  # the longest ones come last

    def doubtful(self, root: Row) -> list[tuple[int, ...]]:
        """Return the branches worth computing, given the logits after the prompt: not those that are as good as out."""
        options = np.fromiter(self.followers[()], dtype=np.int64)
        require_number(root[options].max())
        weights = np.exp(root[options].astype(np.float64) - float(root[options].max()))
        shares = dict(zip(options.tolist(), (weights / weights.sum()).tolist(), strict=True))
        return [path for path in self.branches if path and shares[path[0]] >= LEAST_SHARE]

    def probabilities(self, rows: dict[tuple[int, ...], Row]) -> list[float]:
        """Return one probability per label, summing to 1. `rows` holds the logits after each branch."""
        result = []
        for label in self.labels:
            logprob = 0.0
            for i, token in enumerate([*label, self.end]):
                path = tuple(label[:i])
                row = rows.get(path)
                if row is None:
                    logprob -= float(np.log(len(self.followers[path])))
                    continue
                options = np.fromiter(self.followers[path], dtype=np.int64)
                values = row[options].astype(np.float64)
                peak = values.max()
                require_number(peak)
                logprob += float(row[token]) - peak - float(np.log(np.exp(values - peak).sum()))
            result.append(float(np.exp(logprob)))
        total = sum(result)  # labels with equal tokens share their path's probability
        return [value / total for value in result]
