"""Two nodes over real TLS on loopback: work goes there and comes back, or fails as was promised."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import DeadlineExceeded, InputError, ModelsError, WorkerDied
from models.types import Chunk, Label, Request, Result, Tier, Trust, last
from peers import membership, tls
from peers.audit import Act
from peers.book import with_peer
from peers.conversions import subtask_of
from peers.errors import LinkError, PeerBusy, PeerLost, PeerUnreachable, WrongPeer
from peers.grants import Limits, guest_device, own_device
from peers.messages import Accepted, Done, Hello, Progress
from peers.node_id import of_key
from peers.replays import Replays
from peers.server import WATCH_S
from tests.peers.nodes import Clock
from tests.peers.swarm import Script, count_to_five, pair, running
from tests.socket_guard import SocketGuard

REQUEST = Request("generate", {"prompt": "Count to five, but do not tell anybody."}, ceiling=Tier.HOME)
WORDS = "one two three four five"


async def test_work_goes_there_and_comes_back(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        pieces = [piece async for piece in laptop.specialist(kitchen).run(REQUEST)]
        assert "".join(piece.text for piece in pieces[:-1]) == WORDS
        assert [piece.index for piece in pieces if isinstance(piece, Chunk)] == [0, 1, 2, 3, 4]
        assert isinstance(pieces[-1], Result)
        assert (pieces[-1].output, pieces[-1].confidence) == (WORDS, 0.9)
        assert kitchen.ended == ["done"]


async def test_work_arrives_untrusted_bounded_and_with_its_way(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        await last(laptop.specialist(kitchen).run(REQUEST))
        (asked,) = kitchen.asked
        assert (asked.trust, asked.ceiling, asked.label) == (Trust.UNTRUSTED, Tier.DEVICE, Label.PERSONAL)
        assert asked.hops == (laptop.state.identity.node_id,)
        assert asked.budget_tokens == own_device().limits.tokens_per_task
        assert asked.input == REQUEST.input


async def test_every_byte_of_question_and_answer_is_in_a_ledger(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        await last(laptop.specialist(kitchen).run(REQUEST))
        (sent,) = laptop.state.ledger.entries()
        assert (sent.recipient_name, sent.label, sent.place.words) == ("kitchen", Label.PERSONAL, "left this device")
        assert b"do not tell anybody" in (laptop.state.ledger.bytes_of(sent) or b"")
        answered, opened = kitchen.state.ledger.entries()
        assert (opened.act, answered.recipient_name) == ("opened", "laptop")
        assert b" three" in (kitchen.state.ledger.bytes_of(answered) or b"")
        assert laptop.state.audit.newest(1)[0].act is Act.TASK_OUT
        assert kitchen.state.audit.newest(1)[0].act is Act.TASK_IN
        assert "tell anybody" not in (kitchen.state.folder / "audit.jsonl").read_text()


async def test_figures_are_counted_on_both_sides(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        for _ in range(2):
            await last(laptop.specialist(kitchen).run(REQUEST))
        (out,), (came,) = laptop.state.peers.book().peers.values(), kitchen.state.peers.book().peers.values()
        assert (out.figures.tasks_out, came.figures.tasks_in) == (2, 2)
        assert out.figures.bytes_out == came.figures.bytes_in > 200


async def test_nothing_is_sent_without_a_live_release(tmp_path: Path, socket_guard: SocketGuard) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        with socket_guard.elsewhere(("127.0.0.1", kitchen.server.port)):
            await last(laptop.specialist(kitchen).run(REQUEST))
        assert socket_guard.take() == []


async def test_an_impostor_at_the_right_address_is_told_nothing(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), running(tmp_path, "mallory") as mallory:
        mallory.knows(laptop)
        peer = laptop.knows(kitchen, addresses=[str(mallory.address)])
        assert peer.addresses == (str(mallory.address),)
        with pytest.raises(WrongPeer, match="nothing was sent"):
            await last(laptop.specialist(kitchen).run(REQUEST))
        assert mallory.asked == []


async def test_the_impostor_sees_no_byte_of_the_prompt_on_the_wire(tmp_path: Path) -> None:
    """It speaks TLS with a key of its own and keeps whatever it can read."""
    async with pair(tmp_path) as (laptop, kitchen), running(tmp_path, "mallory") as mallory:
        seen = bytearray()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.extend(await reader.read())
            writer.close()

        context = tls.server_context(mallory.state.identity, [laptop.state.identity.certificate_der])
        trap = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
        async with trap:
            port = trap.sockets[0].getsockname()[1]
            laptop.knows(kitchen, addresses=[f"127.0.0.1:{port}"])
            with pytest.raises(WrongPeer):
                await last(laptop.specialist(kitchen).run(REQUEST))
        assert bytes(seen) == b""


async def test_behind_an_impostor_the_right_device_is_still_found(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), running(tmp_path, "mallory") as mallory:
        laptop.knows(kitchen, addresses=["127.0.0.1:1", str(mallory.address), "not an address", str(kitchen.address)])
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS


async def test_a_device_that_is_off_is_a_sentence(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        laptop.knows(kitchen, addresses=["127.0.0.1:1"])
        with pytest.raises(PeerUnreachable, match="covey up") as caught:
            await last(laptop.specialist(kitchen).run(REQUEST))
        assert isinstance(caught.value, ModelsError)


async def test_a_device_that_is_not_paired_there_gets_no_answer(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        laptop.knows(kitchen)
        with pytest.raises(LinkError):
            await last(laptop.specialist(kitchen).run(REQUEST))
        assert kitchen.asked == []


async def test_without_a_certificate_only_pairing_answers(tmp_path: Path) -> None:
    async with running(tmp_path, "kitchen") as kitchen:
        for path, status in (("/peer/1/subtasks", b"403"), ("/other", b"404"), ("/pair/1", b"200")):
            reader, writer = await asyncio.open_connection("127.0.0.1", kitchen.server.port, ssl=tls.probing_context())
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi".encode()
            )
            assert status in await reader.readline(), path
            writer.transport.abort()


async def test_each_of_several_paired_devices_is_let_in(tmp_path: Path) -> None:
    """All certificates have the same name, so they must not be looked up by it."""
    async with pair(tmp_path) as (laptop, kitchen), running(tmp_path, "garage") as garage:
        kitchen.knows(garage)
        garage.knows(kitchen)
        for asker in (laptop, garage):
            assert (await last(asker.specialist(kitchen).run(REQUEST))).output == WORDS


async def test_older_tls_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, "kitchen") as kitchen:
        context = tls.probing_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", kitchen.server.port, ssl=context)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (replace(REQUEST, label=Label.PERSONAL), "personal"),
        (replace(REQUEST, label=Label.PUBLIC, budget_tokens=5000), "1024 tokens"),
    ],
)
async def test_what_was_not_granted_there_is_refused_with_its_reason(
    tmp_path: Path, request_: Request, words: str
) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.knows(laptop, guest_device(None))
        with pytest.raises(LinkError, match=f"kitchen: .*{words}"):
            await last(laptop.specialist(kitchen).run(request_))
        assert kitchen.asked == []
        assert kitchen.state.audit.newest(1)[0].act is Act.REFUSED


@pytest.mark.parametrize("label", [Label.SENSITIVE, Label.SECRET])
async def test_what_may_not_leave_here_does_not(tmp_path: Path, label: Label) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        with pytest.raises(LinkError):
            await last(laptop.specialist(kitchen).run(replace(REQUEST, label=label)))
        assert laptop.state.ledger.entries() == []
        assert kitchen.asked == []


async def test_work_that_comes_round_is_stopped(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        looping = replace(REQUEST, hops=(kitchen.state.identity.node_id,))
        with pytest.raises(LinkError, match="can't be taken back"):
            await last(laptop.specialist(kitchen).run(looping))
        assert kitchen.asked == []


async def test_too_many_questions_are_told_when_to_come_back(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.knows(laptop, replace(own_device(), limits=Limits(tasks_per_minute=2)))
        for _ in range(2):
            await last(laptop.specialist(kitchen).run(REQUEST))
        with pytest.raises(PeerBusy, match="2 times a minute") as caught:
            await last(laptop.specialist(kitchen).run(REQUEST))
        assert caught.value.retry_after_s == 30.0


def ending_in(error: Exception) -> Script:
    async def script(request: Request) -> AsyncIterator[Chunk | Result]:
        yield Chunk(0, "one", (100,))
        raise error

    return script


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InputError("The field 'prompt' is empty. Say something."), InputError),
        (WorkerDied("The model's process ended. Ask again."), ModelsError),
        (DeadlineExceeded("It took too long. Ask for less."), DeadlineExceeded),
    ],
)
async def test_what_goes_wrong_there_is_an_error_of_the_same_kind_here(
    tmp_path: Path, error: Exception, kind: type[Exception]
) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = ending_in(error)
        with pytest.raises(kind, match="kitchen: "):
            await last(laptop.specialist(kitchen).run(REQUEST))


async def slowly(request: Request) -> AsyncIterator[Chunk | Result]:
    yield Chunk(0, "one", (100,))
    await asyncio.sleep(30)
    yield Result(output="never")


async def test_slow_is_not_dead(tmp_path: Path) -> None:
    """Nothing comes for longer than the silence that means death, but the beats do."""

    async def script(request: Request) -> AsyncIterator[Chunk | Result]:
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


async def until(condition: object, limit_s: float = 3.0) -> float:
    """Wait until a condition holds and return the seconds that took."""
    assert callable(condition)
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < limit_s, "it did not come true in time"
        await asyncio.sleep(0.02)
    return time.monotonic() - start


async def test_an_asker_who_leaves_ends_the_work_there(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = slowly
        stream = laptop.specialist(kitchen).run(REQUEST)
        assert isinstance(await anext(stream), Chunk)
        await stream.aclose()  # type: ignore[attr-defined]
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
        kitchen.script = slowly
        stream = laptop.specialist(kitchen).run(REQUEST)
        await anext(stream)
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
        kitchen.script = slowly
        stream = laptop.specialist(kitchen).run(REQUEST)
        await anext(stream)
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


async def test_a_device_whose_time_is_over_is_sent_nothing_by_the_asker_itself(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        laptop.knows(kitchen, replace(own_device(), expires_ns=laptop.state.peers.now_ns() + 200_000_000))
        specialist = laptop.specialist(kitchen)
        await asyncio.sleep(0.3)
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
        kitchen.script = slowly
        stream = laptop.specialist(kitchen).run(REQUEST)
        await anext(stream)
        membership.revoke(kitchen.state, "laptop")
        async with asyncio.timeout(1.0):
            with pytest.raises(PeerLost):
                await anext(stream)


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
    async def three_words(request: Request) -> AsyncIterator[Chunk | Result]:
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


async def test_the_same_key_gives_the_same_answer_without_new_work(tmp_path: Path) -> None:
    keyed = replace(REQUEST, idempotency_key="once")
    async with pair(tmp_path) as (laptop, kitchen):
        first = await last(laptop.specialist(kitchen).run(keyed))
        again = await last(laptop.specialist(kitchen).run(keyed))
        assert first == again
        assert len(kitchen.asked) == 1
        await last(laptop.specialist(kitchen).run(replace(keyed, input={"prompt": "Something else."})))
        assert len(kitchen.asked) == 2


def waiting_for(go: asyncio.Event) -> Script:
    async def script(request: Request) -> AsyncIterator[Chunk | Result]:
        yield Chunk(0, "one", (100,))
        await go.wait()
        yield Result(output="one", text="one", confidence=0.9)

    return script


async def test_a_repeat_while_the_first_runs_joins_it(tmp_path: Path) -> None:
    keyed, go = replace(REQUEST, idempotency_key="once"), asyncio.Event()
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = waiting_for(go)
        first = laptop.specialist(kitchen).run(keyed)
        assert await anext(first) == Chunk(0, "one", (100,))
        second = laptop.specialist(kitchen).run(keyed)
        assert await anext(second) == Chunk(0, "one", (100,))
        go.set()
        assert (await last(first)).output == (await last(second)).output == "one"
        assert len(kitchen.asked) == 1


async def test_the_repeat_keeps_the_work_when_the_first_asker_leaves(tmp_path: Path) -> None:
    keyed, go = replace(REQUEST, idempotency_key="once"), asyncio.Event()
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = waiting_for(go)
        first, second = laptop.specialist(kitchen).run(keyed), laptop.specialist(kitchen).run(keyed)
        await anext(first)
        await anext(second)
        await first.aclose()  # type: ignore[attr-defined]  # it is a generator
        await asyncio.sleep(0.2)
        assert kitchen.ended == []
        go.set()
        assert (await last(second)).output == "one"
        assert (len(kitchen.asked), kitchen.ended) == (1, ["done"])


async def test_work_ends_when_all_who_asked_have_left(tmp_path: Path) -> None:
    keyed, go = replace(REQUEST, idempotency_key="once"), asyncio.Event()
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = waiting_for(go)
        streams = [laptop.specialist(kitchen).run(keyed) for _ in range(2)]
        for stream in streams:
            await anext(stream)
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(0.5)
        assert kitchen.ended == ["closed"]


async def test_work_that_failed_is_done_again_under_the_same_key(tmp_path: Path) -> None:
    keyed = replace(REQUEST, idempotency_key="once")
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = ending_in(WorkerDied("It died. Ask again."))
        with pytest.raises(ModelsError):
            await last(laptop.specialist(kitchen).run(keyed))
        kitchen.script = count_to_five
        assert (await last(laptop.specialist(kitchen).run(keyed))).output == WORDS


def test_a_kept_answer_lasts_ten_minutes_and_little_memory() -> None:
    clock, node = Clock(), of_key(b"laptop")
    replays = Replays(clock.seconds)
    subtask = subtask_of(replace(REQUEST, idempotency_key="once"), "f" * 32, node)
    replays.keep(node, subtask, Done(output="x"))
    clock.pass_s(599)
    assert replays.find(node, subtask) is not None
    assert replays.find(of_key(b"other"), subtask) is None
    clock.pass_s(2)
    assert replays.find(node, subtask) is None
    for number in range(30):
        replays.keep(node, subtask.model_copy(update={"idempotency_key": str(number)}), Done(text="x" * 2**20))
    assert replays.find(node, subtask.model_copy(update={"idempotency_key": "0"})) is None
    assert replays.find(node, subtask.model_copy(update={"idempotency_key": "29"})) is not None


@pytest.mark.parametrize("chunks", [[0, 0], [0, 2], [1], [5, 3]])
async def test_a_device_that_repeats_or_skips_a_token_is_not_believed(tmp_path: Path, chunks: list[int]) -> None:
    async def script(request: Request) -> AsyncIterator[Chunk | Result]:
        for index in chunks:
            yield Chunk(index, "x", (7,))
        yield Result(output="x")

    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = script
        with pytest.raises(PeerLost, match="left out or repeated"):
            await last(laptop.specialist(kitchen).run(REQUEST))


async def test_an_older_version_than_before_is_refused(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        peer = laptop.state.peers.book().peers[kitchen.state.identity.node_id]
        laptop.state.peers.change(lambda book: with_peer(book, replace(peer, version=2)))
        with pytest.raises(LinkError, match="spoke version 2"):
            await last(laptop.specialist(kitchen).run(REQUEST))


async def test_handing_over_costs_little(tmp_path: Path) -> None:
    """Without the disk's share: connection, both gates, messages and ledgers of a small piece of work."""
    async with pair(tmp_path) as (laptop, kitchen):
        specialist = laptop.specialist(kitchen)
        await last(specialist.run(REQUEST))
        start = time.monotonic()
        for _ in range(5):
            await last(specialist.run(REQUEST))
        assert (time.monotonic() - start) / 5 < 1.0


def test_what_is_said_first_is_small() -> None:
    assert len(Hello().pack()) + len(Accepted().pack()) + len(Progress().pack()) < 200
