"""Links between real nodes on loopback: made, told over, worked over, and cut."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import InputError
from models.types import Chunk, Result, last
from peers import membership
from peers.audit import Act
from peers.channels import Flag, piece
from peers.errors import LinkError, PeerBusy, PeerLost, VersionMismatch
from peers.grants import Limits, guest_device, own_device
from peers.link_messages import Beat, HubCard, SkillCard
from peers.liveness import Health
from tests.peers.scripts import REQUEST, WORDS, ending_in, slowly, until, waiting_for
from tests.peers.swarm import Node, count_to_five, linked_pair, pair, running
from tests.socket_guard import ForbiddenSend, SocketGuard


class Kitchen:
    """Says of itself what a test wants it to say."""

    def __init__(self) -> None:
        self.how = Beat(running=1, free_bytes=2**30)
        self.skills = [SkillCard(capability="generate", model="smollm2-135m", decode_tps=40.0)]
        self.lends: list[HubCard] = []

    def beat(self) -> Beat:
        return self.how

    def cards(self) -> Sequence[SkillCard]:
        return self.skills

    def hubs(self) -> Sequence[HubCard]:
        return self.lends

    def addresses(self) -> Sequence[str]:
        return ("127.0.0.1:4489",)


async def test_a_paired_device_is_linked_and_says_how_it_is_and_what_it_can(tmp_path: Path) -> None:
    facts = Kitchen()
    async with linked_pair(tmp_path, facts=facts) as (laptop, kitchen):
        seen = laptop.around.neighbours[kitchen.id]
        assert (seen.health, seen.cards) == (Health.UP, tuple(facts.skills))
        assert seen.beat is not None
        assert (seen.beat.running, seen.beat.free_bytes) == (1, 2**30)
        assert list(kitchen.around.neighbours) == [laptop.id]
        facts.how = Beat(running=0)
        await until(lambda: (now := laptop.around.neighbours[kitchen.id].beat) is not None and now.running == 0)


async def test_a_device_with_many_short_tasks_keeps_its_link_and_what_it_says_last_is_how_it_is(tmp_path: Path) -> None:
    """Each begin and end is told at once, and the other side takes 500 words in ten seconds."""
    facts = Kitchen()
    async with linked_pair(tmp_path, facts=facts) as (laptop, kitchen):
        link = kitchen.links.get(laptop.id)
        for number in range(700):
            facts.how = Beat(running=number % 2)
            kitchen.links.poke()
            await asyncio.sleep(0.003)
        facts.how = Beat(running=7)
        kitchen.links.poke()
        await until(lambda: (laptop.around.neighbours[kitchen.id].beat or Beat()).running == 7)
        assert kitchen.links.get(laptop.id) is link


async def test_one_link_is_kept_when_both_dial_at_once(tmp_path: Path) -> None:
    async with (
        running(tmp_path, "laptop", dials=True) as laptop,
        running(tmp_path, "kitchen", dials=True) as kitchen,
    ):
        laptop.knows(kitchen)
        kitchen.knows(laptop)
        await laptop.until_linked(kitchen)
        await asyncio.sleep(1.5)
        (mine,), (theirs,) = laptop.links._open.values(), kitchen.links._open.values()
        assert mine.dialled != theirs.dialled
        assert (mine.health, theirs.health) == (Health.UP, Health.UP)


async def test_work_goes_over_the_link_to_a_device_that_can_not_be_dialled(tmp_path: Path) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        assert kitchen.state.peers.book().peers[laptop.id].addresses == ()
        pieces = [piece async for piece in kitchen.specialist(laptop).run(REQUEST)]
        assert "".join(piece.text for piece in pieces[:-1]) == WORDS
        assert isinstance(pieces[-1], Result)
        (asked,) = laptop.asked
        assert asked.hops == (kitchen.id,)
        assert laptop.state.audit.newest(1)[0].act is Act.TASK_IN


async def test_what_goes_over_a_link_is_in_a_ledger_and_under_a_live_release(
    tmp_path: Path, socket_guard: SocketGuard
) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        await last(kitchen.specialist(laptop).run(REQUEST))
        assert socket_guard.take() == []
        sent, *_ = kitchen.state.ledger.entries()
        assert b"do not tell anybody" in (kitchen.state.ledger.bytes_of(sent) or b"")
        answered = laptop.state.ledger.entries()[0]
        assert answered.size_bytes > len(WORDS) and laptop.state.ledger.bytes_of(answered) is None
    told = [entry for entry in kitchen.state.ledger.entries() if entry.capability == "peer.link"]
    assert {entry.act for entry in told} == {"opened", "release"}
    assert laptop.state.ledger.verify().ok


@pytest.mark.parametrize("by_the_one_that_dialled", [True, False])
async def test_words_of_a_task_that_go_over_an_open_link_without_a_release_are_seen(
    tmp_path: Path, socket_guard: SocketGuard, by_the_one_that_dialled: bool
) -> None:
    """The test above can fail."""
    async with linked_pair(tmp_path) as (laptop, kitchen):
        (link,) = (one for one in laptop.links._open.values() if one.dialled)
        if not by_the_one_that_dialled:
            (link,) = kitchen.links._open.values()
        with pytest.raises(ForbiddenSend):
            await link._send(piece(0, b"Count, but do not tell anybody."))
        await link._send(piece(999, flags=Flag.RESET))
        assert socket_guard.take() == ["write b'do not tell anybody'"]


async def test_a_long_request_and_a_ping_share_a_link(tmp_path: Path) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        long = replace(REQUEST, input={"prompt": "x" * 3_000_000})
        assert (await last(kitchen.specialist(laptop).run(long))).output == WORDS
        assert len(str(laptop.asked[0].input["prompt"])) == 3_000_000


async def test_an_asker_who_leaves_ends_the_work_over_the_link(tmp_path: Path) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        laptop.script = slowly
        stream = kitchen.specialist(laptop).run(REQUEST)
        assert isinstance(await anext(stream), Chunk)
        await stream.aclose()
        assert await until(lambda: laptop.ended == ["closed"]) < 1.0
        laptop.script = count_to_five
        assert (await last(kitchen.specialist(laptop).run(replace(REQUEST, seed=2)))) is not None


@pytest.mark.parametrize("dialled_side_asks", [True, False])
async def test_a_revocation_cuts_the_link_and_what_runs_over_it_within_a_second(
    tmp_path: Path, dialled_side_asks: bool
) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        asks, works = (kitchen, laptop) if dialled_side_asks else (laptop, kitchen)
        works.script = slowly
        stream = asks.specialist(works).run(REQUEST)
        await anext(stream)
        start = time.monotonic()
        membership.revoke(works.state, asks.name)
        with pytest.raises(PeerLost):
            await anext(stream)
        await until(lambda: not asks.around.neighbours and not works.around.neighbours)
        assert time.monotonic() - start < 1.0
        assert works.ended == ["closed"]
        await asyncio.sleep(0.6)
        assert works.links.get(asks.id) is None


async def test_when_a_guests_time_is_over_the_link_and_what_runs_over_it_end(tmp_path: Path) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        kitchen.script = slowly
        stream = laptop.specialist(kitchen).run(REQUEST)
        await anext(stream)
        kitchen.knows(laptop, replace(own_device(), expires_ns=kitchen.state.peers.now_ns() + 300_000_000))
        async with asyncio.timeout(1.5):
            with pytest.raises(PeerLost):
                await anext(stream)
        await until(lambda: not laptop.links._open and not kitchen.links._open)
        await asyncio.sleep(1.0)
        assert not kitchen.links._open, "it dials, and is not let in"


async def test_what_was_not_granted_is_refused_over_the_link_with_its_reason(tmp_path: Path) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        laptop.knows(kitchen, guest_device(None), addresses=[str(kitchen.address)])
        with pytest.raises(LinkError, match=r"laptop: .*personal"):
            await last(kitchen.specialist(laptop).run(REQUEST))
        laptop.knows(kitchen, replace(own_device(), limits=Limits(tasks_per_minute=1)))
        with pytest.raises(PeerBusy, match="1 times a minute"):
            for _ in range(3):
                await last(kitchen.specialist(laptop).run(REQUEST))


async def test_errors_over_the_link_are_of_the_same_kind_here(tmp_path: Path) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        laptop.script = ending_in(InputError("The field 'prompt' is empty. Say something."))
        with pytest.raises(InputError, match="laptop: "):
            await last(kitchen.specialist(laptop).run(REQUEST))


async def test_the_same_key_joins_the_work_whichever_way_it_comes(tmp_path: Path) -> None:
    keyed, go = replace(REQUEST, idempotency_key="once"), asyncio.Event()
    async with linked_pair(tmp_path) as (laptop, kitchen):
        kitchen.script = waiting_for(go)
        over_link = laptop.specialist(kitchen).run(keyed)
        assert await anext(over_link) == Chunk(0, "one", (100,))
        laptop.links.close()
        with pytest.raises(PeerLost):
            await anext(over_link)
        go.set()
        assert (await last(laptop.specialist(kitchen).run(keyed))).output == "one"


async def test_behind_an_impostor_and_dead_places_the_right_device_is_linked(tmp_path: Path) -> None:
    async with (
        running(tmp_path, "laptop", dials=True) as laptop,
        running(tmp_path, "kitchen") as kitchen,
        running(tmp_path, "mallory") as mallory,
    ):
        mallory.knows(laptop)
        kitchen.knows(laptop)
        places = [str(mallory.address), "127.0.0.1:1", "not an address", f"{'x' * 70}..:1", str(kitchen.address)]
        laptop.knows(kitchen, addresses=places)
        await laptop.until_linked(kitchen, limit_s=5.0)
        assert mallory.links.get(laptop.id) is None


async def test_a_device_with_several_addresses_gets_one_link(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop", dials=True) as laptop, running(tmp_path, "kitchen") as kitchen:
        port = kitchen.server.port
        kitchen.knows(laptop, addresses=[])
        laptop.knows(kitchen, addresses=[f"127.0.0.1:{port}", f"127.0.0.2:{port}", f"localhost:{port}"])
        await laptop.until_linked(kitchen)
        await asyncio.sleep(1.0)
        (only,) = laptop.links._open.values()
        assert (only.health, len(kitchen.links._all())) == (Health.UP, 1)
        opened = [one for one in laptop.state.ledger.entries() if one.capability == "peer.link"]
        assert len(opened) == 1


async def test_a_guest_is_told_nothing_of_other_devices_and_only_the_skills_it_may_use(tmp_path: Path) -> None:
    facts = Kitchen()
    facts.skills = [SkillCard(capability="generate"), SkillCard(capability="extract", success=0.9)]
    async with (
        running(tmp_path, "guest", dials=True) as guest,
        running(tmp_path, "kitchen", facts=facts) as kitchen,
        running(tmp_path, "garage") as garage,
    ):
        kitchen.knows(garage)
        kitchen.knows(guest, replace(guest_device(None), capabilities=frozenset({"extract"})), addresses=[])
        guest.knows(garage, addresses=[])
        guest.knows(kitchen)
        await guest.until_linked(kitchen)
        assert guest.around.neighbours[kitchen.id].cards == (SkillCard(capability="extract"),)
        assert guest.links.station.hints.places(garage.id) == ()


async def draining_under_work(
    laptop: Node, kitchen: Node, go: asyncio.Event
) -> tuple[AsyncIterator[Chunk | Result], asyncio.Task[bool]]:
    """Have one device work for another until `go`, begin to drain it, and wait until the other one knows."""
    kitchen.script = waiting_for(go)
    stream = laptop.specialist(kitchen).run(REQUEST)
    await anext(stream)
    draining = asyncio.create_task(kitchen.links.drain(5.0, asyncio.Event()))
    await until(lambda: (beat := laptop.around.neighbours[kitchen.id].beat) is not None and beat.draining)
    return stream, draining


async def test_a_draining_device_says_so_takes_nothing_new_and_ends_what_runs(tmp_path: Path) -> None:
    go = asyncio.Event()
    async with linked_pair(tmp_path) as (laptop, kitchen):
        stream, draining = await draining_under_work(laptop, kitchen, go)
        with pytest.raises(PeerBusy, match="about to stop"):
            await last(laptop.specialist(kitchen).run(replace(REQUEST, seed=3)))
        go.set()
        assert (await last(stream)).output == "one"
        assert await draining


async def test_a_device_that_is_about_to_sleep_says_so_and_takes_work_again_when_it_woke(tmp_path: Path) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        link = kitchen.links.get(laptop.id)
        assert link is not None
        await kitchen.links.pause()
        said = link._tidings._beat
        assert said is not None and said.draining, "it is out before the device may sleep"
        await until(lambda: (beat := laptop.around.neighbours[kitchen.id].beat) is not None and beat.draining)
        with pytest.raises(PeerBusy):
            await last(laptop.specialist(kitchen).run(REQUEST))
        kitchen.links.resume()
        await until(lambda: (beat := laptop.around.neighbours[kitchen.id].beat) is not None and not beat.draining)
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS


async def test_a_sleep_while_a_node_stops_does_not_have_it_take_work_again(tmp_path: Path) -> None:
    go = asyncio.Event()
    async with linked_pair(tmp_path) as (laptop, kitchen):
        stream, draining = await draining_under_work(laptop, kitchen, go)
        await kitchen.links.pause()
        kitchen.links.resume()
        with pytest.raises(PeerBusy, match="about to stop"):
            await last(laptop.specialist(kitchen).run(replace(REQUEST, seed=3)))
        go.set()
        assert (await last(stream)).output == "one"
        assert await draining


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_devices_that_have_ipv6_alone_are_linked(tmp_path: Path) -> None:
    async with (
        running(tmp_path, "laptop", dials=True, host="::1") as laptop,
        running(tmp_path, "kitchen", host="::1") as kitchen,
    ):
        kitchen.knows(laptop, addresses=[])
        laptop.knows(kitchen)
        await laptop.until_linked(kitchen)
        assert (await last(kitchen.specialist(laptop).run(REQUEST))).output == WORDS


async def test_an_older_version_than_before_makes_no_link(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        peer = replace(laptop.state.peers.book().peers[kitchen.id], version=2)
        old = await laptop.client.link(laptop.links.station, peer, kitchen.address)
        with pytest.raises(VersionMismatch, match="spoke version 2"):
            await old.greet()
        await until(lambda: not kitchen.links._open)


async def test_links_are_paced(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        for _ in range(60):
            await kitchen.links.pace(laptop.id)
        with pytest.raises(PeerBusy, match="60 times a minute"):
            await kitchen.links.pace(laptop.id)


async def test_a_refusal_that_can_not_be_written_down_ends_nothing_else_on_the_link(tmp_path: Path) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen):
        go = asyncio.Event()
        laptop.script = waiting_for(go)
        stream = kitchen.specialist(laptop).run(REQUEST)
        assert isinstance(await anext(stream), Chunk)
        await until(lambda: laptop.state.audit.newest(1)[0].act is Act.TASK_IN)
        laptop.knows(kitchen, replace(own_device(), capabilities=frozenset({"generate"})))
        laptop.state.settle()
        laptop.state.audit.chain.head_path.unlink()
        with pytest.raises(LinkError, match="'embed' was not granted"):
            await last(kitchen.specialist(laptop, "embed").run(replace(REQUEST, capability="embed")))
        go.set()
        assert (await last(stream)).output == "one"
