"""Counts which tokens of state each sequence holds, and how many there are when shared ones count once.

Mirrors what llama.cpp does with a unified cache, so that admission can be decided before computing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import count


class Cells:
    """The state of all sequences of one context."""

    def __init__(self, capacity: int, sequences: int) -> None:
        self.capacity = capacity
        self._tokens: list[list[int]] = [[] for _ in range(sequences)]
        self._held: list[list[int]] = [[] for _ in range(sequences)]
        self._holders: Counter[int] = Counter()
        self._fresh = count()

    @property
    def used(self) -> int:
        return len(self._holders)

    def tokens(self, sequence: int) -> list[int]:
        """Return the tokens whose state the sequence holds; not to be changed."""
        return self._tokens[sequence]

    def append(self, sequence: int, token: int) -> None:
        cell = next(self._fresh)
        self._tokens[sequence].append(token)
        self._held[sequence].append(cell)
        self._holders[cell] = 1

    def copy(self, source: int, target: int, length: int) -> None:
        """Let an empty `target` share the first `length` tokens of `source`."""
        assert not self._held[target], "a copy needs an empty target"
        self._tokens[target] = self._tokens[source][:length]
        self._held[target] = self._held[source][:length]
        for cell in self._held[target]:
            self._holders[cell] += 1

    def cut(self, sequence: int, length: int) -> None:
        """Forget what the sequence holds from place `length` on."""
        for cell in self._held[sequence][length:]:
            self._holders[cell] -= 1
            if not self._holders[cell]:
                del self._holders[cell]
        del self._held[sequence][length:]
        del self._tokens[sequence][length:]

    def together(self, held: Iterable[tuple[int, int]]) -> int:
        """Return how many tokens the first so many of each of these sequences are, shared ones counted once."""
        return len({cell for sequence, length in held for cell in self._held[sequence][:length]})

    def alone(self, sequence: int) -> int:
        """Return how many tokens only this sequence holds: what forgetting it would free."""
        return sum(1 for cell in self._held[sequence] if self._holders[cell] == 1)


def common_prefix(left: list[int], right: list[int]) -> int:
    """Return the length of the longest common beginning."""
    limit = min(len(left), len(right))
    if left[:limit] == right[:limit]:
        return limit
    low, high = 0, limit  # left[:low] agrees, left[:high] does not
    while high - low > 1:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return low
