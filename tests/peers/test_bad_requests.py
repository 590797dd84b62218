"""What a paired device may ask wrongly, over HTTP and over a link: each has its answer, and none is worked on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from models.errors import NotInstalled
from models.types import Chunk, Label, Request, Result, last
from peers import codec
from peers.channels import HEADER, Flag, piece, pieces
from peers.conversions import subtask_of
from peers.grants import Grant, Limits, QuietHours, guest_device, own_device
from peers.messages import Failed, Hello
from peers.wire import read
from tests.peers.scripts import REQUEST, WORDS
from tests.peers.swarm import Node, pair, session

OFTEN = replace(own_device(), limits=Limits(tasks_per_minute=100_000))
"""A grant that lets a test ask as often as it likes."""
QUIET_ALL_DAY = QuietHours(0, 24 * 60)

Ask = Callable[[bytes], Awaitable[bytes]]
"""Sends the body of a request and returns all the bytes of the answer."""


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong with a request."""

    code: str
    subtask: Mapping[str, Any] = field(default_factory=dict)
    hello: Mapping[str, Any] = field(default_factory=dict)
    grant: Grant = OFTEN
    draining: bool = False


def body(here: Node, wrong: Wrong) -> bytes:
    hello = codec.decode(Hello().pack()) | dict(wrong.hello)
    subtask = codec.decode(subtask_of(REQUEST, "f" * 32, here.id).pack()) | dict(wrong.subtask)
    return codec.frames(codec.encode(hello)) + codec.frames(codec.encode(subtask))


@asynccontextmanager
async def over_http(here: Node, there: Node) -> AsyncIterator[Ask]:
    async with session(here, there) as http:

        async def ask(data: bytes) -> bytes:
            async with http.post(f"https://{there.address}/peer/1/subtasks", data=data) as response:
                return await response.read()

        yield ask


@asynccontextmanager
async def over_link(here: Node, there: Node) -> AsyncIterator[Ask]:
    async with session(here, there) as http:
        async with http.ws_connect(f"https://{there.address}/peer/1/link", autoping=False) as socket:
            await socket.send_bytes(piece(0, codec.frames(Hello().pack())))
            numbers = iter(range(1, 10**6, 2))

            async def ask(data: bytes) -> bytes:
                channel, answer = next(numbers), bytearray()
                for part in pieces(channel, data, ended=True):
                    await socket.send_bytes(part)
                while True:
                    message = await socket.receive()
                    assert message.type is aiohttp.WSMsgType.BINARY, f"the link ended: {socket.close_code}"
                    number, flags = HEADER.unpack_from(message.data)
                    if number == channel:
                        answer += message.data[HEADER.size :]
                        if flags & Flag.END:
                            return bytes(answer)

            yield ask


WAYS = pytest.mark.parametrize("way", [over_http, over_link])


def refusal(answer: bytes) -> Failed:
    (packed,) = codec.FrameReader().feed(answer)
    return read(packed, Failed)


@WAYS
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(Wrong("bad_message", {"capability": 7}), id="a number for a capability"),
        pytest.param(Wrong("bad_message", {"capability": "../etc"}), id="a capability that is a path"),
        pytest.param(Wrong("bad_message", {"capability": "x" * 65}), id="a capability that is too long"),
        pytest.param(Wrong("bad_message", {"input": ["a"]}), id="a list for a map"),
        pytest.param(Wrong("bad_message", {"id": "F" * 32}), id="an id in capitals"),
        pytest.param(Wrong("bad_message", {"id": None}), id="no id"),
        pytest.param(Wrong("bad_message", {"label": "secret"}), id="a secret"),
        pytest.param(Wrong("bad_message", {"label": "open"}), id="a label that is none"),
        pytest.param(Wrong("bad_message", {"hops": ["A" * 52] * 9}), id="nine hops"),
        pytest.param(Wrong("bad_message", {"ceiling": "moon"}), id="a ceiling that is none"),
        pytest.param(Wrong("bad_message", {"budget_tokens": 0}), id="no tokens"),
        pytest.param(Wrong("bad_message", {"deadline_s": -1.0}), id="a deadline before now"),
        pytest.param(Wrong("bad_message", {"seed": 2**63}), id="a seed too large"),
        pytest.param(Wrong("bad_message", {"resume_tokens": [-1]}), id="a token that is none"),
        pytest.param(Wrong("bad_message", {"resume_tokens": [0] * 65537}), id="too many tokens"),
        pytest.param(Wrong("bad_message", {"resume_artifacts": ["x"]}), id="a digest that is none"),
        pytest.param(Wrong("bad_message", {"kind": "hello"}), id="two hellos"),
        pytest.param(Wrong("bad_message", hello={"max": 0}), id="version 0"),
        pytest.param(Wrong("bad_message", hello={"min": "1"}), id="a version in words"),
        pytest.param(Wrong("version", hello={"min": Hello().max + 1, "max": Hello().max + 9}), id="a later version"),
        pytest.param(Wrong("not_granted", grant=replace(OFTEN, label=Label.PUBLIC)), id="a label above the grant"),
        pytest.param(Wrong("not_granted", grant=replace(OFTEN, capabilities=frozenset({"embed"}))), id="other work"),
        pytest.param(Wrong("not_granted", grant=replace(OFTEN, tasks=0)), id="no tasks left"),
        pytest.param(Wrong("not_granted", {"budget_tokens": 5000}), id="more tokens than granted"),
        pytest.param(Wrong("busy", grant=replace(OFTEN, quiet=QUIET_ALL_DAY)), id="quiet hours"),
        pytest.param(Wrong("busy", draining=True), id="about to stop"),
        pytest.param(Wrong("not_granted", grant=replace(OFTEN, tasks=0), draining=True), id="not granted comes first"),
    ],
)
async def test_a_wrong_request_has_its_answer_and_is_not_worked_on(
    tmp_path: Path, wrong: Wrong, way: Callable[[Node, Node], Any]
) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.knows(laptop, wrong.grant)
        kitchen.server.links.station.desk.is_stopping = wrong.draining
        async with way(laptop, kitchen) as ask:
            failed = refusal(await ask(body(laptop, wrong)))
            assert failed.code == wrong.code
            assert failed.message.endswith(".")
            assert kitchen.asked == []


