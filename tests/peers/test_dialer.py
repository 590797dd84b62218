"""When a device that has no link is dialled again, and where it is looked for first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from peers import membership
from peers.client import addresses_of
from peers.codes import Address
from peers.dialer import LATELY_S, Dialer
from peers.errors import UnknownPeer
from peers.liveness import LONGEST_WAIT_S, RETURN_WAIT_S, wait_s
from peers.sleeps import Sleeps
from tests.peers.nodes import Clock
from tests.peers.scripts import until
from tests.peers.swarm import running

NOWHERE = Address("127.0.0.1", 9)
"""Nothing listens there."""


async def test_a_lost_device_is_back_within_five_seconds_of_the_network_however_long_that_was_gone(
    tmp_path: Path,
) -> None:
    """Nothing tells this device that the network was gone: only how often it dials brings the link back."""
    clock, asked = Clock(), list[tuple[int, float]]()

    def waits(failures: int, longest_s: float) -> float:
        asked.append((failures, longest_s))
        return 0.01

    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        laptop.knows(kitchen, addresses=[str(NOWHERE)])
        dialling = asyncio.create_task(Dialer(laptop.links, laptop.client, clock=clock.seconds, wait_s=waits).run())
        try:
            await until(lambda: len(asked) > 20)
            assert {longest_s for _, longest_s in asked} == {RETURN_WAIT_S}
            clock.pass_s(LATELY_S)
            asked.clear()
            await until(lambda: len(asked) > 1)
            assert asked[-1][1] == LONGEST_WAIT_S
        finally:
            dialling.cancel()
            await asyncio.wait({dialling})


async def test_a_wake_that_only_the_clocks_tell_of_ends_the_refusing_of_work_before_the_sleep(tmp_path: Path) -> None:
    always = Clock()
    async with running(tmp_path, "kitchen") as kitchen:
        sleeps = Sleeps(lambda: 0.0, always.seconds)
        dialling = asyncio.create_task(Dialer(kitchen.links, kitchen.client, sleeps=sleeps).run())
        try:
            await kitchen.links.pause()
            assert kitchen.links.station.desk.is_draining
            always.pass_s(3600)
            await until(lambda: not kitchen.links.station.desk.is_draining)
        finally:
            dialling.cancel()
            await asyncio.wait({dialling})


def test_dialling_and_the_wait_before_it_fit_into_five_seconds() -> None:
    """A round lasts three seconds, of which the last two are too late for what comes back in them."""
    assert max(wait_s(failures, RETURN_WAIT_S, chance=lambda: 1.0) for failures in range(1, 100)) + 2.0 < 5.0


async def test_an_address_that_the_owner_says_is_dialled_at_once_and_outlives_what_is_learned(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop", dials=True) as laptop, running(tmp_path, "kitchen", dials=True) as kitchen:
        kitchen.knows(laptop, addresses=[])
        peer = laptop.knows(kitchen, addresses=[f"127.0.0.1:{port}" for port in range(2, 10)])
        await asyncio.sleep(3.0)
        assert laptop.links.get(kitchen.id) is None
        said = membership.set_places(laptop.state, kitchen.name, [kitchen.address])
        assert addresses_of(said) == [addresses_of(peer)[0], kitchen.address, *addresses_of(peer)[1:]]
        await laptop.until_linked(kitchen, limit_s=2.0)
        await until(lambda: laptop.state.peers.book().peers[kitchen.id].addresses[0] == str(kitchen.address))
        assert len(addresses_of(laptop.state.peers.book().peers[kitchen.id])) == 8
        membership.set_places(laptop.state, kitchen.name, [])
        with pytest.raises(UnknownPeer):
            membership.set_places(laptop.state, "garage", [kitchen.address])


async def test_a_device_that_is_seen_while_an_old_address_of_it_is_silent_is_linked_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop", dials=True) as laptop, running(tmp_path, "kitchen") as kitchen:
        async with silent() as (nobody, tries):
            kitchen.knows(laptop, addresses=[])
            laptop.knows(kitchen, addresses=[str(nobody)])
            await until(lambda: tries)
            laptop.dialer.sighted(kitchen.id, kitchen.address)
            await laptop.until_linked(kitchen, limit_s=1.0)


async def test_who_announces_a_device_at_a_silent_place_without_end_is_dialled_once_a_second(tmp_path: Path) -> None:
    """And the place where the device really is gets its turn."""
    async with running(tmp_path, "laptop", dials=True) as laptop, running(tmp_path, "kitchen") as kitchen:
        async with silent() as (nobody, tries):
            kitchen.knows(laptop, addresses=[])
            laptop.knows(kitchen, addresses=[str(nobody)])
            await until(lambda: tries)

            async def forge() -> None:
                while True:
                    laptop.dialer.sighted(kitchen.id, nobody)
                    await asyncio.sleep(0.01)

            forging = asyncio.create_task(forge())
            await asyncio.sleep(2.5)
            assert len(tries) < 10
            laptop.dialer.sighted(kitchen.id, kitchen.address)
            await laptop.until_linked(kitchen, limit_s=3.0)
            forging.cancel()
            await asyncio.wait({forging})


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[Address, list[asyncio.StreamWriter]]]:
    """An address where somebody takes connections and says nothing, and those that were made."""
    tries: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(writer)
        with contextlib.suppress(OSError):
            await reader.read(-1)
        writer.transport.abort()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1]), tries
