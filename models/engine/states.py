"""The state of every sequence: what the library holds of it and the count of that, always changed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.engine.cells import Cells
from models.engine.library import Interrupted, Row

Logits = NDArray[np.float32]


class Computes(Protocol):
    """What the batch needs of the library; a scripted one stands in for it in tests."""

    def decode(self, rows: list[Row], given_up: Callable[[], bool] | None = None) -> list[Logits]: ...
    def goes_on(self, sequence: int, length: int) -> bool: ...
    def copy(self, source: int, target: int, length: int) -> None: ...
    def cut(self, sequence: int, length: int) -> None: ...
    def state(self, sequence: int) -> bytes: ...
    def restore(self, sequence: int, state: bytes) -> bool: ...


class States:
    """All sequences of one context: those of requests first, then scratch ones, empty where nobody uses them."""

    def __init__(self, library: Computes, *, capacity: int, sequences: int, scratch: int) -> None:
        self._library = library
        self._cells = Cells(capacity, sequences + scratch)
        self.scratch = range(sequences, sequences + scratch)

    @property
    def used(self) -> int:
        """Tokens of state, shared ones counted once."""
        return self._cells.used

    @property
    def capacity(self) -> int:
        return self._cells.capacity

    @property
    def spare(self) -> int | None:
        """A scratch sequence that nobody uses now."""
        return next((scratch for scratch in self.scratch if not self.tokens(scratch)), None)

    def tokens(self, sequence: int) -> list[int]:
        """Return the tokens whose state the sequence holds; not to be changed."""
        return self._cells.tokens(sequence)

    def together(self, held: Iterable[tuple[int, int]]) -> int:
        """Return how many tokens the first so many of each of these sequences are, shared ones counted once."""
        return self._cells.together(held)

    def alone(self, sequence: int) -> int:
        """Return how many tokens only this sequence holds: what forgetting it would free."""
        return self._cells.alone(sequence)

    def goes_on(self, sequence: int, length: int) -> bool:
        """Return whether a request may go on from the first `length` tokens: a model may have let go of old ones."""
        return self._library.goes_on(sequence, length)

    def compute(self, rows: list[Row], given_up: Callable[[], bool] | None = None) -> list[Logits]:
        """Compute rows; return the logits of those that want them, which hold until the next call.

        Raises NoRoom, and Interrupted when `given_up` said so on the way; either leaves all states as they were.
        """
        try:
            logits = self._library.decode(rows, given_up)
        except Interrupted:
            for sequence in {row.sequence for row in rows}:
                self._library.cut(sequence, len(self.tokens(sequence)))
            raise
        for row in rows:
            self._cells.append(row.sequence, row.token)
        return logits

    def copy(self, source: int, target: int, length: int) -> None:
        """Let an empty `target` share the first `length` tokens of `source`."""
        self._library.copy(source, target, length)
        self._cells.copy(source, target, length)

    def cut(self, sequence: int, length: int) -> None:
        """Forget what the sequence holds from place `length` on."""
        if len(self.tokens(sequence)) > length:
            self._library.cut(sequence, length)
            self._cells.cut(sequence, length)

    def wipe(self, sequence: int) -> None:
        """Forget a sequence of which it is not known how far it came."""
        self._library.cut(sequence, 0)
        self._cells.cut(sequence, 0)

    def saved(self, sequence: int, length: int) -> bytes:
        """Return the state of the first `length` tokens, to be kept. Less than all of them takes a spare sequence."""
        if length == len(self.tokens(sequence)):
            return self._library.state(sequence)
        spare = self.spare
        assert spare is not None, "asked for beforehand"
        self.copy(sequence, spare, length)
        try:
            return self._library.state(spare)
        finally:
            self.cut(spare, 0)

    def restore(self, sequence: int, tokens: Sequence[int], state: bytes) -> bool:
        """Give an empty sequence a state that was kept; False where it does not fit this context."""
        if not self._library.restore(sequence, state):
            self._library.cut(sequence, 0)
            return False
        for token in tokens:
            self._cells.append(sequence, token)
        return True
