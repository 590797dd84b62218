"""How long an asker may take for a part of its answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from models.types import Label
from peers import desk
from peers.desk import _taken_by
from peers.errors import PeerLost
from peers.release import Released, Releaser
from tests.peers.swarm import pair


async def slow(piece: Released[bytes]) -> None:
    await asyncio.sleep(0.5)


@pytest.mark.parametrize(("size_bytes", "is_taken"), [(100, False), (500_000, True)])
async def test_a_long_message_has_the_time_that_a_poor_radio_takes_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size_bytes: int, is_taken: bool
) -> None:
    monkeypatch.setattr(desk, "STALLED_S", 0.1)
    async with pair(tmp_path) as (laptop, kitchen):
        peer = kitchen.state.peers.book().peers[laptop.id]
        opened = Releaser(kitchen.state.ledger).open_stream(
            Label.PUBLIC, capability="generate", recipient=peer.recipient(), reason="a test"
        )
        piece = opened.piece(b"x" * size_bytes)
        if is_taken:
            await _taken_by(peer, slow, piece)
            return
        with pytest.raises(PeerLost, match=r"laptop did not take its answer within 0\.1 s"):
            await _taken_by(peer, slow, piece)
