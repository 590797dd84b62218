"""Discovery over a network without sockets: who is found, what strangers can and can't do, and when nothing is said."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from peers import discovery, membership, offer
from peers.codes import Address, new_pin
from peers.discovery import MAX_STRANGERS, Discovery
from peers.grants import own_device
from peers.interfaces import Interface
from peers.mdns import SERVICE, WINDOW, Plate
from peers.nameplate import DAY_NS, day_of, name_on
from peers.networks import Networks
from peers.node_id import NodeId
from peers.offer import Offer
from peers.peerstore import PeerStore
from peers.sightings import REPEAT_S
from peers.sleeps import Sleeps
from peers.state import NodeState, open_state
from peers.windows import FIND_S
from peers.windows import found as windows_found
from tests.peers.fake_multicast import Air
from tests.peers.nodes import START_NS, Clock, paired_with

SOON_S = 2.0


def lan(address: str, name: str = "lan0") -> Interface:
    return Interface(name, (address,), (ipaddress.ip_network(f"{address}/24", strict=False),))


@dataclass
class Station:
    """One node's discovery and what came of it."""

    state: NodeState
    discovery: Discovery
    around: list[Interface]
    clock: Clock
    slept: list[float]
    """Seconds that the device has slept in all."""
    sighted: list[tuple[NodeId, Address]] = field(default_factory=list)
    doubled: list[Address] = field(default_factory=list)

    @property
    def node(self) -> NodeId:
        return self.state.identity.node_id

    def knows(self, other: Station) -> None:
        membership.admit(self.state, paired_with(other.state.identity, "other"), own_device())


@asynccontextmanager
async def station(home: Path, air: Air, address: str, *, at_home: bool = True) -> AsyncIterator[Station]:
    """A node that is on the air as long as the block lasts."""
    made = open_state(home, machine="")
    clock = Clock()
    state = NodeState(
        made.folder, made.identity, made.ledger, made.audit, PeerStore(made.folder, clock_ns=clock), made.notice
    )
    around = [lan(address)]
    if at_home:
        Networks(state.folder).say(around, "home")
    slept = [0.0]
    found: list[tuple[NodeId, Address]] = []
    doubled: list[Address] = []
    running = Discovery(
        state,
        port=4489,
        boot=f"boot-{address}",
        sighted=lambda node, at: found.append((node, at)),
        doubled=doubled.append,
        opening=air.opening,
        look=lambda: tuple(around),
        clock_ns=clock,
        sleeps=Sleeps(lambda: 0.0, lambda: slept[0]),
    )
    task = asyncio.create_task(running.run())
    try:
        yield Station(state, running, around, clock, slept, found, doubled)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON_S):
        while not true():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "TICK_S", 0.02)
    monkeypatch.setattr(discovery, "INTERFACES_S", 0.02)
    monkeypatch.setattr(discovery, "RETRY_S", 0.02)


