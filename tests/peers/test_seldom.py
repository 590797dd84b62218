"""What a device can cause as often as it likes is written down once a minute, with how often it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.types import last
from peers import membership, tombstones
from peers import seldom as seldom_module
from peers.audit import Act, Happening
from peers.book import Book
from peers.chain_entry import signed
from peers.conversions import ledger_head_of, revocation_of
from peers.desk import Desk
from peers.errors import PeerBusy
from peers.grants import guest_device, own_device
from peers.hints import Hints
from peers.identity import Identity
from peers.link_messages import Beat, Revocations
from peers.neighbourhood import Neighbour, Neighbourhood
from peers.node_id import of_key
from peers.peerstore import PeerStore
from peers.seldom import Seldom
from peers.state import NodeState, open_state
from peers.station import NoFacts, Station
from peers.tidings import Tidings
from peers.wire import WireMessage
from tests.peers.nodes import Clock, new_identity, paired_with
from tests.peers.scripts import REQUEST, until
from tests.peers.swarm import Node, count_to_five, pair

KITCHEN, GARAGE = of_key(b"kitchen"), of_key(b"garage")
BUSY = Happening(Act.REFUSED, KITCHEN, "busy", note="It may ask 60 times a minute. Ask again in a moment.")


class CountedStore(PeerStore):
    """Counts how often the book is written."""

    changes = 0

    def change(self, edit: Callable[[Book], Book], *, synced: bool = True) -> Book:
        self.changes += 1
        return super().change(edit, synced=synced)


def opened(home: Path) -> tuple[NodeState, CountedStore]:
    state = open_state(home, machine="")
    store = CountedStore(state.folder)
    return replace(state, peers=store), store


async def told(state: NodeState, by: Identity, messages: list[WireMessage]) -> None:
    """Have a paired device say all of this on one link."""
    desk = Desk(state, lambda request, peer: count_to_five(request))
    station = Station(state, desk, Neighbourhood(), NoFacts(), Hints())
    peer = state.peers.book().peers[by.node_id]
    tidings, neighbour = Tidings(station, peer), Neighbour(by.node_id)
    for second, message in enumerate(messages):
        neighbour = await tidings.hear(message.pack(), neighbour, second / 50)


def test_a_storm_of_refusals_is_one_entry_a_minute_with_its_number(tmp_path: Path) -> None:
    state, clock = open_state(tmp_path, machine=""), Clock()
    seldom = Seldom(state.audit, clock.seconds)
    for _ in range(500):
        seldom.record(BUSY, by=KITCHEN)
    seldom.record(replace(BUSY, peer=GARAGE), by=GARAGE)
    seldom.record(replace(BUSY, scope="not_granted"), by=KITCHEN)
    assert len(state.audit.newest(10)) == 3
    clock.pass_s(61)
    seldom.record(BUSY, by=KITCHEN)
    newest = state.audit.newest(10)
    assert len(newest) == 4
    assert (newest[0].act, newest[0].peer, newest[0].scope) == (Act.REFUSED, KITCHEN, "busy")
    assert newest[0].note.endswith("And 499 times more before.")


def test_a_storm_that_ends_is_written_with_its_number_when_its_minute_is_over(tmp_path: Path) -> None:
    state, clock = open_state(tmp_path, machine=""), Clock()
    seldom = Seldom(state.audit, clock.seconds)
    for _ in range(30_000):
        seldom.record(BUSY, by=KITCHEN)
    clock.pass_s(59)
    assert seldom.overdue() == []
    clock.pass_s(2)
    seldom.write(seldom.overdue())
    assert [one.note for one in state.audit.newest(10)] == [BUSY.note + " And 29998 times more before.", BUSY.note]
    seldom.record(BUSY, by=KITCHEN)
    assert len(state.audit.newest(10)) == 2, "one entry a minute"
    clock.pass_s(61)
    assert [one.note for one in seldom.overdue()] == [BUSY.note]
    clock.pass_s(61)
    assert (seldom.overdue(), seldom._kinds) == ([], {})


def test_what_more_kinds_push_out_is_written_with_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seldom_module, "MAX_KINDS", 2)
    state, clock = open_state(tmp_path, machine=""), Clock()
    seldom = Seldom(state.audit, clock.seconds)
    for scope in ("busy", "busy", "busy", "version", "loop"):
        seldom.record(replace(BUSY, scope=scope), by=KITCHEN)
    newest = [(one.scope, one.note) for one in state.audit.newest(10)]
    assert newest == [
        ("loop", BUSY.note),
        ("busy", BUSY.note + " And 1 times more before."),
        ("version", BUSY.note),
        ("busy", BUSY.note),
    ]


async def test_a_node_writes_the_number_of_refusals_when_their_minute_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        await refuse(laptop, kitchen, times=4)
        assert [note.count("more") for note in refusals(kitchen)] == [0]
        monkeypatch.setattr(seldom_module, "QUIET_S", 0.0)
        await until(lambda: len(refusals(kitchen)) == 2)
        assert refusals(kitchen)[0].endswith("And 2 times more before.")


async def test_a_node_that_stops_writes_the_number_of_refusals_that_it_has_not_written(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        await refuse(laptop, kitchen, times=4)
    assert [note.count("And 2 times more before.") for note in refusals(kitchen)] == [1, 0]


async def refuse(asker: Node, node: Node, *, times: int) -> None:
    node.links.station.desk.is_stopping = True
    for _ in range(times):
        with pytest.raises(PeerBusy):
            await last(asker.specialist(node).run(REQUEST))


def refusals(node: Node) -> list[str]:
    """Return what was written of them, the newest first."""
    return [one.note for one in node.state.audit.newest(10) if one.act is Act.REFUSED]


async def test_a_guest_with_two_ledgers_in_turn_is_one_warning_and_hardly_a_write(tmp_path: Path) -> None:
    state, store = opened(tmp_path / "kitchen")
    guest = new_identity(tmp_path / "guest")
    membership.admit(state, paired_with(guest, "guest"), guest_device(10**19))
    store.changes = 0
    heads = [ledger_head_of(signed("ledger", 7, letter * 64, guest)) for letter in "ab"]
    await told(state, guest, [Beat(head=heads[number % 2]) for number in range(500)])
    warned = [one for one in state.audit.newest(1000) if one.act is Act.WARNED]
    assert (len(warned), store.changes) == (1, 1)


async def test_a_revocation_with_a_rising_number_is_one_warning_and_one_write(tmp_path: Path) -> None:
    state, store = opened(tmp_path / "kitchen")
    phone, garage = new_identity(tmp_path / "phone"), new_identity(tmp_path / "garage")
    membership.admit(state, paired_with(phone, "phone"), own_device())
    membership.admit(state, paired_with(garage, "garage"), own_device())
    store.changes = 0
    stones = [tombstones.sign(phone, garage.node_id, number, now_ns=1) for number in range(100, 600)]
    await told(state, phone, [Revocations(stones=[revocation_of(stone)]) for stone in stones])
    warned = [one for one in state.audit.newest(1000) if one.act is Act.WARNED]
    assert ([one.peer for one in warned], store.changes) == ([garage.node_id], 1)


async def test_a_device_with_admin_that_revokes_without_end_does_not_fill_the_log(tmp_path: Path) -> None:
    """Each device that was paired here and is out now has its entry; what was not paired is counted."""
    state, _ = opened(tmp_path / "kitchen")
    phone = new_identity(tmp_path / "phone")
    others = [new_identity(tmp_path / name) for name in ("garage", "attic")]
    membership.admit(state, paired_with(phone, "phone"), replace(own_device(), admin=True))
    for other in others:
        membership.admit(state, paired_with(other, "other"), own_device())
    subjects = [*(of_key(b"%d" % number) for number in range(50)), *(other.node_id for other in others)]
    stones = [tombstones.sign(phone, subject, 100, now_ns=1) for subject in subjects]
    await told(state, phone, [Revocations(stones=[revocation_of(stone)]) for stone in stones])
    assert list(state.peers.book().peers) == [phone.node_id]
    revoked = [one.peer for one in state.audit.newest(1000) if one.act is Act.REVOKED]
    assert revoked == [others[1].node_id, others[0].node_id, subjects[0]]


def test_what_can_not_be_written_down_is_said_in_the_log_and_harms_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = open_state(tmp_path, machine="")
    state.audit.chain.head_path.unlink()
    Seldom(state.audit).record(BUSY, by=KITCHEN)
    assert "is not as it was written" in caplog.text
