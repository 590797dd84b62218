"""From tokens to text that may be shown: whole characters, and nothing past a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that is ready, and the tokens that it used up."""

    index: int
    text: str
    token_ids: tuple[int, ...]


def joined(pieces: Sequence[Piece]) -> Piece:
    """Return pieces that follow each other as one."""
    tokens = tuple(token for piece in pieces for token in piece.token_ids)
    return Piece(pieces[0].index, "".join(piece.text for piece in pieces), tokens)


class TextStream:
    """Turns the bytes of tokens into text as they come.

    Bytes of an unfinished character, and text that may be the beginning of a stop string, wait for
    the next token. Invalid UTF-8 becomes U+FFFD, never a broken character.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(s for s in stop if s)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._shown = 0
        self._waiting: list[int] = []
        self._index = 0
        self.stopped = False
        """True once a stop string has been seen; the text ends before it."""

    @property
    def text(self) -> str:
        """All text so far, held-back text included."""
        return self._text

    @property
    def shown(self) -> str:
        """The part of it that was handed out, or skipped: nothing of it is held back."""
        return self._text[: self._shown]

    def feed(self, token: int, data: bytes) -> Piece | None:
        """Add a token; return what may be shown now, if anything."""
        self._waiting.append(token)
        tail = len(self._text)
        self._text += self._decoder.decode(data)
        for stop in self._stop:
            found = self._text.find(stop, max(0, tail - len(stop)))
            if found >= 0:
                self._text = self._text[:found]
                self.stopped = True
        return self._take(len(self._text) if self.stopped else len(self._text) - self._held())

    def skip(self, token: int, data: bytes) -> None:
        """Add a token that the asker already has: what came of it is not shown again.

        What was held back of it was not shown then, and still may be.
        """
        self.feed(token, data)
        self._index += len(self._waiting)
        self._waiting.clear()

    def end(self) -> Piece | None:
        """Return what was still held back."""
        if not self.stopped:
            self._text += self._decoder.decode(b"", final=True)
        return self._take(len(self._text))

    def _held(self) -> int:
        """Length of the longest end of the text that begins a stop string."""
        longest = 0
        for stop in self._stop:
            for size in range(min(len(stop) - 1, len(self._text)), longest, -1):
                if self._text.endswith(stop[:size]):
                    longest = size
                    break
        return longest

    def _take(self, until: int) -> Piece | None:
        if until <= self._shown:
            return None
        piece = Piece(self._index, self._text[self._shown : until], tuple(self._waiting))
        self._shown = until
        self._index += len(self._waiting)
        self._waiting.clear()
        return piece