async def test_paired_devices_find_each_other(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a, station(tmp_path / "b", air, "10.0.0.2") as b:
        a.knows(b)
        b.knows(a)
        await until(lambda: a.sighted and b.sighted)
        assert a.sighted[0] == (b.node, Address("10.0.0.2", 4489))
        assert b.sighted[0] == (a.node, Address("10.0.0.1", 4489))
        heard_s = a.discovery.heard_s(b.node)
        assert heard_s is not None and heard_s < SOON_S


async def test_a_stranger_is_not_told_and_not_looked_at(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a, station(tmp_path / "b", air, "10.0.0.2"):
        await until(lambda: len(air.plates) == 2)
        await asyncio.sleep(0.1)
        assert a.sighted == []
        assert name_on(a.node, 0) not in air.looks


async def test_what_is_announced_names_nobody(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a:
        await until(lambda: air.plates)
        (plate,) = air.plates
        assert plate == Plate(SERVICE, name_on(a.node, day_of(START_NS)), ("10.0.0.1",), 4489, "boot-10.0.0.1")


async def test_on_a_network_that_is_not_home_nothing_is_said_or_heard(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1", at_home=False) as a:
        await until(lambda: a.discovery.surroundings.unknown)
        await asyncio.sleep(0.1)
        assert air.opened == []
        Networks(a.state.folder).say(a.around, "home")
        await until(lambda: air.plates)
        Networks(a.state.folder).say(a.around, "away")
        await until(lambda: not air.plates)
        assert air.listening == 0


async def test_another_address_is_announced_and_a_lost_interface_ends_it(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a:
        await until(lambda: air.plates)
        a.around[:] = [lan("10.0.0.77")]
        await until(lambda: air.plates and air.plates[0].hosts == ("10.0.0.77",))
        a.around[:] = []
        await until(lambda: not air.plates)
        a.around[:] = [lan("10.0.0.1")]
        await until(lambda: air.plates)
        assert air.opened == [("10.0.0.1",), ("10.0.0.77",), ("10.0.0.1",)]


async def test_after_a_sleep_all_is_announced_and_asked_anew(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a:
        await until(lambda: air.plates)
        a.slept[0] = 3600.0
        await until(lambda: len(air.opened) == 2 and air.plates)
        assert air.opened[0] == air.opened[1]


async def test_at_midnight_the_name_changes_and_is_still_known(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a, station(tmp_path / "b", air, "10.0.0.2") as b:
        a.knows(b)
        await until(lambda: a.sighted)
        b.clock.pass_s(DAY_NS / 1e9)
        tomorrow = name_on(b.node, day_of(START_NS) + 1)
        await until(lambda: tomorrow in {plate.name for plate in air.plates})
        assert name_on(b.node, day_of(START_NS)) not in {plate.name for plate in air.plates}
        await until(lambda: tomorrow in air.looks)


async def test_a_device_that_was_there_before_it_was_paired_is_found(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a, station(tmp_path / "b", air, "10.0.0.2") as b:
        await until(lambda: len(air.plates) == 2)
        await asyncio.sleep(0.1)
        a.knows(b)
        await until(lambda: a.sighted)


async def test_a_flood_of_names_costs_a_table_and_hides_nobody(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a, station(tmp_path / "b", air, "10.0.0.2") as b:
        a.knows(b)
        await until(lambda: a.sighted)
        looked = len(air.looks)
        for number in range(20 * MAX_STRANGERS):
            air.say(Plate(SERVICE, f"{number:08x}", ("10.0.0.66",), 1, "x"))
        await asyncio.sleep(0.1)
        assert len(air.looks) == looked
        assert len(a.discovery._strangers) == MAX_STRANGERS
        a.sighted.clear()
        await asyncio.sleep(1.0)
        air.say(Plate(SERVICE, name_on(b.node, day_of(START_NS)), ("10.0.0.9",), 4500, "new"))
        await until(lambda: (b.node, Address("10.0.0.9", 4500)) in a.sighted)


async def test_forged_records_of_a_paired_device_are_looked_at_once_a_second(tmp_path: Path) -> None:
    """The forger has read the name of today from the network. It costs a few dials; who answers must prove the key."""
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a, station(tmp_path / "b", air, "10.0.0.2") as b:
        a.knows(b)
        await until(lambda: a.sighted)
        looked, name, began_s = len(air.looks), name_on(b.node, day_of(START_NS)), time.monotonic()
        for number in range(2000):
            air.say(Plate(SERVICE, name, (f"10.0.0.{number % 200}", "8.8.8.8"), 4489, "forged"))
            if number % 100 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert len(air.looks) - looked <= 2 + (time.monotonic() - began_s) // REPEAT_S
        assert not any(at.host == "8.8.8.8" for _, at in a.sighted)


async def test_an_announcement_that_got_lost_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "REFRESH_S", 0.1)
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a:
        await until(lambda: air.plates)
        air.lossy = True
        async with station(tmp_path / "b", air, "10.0.0.2") as b:
            a.knows(b)
            await until(lambda: len(air.plates) == 2)
            await asyncio.sleep(0.2)
            assert a.sighted == []
            air.lossy = False
            await until(lambda: a.sighted)


async def test_a_clock_that_is_a_year_off_costs_the_name_and_no_more(tmp_path: Path) -> None:
    """Its name is of another day, so it is not seen; the addresses that pairing gave are dialled all the same."""
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a, station(tmp_path / "b", air, "10.0.0.2") as b:
        b.clock.pass_s(365 * DAY_NS / 1e9)
        a.knows(b)
        b.knows(a)
        await until(lambda: name_on(b.node, day_of(START_NS) + 365) in {plate.name for plate in air.plates})
        await asyncio.sleep(0.2)
        assert b.sighted == []
        assert a.state.peers.book().peers[b.node].addresses
        b.clock.now_ns = START_NS
        await until(lambda: a.sighted and b.sighted)
        assert b.state.peers.now_ns() > START_NS, "for guests the latest time that was seen holds"


async def test_a_copy_of_this_node_on_the_network_is_noticed(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a:
        await until(lambda: air.plates)
        await asyncio.sleep(1.1)
        air.say(Plate(SERVICE, name_on(a.node, day_of(START_NS)), ("10.0.0.66",), 4489, "its own boot"))
        await until(lambda: a.doubled)
        assert a.doubled[0] == Address("10.0.0.66", 4489)
        assert a.sighted == []


async def test_a_network_that_can_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    air = Air()
    air.broken = True
    async with station(tmp_path / "a", air, "10.0.0.1"):
        await asyncio.sleep(0.1)
        air.broken = False
        await until(lambda: air.plates)


async def test_a_list_of_devices_that_is_damaged_ends_discovery_only_until_it_is_mended(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a, station(tmp_path / "b", air, "10.0.0.2") as b:
        await until(lambda: len(air.plates) == 2)
        a.state.peers.path.write_text("[")
        await until(lambda: len(air.plates) == 1)
        a.state.peers.path.unlink()
        a.knows(b)
        await until(lambda: a.sighted)


async def test_a_pairing_window_is_announced_under_the_name_that_its_owner_chose(tmp_path: Path) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a:
        await until(lambda: air.plates)
        codes = (new_pin(),)
        offer.write(a.state.folder, Offer(codes, own_device(), START_NS, "Annas-MacBook", sign="kitchen"))
        await until(lambda: len(air.plates) == 2)
        here = discovery.ground([lan("10.0.0.9")])
        (window,) = await windows_found(here, air.opening)
        assert window.name.startswith("kitchen ")
        assert window.addresses == (Address("10.0.0.1", 4489),)
        assert "MacBook" not in repr(air.plates)
        assert codes[0].digits.reveal() not in repr(air.plates)
        offer.close(a.state.folder)
        await until(lambda: [plate.service for plate in air.plates] == [SERVICE])


async def test_a_window_that_pairing_closed_is_taken_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    air = Air()
    async with station(tmp_path / "a", air, "10.0.0.1") as a:
        offer.write(a.state.folder, Offer((new_pin(),), own_device(), START_NS, "", sign="kitchen"))
        await until(lambda: len(air.plates) == 2)
        monkeypatch.setattr(discovery, "TICK_S", 60.0)
        await asyncio.sleep(0.1)
        offer.close(a.state.folder)
        a.discovery.window_closed()
        await until(lambda: [plate.service for plate in air.plates] == [SERVICE])


async def test_without_a_window_the_search_ends_and_nothing_is_found() -> None:
    async with asyncio.timeout(3 * FIND_S):
        assert await windows_found(discovery.ground([lan("10.0.0.9")]), Air().opening) == []


async def test_all_windows_that_are_open_are_listed_but_no_flood_of_them(tmp_path: Path) -> None:
    air = Air()
    for number in range(500):
        air.say(Plate(WINDOW, f"w{number}", (f"10.0.0.{number % 250 + 1}",), 4489, "x"))
    found = await windows_found(discovery.ground([lan("10.0.0.9")]), air.opening)
    assert [one.name for one in found[:2]] == ["w0", "w1"]
    assert len(air.looks) == 8
