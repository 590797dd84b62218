"""Shared tokens of state count once, and are free when nobody holds them."""

from hypothesis import given
from hypothesis import strategies as st

from models.engine.cells import Cells, common_prefix


def test_a_copy_costs_nothing_and_outlives_its_source() -> None:
    cells = Cells(100, 3)
    for token in (1, 2, 3, 4):
        cells.append(0, token)
    cells.copy(0, 1, 3)
    assert cells.used == 4
    assert (cells.alone(0), cells.alone(1)) == (1, 0)
    cells.cut(0, 0)
    assert (cells.used, cells.tokens(1)) == (3, [1, 2, 3])
    cells.cut(1, 1)
    assert (cells.used, cells.tokens(1)) == (1, [1])


@given(st.lists(st.integers(0, 2), max_size=30), st.lists(st.integers(0, 2), max_size=30))
def test_common_prefix_is_the_longest_one(left: list[int], right: list[int]) -> None:
    length = common_prefix(left, right)
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]
