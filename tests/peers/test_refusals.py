"""Turning somebody away is written down, and five hundred times a second costs the disk no more than once."""

from __future__ import annotations

from pathlib import Path

from peers.audit import Act
from peers.messages import Failed
from peers.node_id import of_key
from peers.refusals import Refusals
from peers.state import open_state
from tests.peers.nodes import Clock

KITCHEN, GARAGE = of_key(b"kitchen"), of_key(b"garage")
BUSY = Failed(code="busy", message="It may ask 60 times a minute. Ask again in a moment.")


async def test_a_storm_of_refusals_is_one_entry_a_minute_with_its_number(tmp_path: Path) -> None:
    state, clock = open_state(tmp_path, machine=""), Clock()
    refusals = Refusals(state.audit, clock.seconds)
    for _ in range(500):
        await refusals.note(KITCHEN, BUSY)
    await refusals.note(GARAGE, BUSY)
    await refusals.note(KITCHEN, Failed(code="not_granted", message="Not granted."))
    assert len(state.audit.newest(10)) == 3
    clock.pass_s(61)
    await refusals.note(KITCHEN, BUSY)
    newest = state.audit.newest(10)
    assert len(newest) == 4
    assert (newest[0].act, newest[0].peer, newest[0].scope) == (Act.REFUSED, KITCHEN, "busy")
    assert newest[0].note.endswith("And 499 times more before.")
