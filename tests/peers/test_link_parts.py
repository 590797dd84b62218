"""The parts of a link one by one: what takes over, where to look, what is told when, what is bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from models.types import Label
from peers.arrivals import MAX_BODY_BYTES
from peers.codes import Address
from peers.errors import PeerLost
from peers.hints import MAX_PLACES, Hints
from peers.inbox import Inbox
from peers.link import Link
from peers.links import takes_over
from peers.liveness import Health
from peers.neighbourhood import Neighbour
from peers.node_id import NodeId
from peers.outflow import MAX_AGE_S, MAX_BYTES, Outflow
from peers.race import first_of
from peers.release import Releaser
from peers.sleeps import Sleeps
from peers.state import open_state
from peers.tidings import is_at_home
from tests.peers.nodes import Clock, recipient

LOW, HIGH = NodeId("A" * 52), NodeId("B" * 51 + "Q")
PLACE = Address("192.168.1.20", 4489)


@dataclass
class Stub:
    """As much of a link as `takes_over` looks at."""

    dialled: bool
    began_s: float = 0.0
    node: NodeId = HIGH
    boot: str = "b"
    health: Health = Health.UP
    neighbour: Neighbour = field(init=False)

    def __post_init__(self) -> None:
        self.neighbour = Neighbour(self.node, boot=self.boot)


@pytest.mark.parametrize(
    ("new", "old", "me", "expected"),
    [
        (Stub(True, 1.0), Stub(True), LOW, True),  # dialled again by the same side
        (Stub(False, 6.0), Stub(True), LOW, True),  # the other side dials, so it has lost the old one
        (Stub(False, 1.0), Stub(True), LOW, False),  # both at once: the lower id's dial is kept, which is ours
        (Stub(True, 1.0), Stub(False), LOW, True),
        (Stub(True, 1.0, node=LOW), Stub(False, node=LOW), HIGH, False),
        (Stub(False, 1.0, node=LOW), Stub(True, node=LOW), HIGH, True),
        (Stub(False, 1.0, boot="c"), Stub(True), LOW, True),  # it was started anew
        (Stub(False, 1.0), Stub(True, health=Health.SUSPECT), LOW, True),
    ],
)
def test_the_newest_link_is_kept_unless_both_dialled_at_once(new: Stub, old: Stub, me: NodeId, expected: bool) -> None:
    assert takes_over(cast(Link, new), cast(Link, old), me) is expected


async def test_a_sighting_ends_the_wait_and_a_known_hint_does_not() -> None:
    hints = Hints()
    told = partial(hints.told, by=HIGH)
    for tell, expected in (
        (told, True),
        (told, False),
        (hints.sighted, True),
        (hints.sighted, True),
    ):
        waiting = asyncio.create_task(hints.called(LOW, 0.05))
        await asyncio.sleep(0)
        tell(LOW, PLACE)
        assert await waiting is expected
    waiting = asyncio.create_task(hints.called(LOW, 5.0))
    await asyncio.sleep(0)
    hints.wake()
    assert await waiting


def test_hints_are_bounded_newest_first_and_what_was_told_comes_before_what_was_seen() -> None:
    hints = Hints()
    for port in range(1, 100):
        hints.told(LOW, Address("10.0.0.1", port), by=HIGH)
        hints.sighted(LOW, Address("10.0.0.2", port))
    places = hints.places(LOW)
    assert len(places) == 2 * MAX_PLACES
    assert places[0] == Address("10.0.0.1", 99)
    assert places[MAX_PLACES] == Address("10.0.0.2", 99)
    hints.forget(LOW)
    assert hints.places(LOW) == ()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.168.1.2", True),
        ("127.0.0.1", True),
        ("fe80::1%eth0", True),
        ("fd00::1", True),
        ("100.64.0.1", True),
        ("8.8.8.8", False),
        ("2001:4860:4860::8888", False),
        ("224.0.0.251", False),
        ("0.0.0.0", False),
        ("example.org", False),
    ],
)
def test_nobody_makes_this_device_dial_out_of_the_house(host: str, expected: bool) -> None:
    assert is_at_home(Address(host, 4489)) is expected


def arriving(value: str | None, after_s: float, begun: list[str | None]) -> Callable[[], Awaitable[str | None]]:
    async def attempt() -> str | None:
        begun.append(value)
        await asyncio.sleep(after_s)
        return value

    return attempt


async def test_the_next_way_is_tried_beside_a_slow_one_and_at_once_after_a_failed_one() -> None:
    begun: list[str | None] = []
    discarded: list[str] = []

    async def discard(value: str) -> None:
        discarded.append(value)

    ways = [arriving(None, 0.0, begun), arriving("slow", 10.0, begun), arriving("fast", 0.0, begun)]
    start = time.monotonic()
    assert await first_of(ways, 0.05, discard=discard) == "fast"  # type: ignore[arg-type]
    assert time.monotonic() - start < 1.0
    assert begun == [None, "slow", "fast"]
    assert discarded == []
    assert await first_of([arriving(None, 0.0, begun)], 0.05, discard=discard) is None  # type: ignore[list-item]
    assert await first_of([], 0.05, discard=discard) is None


async def test_a_way_that_turns_up_meanwhile_is_tried_at_once_and_takes_turns_with_those_that_wait() -> None:
    begun: list[str | None] = []
    found: asyncio.Queue[list[Callable[[], Awaitable[str | None]]]] = asyncio.Queue()

    async def discard(value: str) -> None:
        raise AssertionError(value)

    ways = [arriving(name, 10.0, begun) for name in ("a", "b", "c")]
    racing = asyncio.create_task(first_of(ways, 0.05, discard=discard, more=found.get))  # type: ignore[arg-type]
    await asyncio.sleep(0.02)
    found.put_nowait([arriving("x", 10.0, begun), arriving("y", 0.0, begun)])
    assert await racing == "y"
    assert begun == ["a", "x", "b", "y"]


async def test_the_slower_of_two_successes_is_discarded() -> None:
    discarded: list[str] = []

    async def discard(value: str) -> None:
        discarded.append(value)

    ways = [arriving("one", 0.02, []), arriving("two", 0.0, [])]
    assert await first_of(ways, 0.02, discard=discard) in {"one", "two"}  # type: ignore[arg-type]
    assert len(discarded) <= 1


@pytest.mark.parametrize(
    ("awake_s", "always_s", "expected"),
    [(0.5, 0.5, False), (0.5, 0.9, False), (0.5, 30.0, True), (11.0, 11.0, True), (3.0, 3.0, False)],
)
def test_a_sleep_is_noticed_by_the_clock_that_stood(awake_s: float, always_s: float, expected: bool) -> None:
    awake, always = Clock(10**9), Clock(10**12)
    sleeps = Sleeps(awake.seconds, always.seconds)
    awake.pass_s(awake_s)
    always.pass_s(always_s)
    assert sleeps.noticed() is expected
    assert sleeps.noticed() is False


async def test_an_inbox_gives_what_came_then_the_end_or_the_error() -> None:
    inbox = Inbox()
    inbox.put(b"a", ended=False)
    inbox.put(b"b", ended=True)
    inbox.fail(PeerLost("too late to matter"))
    assert [await inbox.get(), await inbox.get(), await inbox.get()] == [b"a", b"b", None]
    broken = Inbox()
    broken.put(b"a", ended=False)
    broken.fail(PeerLost("gone"))
    assert await broken.get() == b"a"
    with pytest.raises(PeerLost, match="gone"):
        await broken.get()


async def test_an_inbox_that_nobody_empties_is_bounded() -> None:
    inbox = Inbox()
    for _ in range(MAX_BODY_BYTES // 2**20 + 2):
        inbox.put(bytes(2**20), ended=False)
    with pytest.raises(PeerLost, match="More came"):
        await inbox.get()


async def test_what_is_said_on_a_link_is_in_the_ledger_in_parts_that_stay_small(tmp_path: Path) -> None:
    state, clock = open_state(tmp_path, machine=""), Clock()
    outflow = Outflow(Releaser(state.ledger), recipient(), Label.PUBLIC, clock=clock.seconds)
    half = bytes(MAX_BYTES // 2)
    for _ in range(3):
        await outflow.piece(half)
    clock.pass_s(MAX_AGE_S + 1)
    await outflow.piece(b"the next day")
    await outflow.close()
    await outflow.close()
    sizes = [entry.size_bytes for entry in reversed(state.ledger.entries()) if entry.act == "release"]
    assert sizes == [MAX_BYTES, MAX_BYTES // 2, len(b"the next day")]
    assert {entry.capability for entry in state.ledger.entries()} == {"peer.link"}
    assert state.ledger.verify().ok


async def test_a_secret_recipient_rule_holds_for_links_too(tmp_path: Path) -> None:
    state = open_state(tmp_path, machine="")
    outflow = Outflow(Releaser(state.ledger), replace(recipient(), ceiling=Label.PUBLIC), Label.PERSONAL)
    with pytest.raises(Exception, match="may see public at most"):
        await outflow.piece(b"x")
    assert state.ledger.entries() == []
