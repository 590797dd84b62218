"""What ends work on another device: its deadline, its asker, its owner, its guest time, its loss."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Collection
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from models.errors import DeadlineExceeded
from models.types import Chunk, Request, Result, last
from peers import codec, membership, upkeep
from peers.conversions import subtask_of
from peers.errors import LinkError, PeerLost
from peers.grants import own_device
from peers.inside import Inside
from peers.messages import Hello
from peers.server import WATCH_S
from tests.peers.scripts import REQUEST, WORDS, slowly, until
from tests.peers.swarm import Node, pair, running, session


async def begun(asker: Node, node: Node) -> AsyncGenerator[Chunk | Result, None]:
    """Return an answer that has begun and does not end."""
    node.script = slowly
    stream = asker.specialist(node).run(REQUEST)
    assert isinstance(await anext(stream), Chunk)
    return stream


async def test_slow_is_not_dead(tmp_path: Path) -> None:
    """Nothing comes for longer than the silence that means death, but the beats do."""

    async def script(request: Request) -> AsyncGenerator[Chunk | Result, None]:
        await asyncio.sleep(3.5)
        yield Result(output="at last")

    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = script
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == "at last"


async def test_a_deadline_holds_on_the_node_that_works(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = slowly
        with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
            await last(laptop.specialist(kitchen).run(replace(REQUEST, deadline_s=0.2)))
        assert kitchen.ended == ["closed"]


async def test_an_asker_who_leaves_ends_the_work_there(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        stream = await begun(laptop, kitchen)
        await stream.aclose()
        assert await until(lambda: kitchen.ended == ["closed"]) < 1.0


async def test_an_asker_who_is_cancelled_ends_the_work_there(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = slowly
        asking = asyncio.create_task(last(laptop.specialist(kitchen).run(REQUEST)))
        await until(lambda: len(kitchen.asked) == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: kitchen.ended == ["closed"])
        await until(lambda: kitchen.state.ledger.entries()[0].act == "release")


async def test_a_revocation_ends_an_open_answer_within_a_second(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        stream = await begun(laptop, kitchen)
        start = time.monotonic()
        membership.revoke(kitchen.state, "laptop")
        with pytest.raises(PeerLost):
            await anext(stream)
        assert time.monotonic() - start < 1.0
        assert kitchen.ended == ["closed"]
        with pytest.raises(LinkError):
            await last(laptop.specialist(kitchen).run(REQUEST))
        assert len(kitchen.asked) == 1


async def test_a_guest_whose_time_is_over_is_cut_off(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        soon = kitchen.state.peers.now_ns() + 700_000_000
        kitchen.knows(laptop, replace(own_device(), expires_ns=soon))
        stream = await begun(laptop, kitchen)
        with pytest.raises(PeerLost):
            await anext(stream)


async def test_after_a_revocation_the_asker_itself_sends_nothing(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        specialist = laptop.specialist(kitchen)
        membership.revoke(laptop.state, "kitchen")
        with pytest.raises(LinkError, match="no longer paired"):
            await last(specialist.run(REQUEST))
        assert specialist.name.startswith("generate@"), "what is said of it afterwards still names it"
        assert laptop.state.ledger.entries() == []


async def test_a_device_that_the_asker_revokes_is_heard_no_further(tmp_path: Path) -> None:
    """It is not told, does not agree, and beats on; there is no link that could be cut."""
    async with pair(tmp_path) as (laptop, kitchen):
        stream = await begun(laptop, kitchen)
        membership.revoke(laptop.state, "kitchen")
        async with asyncio.timeout(1.0):
            with pytest.raises(LinkError, match="kitchen is no longer paired, so its answer was ended here"):
                await anext(stream)
        await until(lambda: kitchen.ended == ["closed"])


async def test_a_guest_is_heard_no_further_than_its_time(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        soon = laptop.state.peers.now_ns() + 500_000_000
        laptop.knows(kitchen, replace(own_device(), expires_ns=soon))
        stream = await begun(laptop, kitchen)
        async with asyncio.timeout(1.5):
            with pytest.raises(LinkError, match="no longer paired"):
                await anext(stream)


async def test_a_cancel_by_its_name_ends_the_work_for_its_asker_alone(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), running(tmp_path, "attic") as attic:
        kitchen.knows(attic)
        kitchen.script = slowly
        asked = codec.frames(Hello().pack()) + codec.frames(subtask_of(REQUEST, "f" * 32, laptop.id).pack())
        name = f"https://{kitchen.address}/peer/1/subtasks"
        async with session(laptop, kitchen) as http, session(attic, kitchen) as others:
            async with http.post(name, data=asked) as answer:
                await until(lambda: kitchen.server._desk.tasks)
                async with others.delete(f"{name}/{'f' * 32}") as response:
                    assert response.status == 204, "nobody learns which names there are"
                await answer.content.readany()
                assert kitchen.ended == []
                async with http.delete(f"{name}/{'f' * 32}") as response:
                    assert response.status == 204
                await until(lambda: kitchen.ended == ["closed"])
                with pytest.raises(aiohttp.ClientError):
                    await answer.content.read()
            async with http.delete(f"{name}/{'f' * 32}") as response:
                assert response.status == 204, "also when it is over already"


async def test_a_device_whose_time_is_over_is_sent_nothing_by_the_asker_itself(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        specialist = laptop.specialist(kitchen)
        laptop.knows(kitchen, replace(own_device(), expires_ns=laptop.state.peers.now_ns()))
        with pytest.raises(LinkError, match=r"time .* is over"):
            await last(specialist.run(REQUEST))
        assert laptop.state.ledger.entries() == []
        assert kitchen.asked == []


async def test_a_damaged_list_of_devices_serves_nobody_until_it_is_mended_and_revocations_bind_again(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        path = kitchen.state.peers.path
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        await asyncio.sleep(2 * WATCH_S)
        with pytest.raises(LinkError):
            await last(laptop.specialist(kitchen).run(REQUEST))
        path.write_bytes(whole)
        stream = await begun(laptop, kitchen)
        membership.revoke(kitchen.state, "laptop")
        async with asyncio.timeout(1.0):
            with pytest.raises(PeerLost):
                await anext(stream)


async def test_a_watch_that_fails_begins_again_and_revocations_still_bind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upkeep, "PAUSE_S", 0.1)
    failures = [RuntimeError("the first round fails")] * 2  # of each of the two nodes
    keep_only = Inside.keep_only

    def failing(inside: Inside, trusted: Collection[bytes]) -> None:
        if failures:
            raise failures.pop()
        keep_only(inside, trusted)

    monkeypatch.setattr(Inside, "keep_only", failing)
    async with pair(tmp_path) as (laptop, kitchen):
        await until(lambda: not failures)
        stream = await begun(laptop, kitchen)
        membership.revoke(kitchen.state, "laptop")
        async with asyncio.timeout(1.5):
            with pytest.raises(PeerLost):
                await anext(stream)
        assert "the watch for revocations failed" in caplog.text


async def test_a_device_that_vanishes_is_lost_and_its_words_are_kept(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop:
        pieces: list[Chunk | Result] = []
        with pytest.raises(PeerLost):
            async with running(tmp_path, "kitchen") as kitchen:
                laptop.knows(kitchen)
                kitchen.knows(laptop)
                kitchen.script = slowly
                stream = laptop.specialist(kitchen).run(REQUEST)
                pieces.append(await anext(stream))
                kitchen.server.cut(laptop.state.identity.node_id)
                await anext(stream)
        assert [piece.text for piece in pieces] == ["one"]


async def test_an_answer_goes_on_elsewhere_at_the_same_token(tmp_path: Path) -> None:
    async def three_words(request: Request) -> AsyncGenerator[Chunk | Result, None]:
        for index, word in enumerate(["one", " two", " three"]):
            yield Chunk(index, word, (100 + index,))
        await asyncio.sleep(30)

    async with pair(tmp_path) as (laptop, kitchen), running(tmp_path, "garage") as garage:
        laptop.knows(garage)
        garage.knows(laptop)
        kitchen.script = three_words
        said: list[Chunk] = []
        try:
            async for piece in laptop.specialist(kitchen).run(REQUEST):
                assert isinstance(piece, Chunk)
                said.append(piece)
                if len(said) == 3:
                    kitchen.server.cut(laptop.state.identity.node_id)
        except PeerLost:
            pass
        resumed = replace(REQUEST, resume_tokens=tuple(token for piece in said for token in piece.token_ids))
        rest = [piece async for piece in laptop.specialist(garage).run(resumed)]
        assert "".join(piece.text for piece in [*said, *rest[:-1]]) == WORDS
        assert garage.asked[0].resume_tokens == (100, 101, 102)
