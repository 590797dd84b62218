"""The probabilities of labels as the next text: the logits after every branch of their token trie."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from models.engine.answering import Scoring
from models.engine.library import Row
from models.engine.states import Logits, States

Path = tuple[int, ...]


class Weighing:
    """The branches of one request's labels, each computed on a scratch copy of the prompt, some rows a step.

    Several of them share the scratch sequences: one that holds tokens is in use. `end` gives them back.
    """

    def __init__(self, states: States, sequence: int, job: Scoring, root: Logits) -> None:
        """`sequence` holds the prompt, `root` are the logits after it."""
        self._states = states
        self._sequence = sequence
        self._start = len(states.tokens(sequence))
        self._job = job
        self._known: dict[Path, Logits] = {(): root.copy()}
        self._left = deque(job.doubtful(root))
        self._begun: dict[int, Path] = {}

    @property
    def done(self) -> bool:
        return not self._left and not self._begun

    def rows(self, most: int) -> list[Row]:
        """Return the next rows to compute, at most `most`; none while others use all scratch sequences."""
        rows: list[Row] = []
        for scratch in self._states.scratch:
            if len(rows) == most:
                break
            self._begin(scratch)
            at = len(self._states.tokens(scratch))
            path = self._begun.get(scratch, ())[at - self._start :]
            part = path[: most - len(rows)]
            rows += [Row(token, at + i, scratch, i == len(path) - 1) for i, token in enumerate(part)]
        return rows

    def _begin(self, scratch: int) -> None:
        if self._left and not self._states.tokens(scratch):
            self._begun[scratch] = self._left.popleft()
            self._states.copy(self._sequence, scratch, self._start)

    def learn(self, logits: Iterator[Logits]) -> None:
        """Take the logits of those rows that wanted them, once they are computed."""
        for scratch in sorted(self._begun):
            path = self._begun[scratch]
            if len(self._states.tokens(scratch)) == self._start + len(path):
                self._known[path] = next(logits).copy()
                self._states.cut(scratch, 0)
                del self._begun[scratch]

    def end(self) -> None:
        """Give back the scratch sequences, also of what is not computed to its end."""
        for scratch in self._begun:
            self._states.cut(scratch, 0)
        self._begun.clear()

    def probabilities(self) -> list[float]:
        """Return one per label, summing to 1."""
        return self._job.probabilities(self._known)
