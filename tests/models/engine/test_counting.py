"""Long texts are counted a piece at a time, and their tokens are those of the whole."""

from __future__ import annotations

import pytest

from models.engine.counting import PIECE_CHARS, SEAM_CHARS, Counting, about, pieces

WORDS = " ".join(f"word{number}" for number in range(9000))


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("text", ["", "a", "a" * PIECE_CHARS, "a" * (3 * PIECE_CHARS + 1), WORDS, " " * 40_000])
def test_pieces_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert all(0 < len(piece) <= PIECE_CHARS for piece in pieces(text))


def test_no_word_is_cut_where_there_is_a_space() -> None:
    cut = list(pieces(WORDS))
    assert sum(map(words, cut)) == 9000
    assert all(len(piece) > PIECE_CHARS - SEAM_CHARS for piece in cut[:-1])


def test_texts_are_counted_in_turn_one_piece_at_a_time_and_not_once_they_are_cancelled() -> None:
    counting = Counting(words)
    for number, text in enumerate([WORDS, WORDS, ""]):
        counting.begin(number, text)
    counting.cancel(1)
    told = []
    while counting.busy:
        told.append((counting.current, counting.go_on()))
    assert told == [(0, None)] * (len(list(pieces(WORDS))) - 1) + [(0, 9000), (2, 0)]


def test_far_too_long_a_text_is_reckoned_from_its_beginning() -> None:
    read: list[str] = []

    def counted(text: str) -> int:
        read.append(text)
        return words(text)

    assert about(WORDS * 50, counted, enough=3000) == pytest.approx(9000 * 50, rel=0.05)
    assert len(read) < 4
    assert about(WORDS, words, enough=10_000) == 9000
