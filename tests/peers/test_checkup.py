"""Two nodes on loopback look at the way between them, from both ends, as `covey doctor` has them do."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from models.types import Chunk, Request, Result
from peers import membership, probes
from peers.book import Peer, with_peer
from peers.check_messages import Check, Checked
from peers.checkup import CheckUp
from peers.codec import FrameReader, frames
from peers.codes import Address
from peers.findings import Dial
from peers.grants import Grant, own_device
from peers.messages import Hello
from peers.pairing import Paired
from peers.server import PeerServer
from peers.state import NodeState, open_state
from peers.wire import read
from tests.peers.nodes import DAY_NS, new_identity

HOST = "127.0.0.1"


async def nothing(request: Request, peer: Peer) -> AsyncGenerator[Chunk | Result, None]:
    raise AssertionError("a check is no work")
    yield


@asynccontextmanager
async def serving(state: NodeState, ahead_ns: int = 0) -> AsyncIterator[Address]:
    checkup = CheckUp(
        state, "boot", heard_s=lambda node: 0.5, listens=lambda: True, clock_ns=lambda: time.time_ns() + ahead_ns
    )
    async with PeerServer(state, nothing, checks=checkup.answer).serving(HOST, 0) as server:
        yield Address(HOST, server.port)


def knows(state: NodeState, other: NodeState, *addresses: Address, grant: Grant | None = None) -> Peer:
    places = tuple(map(str, addresses))
    paired = Paired(other.identity.public, "other", places, 1)
    return membership.admit(state, paired, grant or own_device())


def two(tmp_path: Path) -> tuple[NodeState, NodeState]:
    return open_state(tmp_path / "laptop", machine=""), open_state(tmp_path / "kitchen", machine="")


async def test_both_ends_are_tried(tmp_path: Path) -> None:
    laptop, kitchen = two(tmp_path)
    async with serving(laptop) as here, serving(kitchen) as there:
        knows(kitchen, laptop)
        peer = knows(laptop, kitchen, there)
        asked = await probes.check(laptop, peer, there, here.port)
    assert not isinstance(asked, str)
    checked, ahead_s = asked
    assert (checked.dialled, checked.heard_s, checked.listens) == ("reached", 0.5, True)
    assert abs(ahead_s) < 1


async def test_a_device_that_can_not_be_dialled_back_says_so(tmp_path: Path) -> None:
    laptop, kitchen = two(tmp_path)
    async with serving(laptop) as here, serving(kitchen) as there:
        knows(kitchen, laptop)
        peer = knows(laptop, kitchen, there)
        closed = here.port
    async with serving(kitchen) as there:
        asked = await probes.check(laptop, peer, there, closed)
        assert not isinstance(asked, str)
        assert asked[0].dialled == "refused"
        asked = await probes.check(laptop, peer, there, 0)
        assert not isinstance(asked, str)
        assert asked[0].dialled == "", "it is not to be dialled"


async def test_a_clock_that_is_a_year_off_is_seen(tmp_path: Path) -> None:
    laptop, kitchen = two(tmp_path)
    async with serving(kitchen, 365 * DAY_NS) as there:
        knows(kitchen, laptop)
        asked = await probes.check(laptop, knows(laptop, kitchen, there), there, 0)
    assert not isinstance(asked, str)
    assert 364 * 86400 < asked[1] < 366 * 86400


async def test_who_was_forgotten_there_hears_it(tmp_path: Path) -> None:
    laptop, kitchen = two(tmp_path)
    async with serving(kitchen) as there:
        knows(kitchen, laptop)
        peer = knows(laptop, kitchen, there)
        membership.revoke(kitchen, "other")
        assert await probes.check(laptop, peer, there, 0) == "unknown"


async def test_an_older_version_than_before_is_refused(tmp_path: Path) -> None:
    laptop, kitchen = two(tmp_path)
    async with serving(kitchen) as there:
        known = knows(kitchen, laptop)
        kitchen.peers.change(lambda book: with_peer(book, replace(known, version=7)))
        assert await probes.check(laptop, knows(laptop, kitchen, there), there, 0) == "version"


async def test_a_check_goes_also_to_a_device_that_may_do_little(tmp_path: Path) -> None:
    laptop, kitchen = two(tmp_path)
    little = replace(own_device(), capabilities=frozenset({"embed"}))
    async with serving(kitchen) as there:
        knows(kitchen, laptop, grant=little)
        asked = await probes.check(laptop, knows(laptop, kitchen, there, grant=little), there, 0)
    assert not isinstance(asked, str)


async def test_knocking_tells_who_is_there_and_says_nothing(tmp_path: Path) -> None:
    laptop, kitchen = two(tmp_path)
    me, other = laptop.identity.node_id, kitchen.identity.node_id
    stranger = new_identity(tmp_path / "stranger").node_id
    async with serving(kitchen) as there:
        assert await probes.knock(there, other, me) is Dial.REACHED
        assert await probes.knock(there, stranger, me) is Dial.STRANGER
        assert await probes.knock(there, stranger, other) is Dial.OURSELVES
    assert await probes.knock(there, other, me) is Dial.REFUSED


async def test_a_check_from_one_host_makes_this_node_dial_no_other(tmp_path: Path) -> None:
    """The host is that of the connection, never one that the message names: there is no field for it."""
    assert set(Check.model_fields) == {"kind", "port", "time_ns"}
    laptop, kitchen = two(tmp_path)
    peer = knows(kitchen, laptop)
    checkup = CheckUp(kitchen, "boot", heard_s=lambda node: None, listens=lambda: False)
    asked = frames(Hello().pack()) + frames(Check(port=9).pack())
    answered = await checkup.answer(peer, asked, HOST)
    _, packed = FrameReader().feed(answered.value_for(laptop.identity.node_id))
    checked = read(packed, Checked)
    assert (checked.dialled, checked.heard_s, checked.listens) == ("refused", None, False)