@WAYS
async def test_work_that_comes_round_is_stopped_before_it_is_said_that_this_device_stops(
    tmp_path: Path, way: Callable[[Node, Node], Any]
) -> None:
    async with pair(tmp_path) as (laptop, kitchen), way(laptop, kitchen) as ask:
        kitchen.server.links.station.desk.is_stopping = True
        failed = refusal(await ask(body(laptop, Wrong("loop", {"hops": [kitchen.id, laptop.id]}))))
        assert (failed.code, kitchen.asked) == ("loop", [])


@WAYS
async def test_a_request_cut_at_any_byte_is_refused_and_the_next_one_served(
    tmp_path: Path, way: Callable[[Node, Node], Any]
) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.knows(laptop, OFTEN)
        async with way(laptop, kitchen) as ask:
            whole = body(laptop, Wrong(""))
            for size in range(len(whole)):
                assert refusal(await ask(whole[:size])).code == "bad_message", size
            assert kitchen.asked == []
            assert WORDS.encode() in await ask(whole)


@WAYS
async def test_work_that_nobody_here_does_is_said_after_it_was_let_in(
    tmp_path: Path, way: Callable[[Node, Node], Any]
) -> None:
    async def nobody(request: Request) -> AsyncGenerator[Chunk | Result, None]:
        raise NotInstalled(f"No specialist here offers {request.capability!r}. Ask another device for it.")
        yield  # makes this a stream

    async with pair(tmp_path) as (laptop, kitchen), way(laptop, kitchen) as ask:
        kitchen.script = nobody
        *_, packed = codec.FrameReader().feed(await ask(body(laptop, Wrong("", {"capability": "levitate"}))))
        assert read(packed, Failed).code == "not_capable"


async def test_a_guest_whose_time_is_over_is_a_stranger_on_every_path(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), session(laptop, kitchen) as http:
        kitchen.knows(laptop, guest_device(None))
        assert (await last(laptop.specialist(kitchen).run(replace(REQUEST, label=Label.PUBLIC)))).output == WORDS
        kitchen.knows(laptop, guest_device(kitchen.state.peers.now_ns()))
        for method, path in (
            ("POST", "subtasks"),
            ("DELETE", f"subtasks/{'f' * 32}"),
            ("GET", "link"),
            ("GET", f"blobs/{'a' * 64}"),
            ("GET", f"blobs/{'a' * 64}/chunks"),
            ("POST", "check"),
        ):
            async with http.request(method, f"https://{kitchen.address}/peer/1/{path}") as response:
                assert (response.status, await response.read()) == (403, b""), path


@WAYS
async def test_a_refusal_that_can_not_be_written_down_is_a_refusal_all_the_same_and_ends_nothing_else(
    tmp_path: Path, way: Callable[[Node, Node], Any]
) -> None:
    async with pair(tmp_path) as (laptop, kitchen), way(laptop, kitchen) as ask:
        kitchen.knows(laptop, replace(OFTEN, capabilities=frozenset({"generate"})))
        assert b"five" in await ask(body(laptop, Wrong("")))
        kitchen.state.settle()
        kitchen.state.audit.chain.head_path.unlink()
        for _ in range(2):
            assert refusal(await ask(body(laptop, Wrong("", {"capability": "embed"})))).code == "not_granted"


@WAYS
async def test_a_guest_hears_nothing_of_this_devices_folders(
    tmp_path: Path, way: Callable[[Node, Node], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The owner's log has what the guest is not told."""
    async with pair(tmp_path) as (laptop, kitchen), way(laptop, kitchen) as ask:
        kitchen.knows(laptop, replace(guest_device(10**19), limits=OFTEN.limits))
        public = Wrong("", {"label": "public"})
        assert b"five" in await ask(body(laptop, public))
        kitchen.state.settle()
        kitchen.state.ledger.chain.head_path.unlink()
        failed = refusal(await ask(body(laptop, public)))
    assert failed.code == "failed" and "`covey doctor`" in failed.message
    assert str(tmp_path) not in failed.message and str(tmp_path) in caplog.text
