"""A link that is lost, silent, half open or replaced: what is noticed, when, and what goes on."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from models.types import last
from peers import client, link, liveness
from peers.codes import Address
from peers.liveness import Health
from scripts.swarms.proxy import proxy
from tests.peers.scripts import REQUEST, WORDS, until, waiting_for
from tests.peers.swarm import linked_pair, running


async def test_a_device_that_vanishes_is_lost_at_once_and_linked_again_when_it_is_back(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop", dials=True) as laptop:
        async with running(tmp_path, "kitchen") as kitchen:
            kitchen.knows(laptop, addresses=[])
            laptop.knows(kitchen)
            await laptop.until_linked(kitchen)
            boot = laptop.around.neighbours[kitchen.id].boot
        await until(lambda: not laptop.around.neighbours)
        async with running(tmp_path, "kitchen") as kitchen:
            await asyncio.sleep(1.0)
            start = time.monotonic()
            laptop.dialer.sighted(kitchen.id, kitchen.address)
            await laptop.until_linked(kitchen)
            assert time.monotonic() - start < 1.0
            assert laptop.around.neighbours[kitchen.id].boot != boot
            found = laptop.state.peers.book().peers[kitchen.id].addresses
            assert found[0] == str(kitchen.address)


async def test_after_a_wake_a_link_that_answers_is_kept(tmp_path: Path) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        before = laptop.links.get(kitchen.id)
        laptop.dialer.woken()
        await asyncio.sleep(2.5)
        assert laptop.links.get(kitchen.id) is before


class Network:
    """Carries bytes to a node, and holds them while it is down: nothing is refused, nothing is reset."""

    def __init__(self, to: Address) -> None:
        self.up = asyncio.Event()
        self.up.set()
        self._to = to

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.up.wait()
        there, back = await asyncio.open_connection(self._to.host, self._to.port)
        ways = [asyncio.create_task(self._carry(*way)) for way in ((reader, back), (there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.transport.abort()
            back.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self.up.wait()
            writer.write(data)


async def test_a_silent_device_gets_no_new_work_and_is_well_again_when_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow is not dead: the link stays, and what runs over it goes on."""
    monkeypatch.setattr(link, "TICK_S", 0.05)
    monkeypatch.setattr(liveness, "PING_S", 0.2)
    monkeypatch.setattr(liveness, "ANSWER_S", 0.2)
    async with running(tmp_path, "laptop", dials=True) as laptop, running(tmp_path, "kitchen") as kitchen:
        network = Network(kitchen.address)
        async with await asyncio.start_server(network.accept, "127.0.0.1", 0) as proxy:
            kitchen.knows(laptop, addresses=[])
            laptop.knows(kitchen, addresses=[f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}"])
            await laptop.until_linked(kitchen)
            before = laptop.links.get(kitchen.id)
            assert before is not None
            network.up.clear()
            await until(lambda: laptop.around.neighbours[kitchen.id].health is Health.SUSPECT)
            assert laptop.links.get(kitchen.id) is None
            network.up.set()
            await until(lambda: before.health is Health.UP)
            await until(lambda: laptop.links.get(kitchen.id) is not None)
            for one in (laptop, kitchen):
                one.links.close()
            await until(lambda: not laptop.links._open and not kitchen.links._open)


async def test_after_a_wake_a_half_open_link_is_given_up_and_made_anew(tmp_path: Path) -> None:
    """While the device slept its network went away: nobody told either side."""
    async with running(tmp_path, "laptop", dials=True) as laptop, running(tmp_path, "kitchen") as kitchen:
        network = Network(kitchen.address)
        async with await asyncio.start_server(network.accept, "127.0.0.1", 0) as proxy:
            place = Address("127.0.0.1", proxy.sockets[0].getsockname()[1])
            kitchen.knows(laptop, addresses=[])
            laptop.knows(kitchen, addresses=[str(place)])
            await laptop.until_linked(kitchen)
            network.up.clear()
            laptop.dialer.woken()
            assert await until(lambda: laptop.links.get(kitchen.id) is None, limit_s=5.0) < 4.0
            network.up.set()
            assert await until(lambda: laptop.links.get(kitchen.id) is not None, limit_s=6.0) < 5.0
            laptop.links.close()
            kitchen.links.close()
            await until(lambda: not laptop.links._open and not kitchen.links._open)


async def test_a_link_that_is_stuck_does_not_keep_this_device_from_sleeping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is set by who tells of the sleep; what waits then lets go at once."""
    async with linked_pair(tmp_path) as (laptop, kitchen):
        link = kitchen.links.get(laptop.id)
        assert link is not None

        async def stuck(message: object) -> None:
            await asyncio.sleep(60.0)

        monkeypatch.setattr(link, "_say", stuck)
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await kitchen.links.pause()
        assert 0.2 < time.monotonic() - start < 2.0
        assert kitchen.links.station.desk.is_draining


async def test_work_over_a_link_that_is_replaced_goes_on_to_its_end(tmp_path: Path) -> None:
    go = asyncio.Event()
    async with linked_pair(tmp_path) as (laptop, kitchen):
        kitchen.script = waiting_for(go)
        stream = laptop.specialist(kitchen).run(REQUEST)
        await anext(stream)
        old = laptop.links.get(kitchen.id)
        new = await laptop.client.link(
            laptop.links.station, laptop.state.peers.book().peers[kitchen.id], kitchen.address
        )
        await new.greet()
        keeping = asyncio.create_task(laptop.links.keep(new))
        await until(lambda: laptop.links.get(kitchen.id) is new)
        await asyncio.sleep(1.2)
        assert old is not None and old.health is Health.UP
        go.set()
        assert (await last(stream)).output == "one"
        await until(lambda: old.health is Health.DOWN)
        assert laptop.links.get(kitchen.id) is new
        laptop.links.close()
        await keeping


async def test_a_long_request_over_a_slow_way_is_not_taken_for_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SILENCE_S", 0.7)
    monkeypatch.setattr(client, "SLOWEST_BYTES_PER_S", 200_000)
    async with running(tmp_path, "laptop", dials=True) as laptop, running(tmp_path, "kitchen") as kitchen:
        async with proxy(kitchen.server.port) as way:
            kitchen.knows(laptop, addresses=[])
            laptop.knows(kitchen, addresses=[f"127.0.0.1:{way.port}"])
            await laptop.until_linked(kitchen)
            way.turn(bytes_per_s=300_000)
            long = replace(REQUEST, input={"prompt": "x" * 500_000})
            assert laptop.links.get(kitchen.id) is not None
            assert (await last(laptop.specialist(kitchen).run(long))).output == WORDS
            assert way.passed_bytes > 500_000
