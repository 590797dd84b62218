"""Counting the tokens of long texts a piece at a time, so that answers go on between two pieces."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

PIECE_CHARS = 16_384
"""Characters counted at once: about 5 ms. Where they are cut a token more may be counted."""
SEAM_CHARS = 256
"""Last characters of a piece among which it is cut before a white space, so that mostly no word is cut."""


@dataclass(slots=True)
class _Count:
    id: int
    pieces: Iterator[str]
    piece: str | None
    tokens: int = 0


class Counting:
    """Texts that are being counted, in order of arrival. `tokens` counts those of one piece."""

    def __init__(self, tokens: Callable[[str], int]) -> None:
        self._tokens = tokens
        self._left: deque[_Count] = deque()

    @property
    def busy(self) -> bool:
        return bool(self._left)

    @property
    def current(self) -> int:
        """The request whose turn it is."""
        return self._left[0].id

    def begin(self, number: int, text: str) -> None:
        rest = pieces(text)
        self._left.append(_Count(number, rest, next(rest, "")))

    def cancel(self, number: int) -> None:
        self._left = deque(count for count in self._left if count.id != number)

    def go_on(self) -> int | None:
        """Count one more piece of the current one; return its tokens once it is through."""
        count = self._left[0]
        assert count.piece is not None
        count.tokens += self._tokens(count.piece)
        count.piece = next(count.pieces, None)
        if count.piece is not None:
            return None
        self._left.popleft()
        return count.tokens


def about(text: str, tokens: Callable[[str], int], *, enough: int) -> int:
    """Return about how many tokens a text has; not looked at further than `enough` of them."""
    read = found = 0
    for piece in pieces(text):
        read += len(piece)
        found += tokens(piece)
        if found > enough:
            return found * len(text) // read
    return found


def pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces of at most `PIECE_CHARS`."""
    start = 0
    while len(text) - start > PIECE_CHARS:
        end = start + PIECE_CHARS
        seam = next((place for place in range(end, end - SEAM_CHARS, -1) if text[place].isspace()), end)
        yield text[start:seam]
        start = seam
    if start < len(text):
        yield text[start:]
