"""What hashed words promise: the same text has the same places, wording and order count, no text is kept."""

from __future__ import annotations

import time

import numpy as np
import pytest

from models.heads import wording
from models.heads.wording import MAX_WORDS, features, hashed, places


def test_words_pairs_and_openings_are_seen() -> None:
    assert features("What's on?") == ["whats", "on", "^ whats", "whats on", "on $", "p whats on"]
    assert features("Lampen AUS, 20 €") == features("lampen aus 2 0€")
    assert features(" …?! ") == []


def test_order_of_words_counts() -> None:
    assert places("card lost", 4096) != places("lost card", 4096)


def test_values_are_of_unit_length_and_the_same_in_every_process() -> None:
    found = places("turn the lights on", 64)
    assert sum(value * value for value in found.values()) == pytest.approx(1.0)
    assert places("on", 4096) == pytest.approx({2504: -(3**-0.5), 2650: -(3**-0.5), 3600: 3**-0.5})


def test_rows_are_the_places_written_out() -> None:
    rows = hashed(["turn the lights on", "", "!"], 128)
    assert rows.shape == (3, 128)
    assert {int(place): float(rows[0, place]) for place in np.flatnonzero(rows[0])} == pytest.approx(
        places("turn the lights on", 128)
    )
    assert not rows[1:].any()


@pytest.mark.parametrize("text", ["a" * 1_000_000, "a b " * 300_000, "$" * 100_000, "\ud800 \x00"])
def test_any_text_is_quick_and_bounded(text: str) -> None:
    started = time.perf_counter()
    assert len(features(text)) <= 2 * MAX_WORDS + 4
    places(text, wording.MAX_PLACES)
    assert time.perf_counter() - started < 1.0
