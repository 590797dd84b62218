"""Two nodes over real TLS on loopback: work goes there and comes back, or fails as was promised."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest

from models.errors import (
    BackendError,
    BadArtifact,
    DeadlineExceeded,
    InputError,
    ManifestError,
    ModelsError,
    UnknownModel,
    WorkerDied,
)
from models.types import Chunk, Label, Request, Result, Tier, Trust, last
from peers import tls
from peers.audit import Act
from peers.book import with_peer
from peers.errors import LinkError, PeerBusy, PeerLost, PeerUnreachable, WrongPeer
from peers.grants import Limits, guest_device, own_device
from peers.messages import Accepted, Hello, Progress
from tests.peers.scripts import REQUEST, WORDS, ending_in
from tests.peers.swarm import CONTENT, Script, http_between, pair, running
from tests.peers.test_flood import body
from tests.socket_guard import SocketGuard


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


async def test_the_question_is_in_the_ledger_word_for_word_and_the_answer_to_it_there_with_its_digest(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        await last(laptop.specialist(kitchen).run(REQUEST))
        (sent,) = laptop.state.ledger.entries()
        assert (sent.recipient_name, sent.label, sent.place.words) == ("kitchen", Label.PERSONAL, "left this device")
        assert b"do not tell anybody" in (laptop.state.ledger.bytes_of(sent) or b"")
        answered, opened = kitchen.state.ledger.entries()
        assert (opened.act, answered.recipient_name) == ("opened", "laptop")
        assert answered.size_bytes > len(WORDS) and answered.digest != sha256(b"").hexdigest()
        assert kitchen.state.ledger.bytes_of(answered) is None  # the words are the asker's
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
            for _ in range(2):  # the second over the connection that the first one left open
                await last(laptop.specialist(kitchen).run(REQUEST))
        assert socket_guard.take() == []


async def test_words_of_a_task_that_go_to_a_device_without_a_release_are_seen(
    tmp_path: Path, socket_guard: SocketGuard
) -> None:
    async with pair(tmp_path) as (laptop, kitchen), http_between(laptop, kitchen) as http:
        with pytest.raises(aiohttp.ClientError):
            async with http.post(f"https://{kitchen.address}/peer/1/subtasks", data=body(laptop)):
                pass
        assert socket_guard.take() == [f"write {CONTENT[0]!r}"]
        assert kitchen.asked == []


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


@pytest.mark.parametrize(
    "error",
    [
        BadArtifact("/home/anna/.covey/models/7f is damaged; run `covey models verify`."),
        ManifestError("/home/anna/.covey/specialists/poem.toml: field runner: unknown. Correct the file."),
        WorkerDied('The process ended unexpectedly (status 1: File "/home/anna/covey/worker.py"). Ask again.'),
        UnknownModel("There is no model 'annas-diary'; run `covey models list` to see the names."),
    ],
)
async def test_what_goes_wrong_inside_a_device_is_told_without_its_folders_and_names(
    tmp_path: Path, error: ModelsError, caplog: pytest.LogCaptureFixture
) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = ending_in(error)
        with pytest.raises(BackendError) as caught:
            await last(laptop.specialist(kitchen).run(REQUEST))
    assert "anna" not in str(caught.value) and "`covey doctor`" in str(caught.value)
    assert str(error) in caplog.text


ONE, NONE = (7,), ()


def in_pieces(chunks: list[tuple[int, tuple[int, ...]]]) -> Script:
    async def script(request: Request) -> AsyncGenerator[Chunk | Result, None]:
        for index, tokens in chunks:
            yield Chunk(index, "x", tokens)
        yield Result(output="x")

    return script


@pytest.mark.parametrize(
    "chunks",
    [
        [(0, ONE), (0, ONE)],
        [(0, ONE), (2, ONE)],
        [(1, ONE)],
        [(5, ONE), (3, ONE)],
        [(0, ONE), (5, NONE)],
        [(0, ONE), (0, NONE)],
        [(5, NONE), (5, ONE)],
        [(5, NONE), (0, ONE)],
        [(5, NONE), (3, NONE)],
    ],
)
async def test_a_device_that_repeats_or_skips_a_token_is_not_believed(
    tmp_path: Path, chunks: list[tuple[int, tuple[int, ...]]]
) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = in_pieces(chunks)
        with pytest.raises(PeerLost, match="left out or repeated"):
            await last(laptop.specialist(kitchen).run(REQUEST))


@pytest.mark.parametrize("chunks", [[(0, ONE), (1, NONE)], [(0, NONE), (6, NONE), (9, NONE)], [(0, NONE), (0, ONE)]])
async def test_text_without_tokens_comes_at_its_place(
    tmp_path: Path, chunks: list[tuple[int, tuple[int, ...]]]
) -> None:
    """The last words of an answer; an answer of a hub, which counts its letters; a word before the first token."""
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = in_pieces(chunks)
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == "x"


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
