"""A node's name on the network: computed by those who know its id, another every day, telling others nothing."""

from __future__ import annotations

import string
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from peers.nameplate import DAY_NS, day_of, name_on, names_around
from peers.node_id import ALPHABET, NodeId
from tests.peers.nodes import START_NS, new_identity

NODES = st.text(ALPHABET, min_size=52, max_size=52).map(NodeId)


@given(NODES, st.integers(0, 10**6))
def test_a_name_is_eight_letters_that_hold_nothing_of_the_id(node: NodeId, day: int) -> None:
    name = name_on(node, day)
    assert len(name) == 8
    assert set(name) <= set(string.ascii_lowercase + "234567")
    assert name.upper() not in node


def test_the_name_is_as_specified() -> None:
    assert name_on(NodeId("A" * 52), 20000) == "njqgx7jx"


def test_the_name_is_another_tomorrow_and_another_for_each_node(tmp_path: Path) -> None:
    one, other = new_identity(tmp_path / "a").node_id, new_identity(tmp_path / "b").node_id
    assert len({name_on(one, 1), name_on(one, 2), name_on(other, 1)}) == 3


def test_a_clock_that_is_a_day_off_still_knows_the_name(tmp_path: Path) -> None:
    node, today = new_identity(tmp_path).node_id, day_of(START_NS)
    for away in (-1, 0, 1):
        assert names_around([node], today)[name_on(node, today + away)] == node
    assert name_on(node, today + 2) not in names_around([node], today)


def test_a_day_is_a_day_of_utc() -> None:
    assert day_of(5 * DAY_NS - 1) + 1 == day_of(5 * DAY_NS) == 5
