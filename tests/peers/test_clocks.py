"""Devices whose clocks are a year apart work together all the same: nothing between them depends on the time of day."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from models.types import Request, Tier, last
from peers import membership
from peers.client import PeerClient
from peers.errors import LinkError
from peers.grants import guest_device, own_device
from peers.pairing import Paired
from peers.peerstore import PeerStore
from peers.remote import RemoteSpecialist
from peers.server import PeerServer
from peers.state import NodeState, open_state
from tests.peers.swarm import count_to_five

YEAR_NS = 365 * 24 * 3600 * 10**9
WORDS = "one two three four five"


def shifted(state: NodeState, by_ns: int) -> NodeState:
    """Return the state as a device with a wrong clock has it."""
    return replace(state, peers=PeerStore(state.folder, clock_ns=lambda: time.time_ns() + by_ns))


@pytest.mark.parametrize("by_ns", [YEAR_NS, -YEAR_NS])
async def test_a_clock_a_year_off_parts_nobody(tmp_path: Path, by_ns: int) -> None:
    laptop, kitchen = open_state(tmp_path / "laptop", machine=""), open_state(tmp_path / "kitchen", machine="")
    kitchen = shifted(kitchen, by_ns)
    server = PeerServer(kitchen, lambda request, peer: count_to_five(request))
    async with server.serving("127.0.0.1", 0), PeerClient(laptop.identity, laptop.peers) as client:
        place = f"127.0.0.1:{server.port}"
        membership.admit(laptop, Paired(kitchen.identity.public, "kitchen", (place,), 1), own_device())
        membership.admit(kitchen, Paired(laptop.identity.public, "laptop", (), 1), own_device())
        specialist = RemoteSpecialist(kitchen.identity.node_id, "generate", state=laptop, client=client)
        request = Request("generate", {"prompt": "Count."}, ceiling=Tier.HOME)
        assert (await last(specialist.run(request))).output == WORDS


async def test_a_guests_time_is_over_by_the_clock_of_the_device_that_granted_it(tmp_path: Path) -> None:
    laptop, kitchen = open_state(tmp_path / "laptop", machine=""), open_state(tmp_path / "kitchen", machine="")
    kitchen = shifted(kitchen, YEAR_NS)
    server = PeerServer(kitchen, lambda request, peer: count_to_five(request))
    async with server.serving("127.0.0.1", 0), PeerClient(laptop.identity, laptop.peers) as client:
        place = f"127.0.0.1:{server.port}"
        membership.admit(laptop, Paired(kitchen.identity.public, "kitchen", (place,), 1), own_device())
        over = guest_device(time.time_ns() + 3600 * 10**9)
        membership.admit(kitchen, Paired(laptop.identity.public, "laptop", (), 1), over)
        specialist = RemoteSpecialist(kitchen.identity.node_id, "generate", state=laptop, client=client)
        with pytest.raises(LinkError):
            await last(specialist.run(Request("generate", {"prompt": "Count."}, ceiling=Tier.HOME)))
