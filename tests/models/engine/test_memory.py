"""What fits is decided by numbers, before memory is taken."""

from __future__ import annotations

import pytest

from models.engine import memory
from models.errors import OutOfMemory

MB = 10**6


def test_state_has_a_key_and_a_value_for_each_head_of_each_layer() -> None:
    assert (
        memory.state_bytes(2048, layers=30, heads=3, head_size=64) == 2048 * 30 * 3 * 64 * 4
    )  # 47 MB for smollm2-135m


@pytest.mark.parametrize(("weights", "state"), [(100, 0), (60, 40), (0, 100)])
def test_what_is_free_may_be_used(weights: int, state: int) -> None:
    memory.check(weights * MB, state * MB, 100 * MB, tokens=10)


def test_what_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(OutOfMemory) as caught:
        memory.check(491 * MB, 1200 * MB, 800 * MB, tokens=100_000)
    said = str(caught.value)
    assert "about 1,691 MB" in said and "491 for its weights" in said and "800 MB are free" in said
    assert "1,200 for 100,000 tokens of context" in said
