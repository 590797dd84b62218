"""Who may ask, what is listed, and how a node that serves begins and ends."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import stat
import struct
from pathlib import Path

import pytest

from models.backends.scripted import ScriptedPool, ScriptedText
from runtime import paths
from runtime.api import guard
from runtime.api.errors import Refused
from runtime.api.gate import Gate
from runtime.api.guard import MAX_BODY_BYTES, is_own, is_own_page
from runtime.api.owner import only_the_owner
from runtime.api.server import PortInUse, serving
from runtime.node import open_node
from runtime.running import SOCKET
from tests.runtime.api.serving import MODEL, door, events, fault


async def test_the_list_names_what_can_be_used_now(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText()) as at:
        async with at.client.get("/v1/models") as response:
            listed = await response.json()
        async with at.client.get(f"/v1/models/{MODEL}") as response:
            one = await response.json()
        async with at.client.get("/v1/models/gpt-4o") as response:
            status, error = await fault(response)
    assert listed["object"] == "list"
    assert [entry["id"] for entry in listed["data"]] == ["covey", MODEL]
    assert all(set(entry) == {"id", "object", "created", "owned_by"} for entry in listed["data"])
    assert one == listed["data"][1]
    assert (status, error["code"]) == (404, "model_not_found")


async def test_health_says_that_it_lives(tmp_path: Path) -> None:
    async with door(tmp_path) as at, at.client.get("/health") as response:
        body = await response.json()
    assert (body["status"], body["requests"]) == ("ok", 0)


@pytest.mark.parametrize(
    ("authority", "own"),
    [
        ("localhost", True),
        ("LOCALHOST:4488", True),
        ("127.0.0.1:4488", True),
        ("[::1]:4488", True),
        ("evil.example", False),
        ("localhost.evil.example:4488", False),
        ("127.0.0.1.nip.io", False),
        ("user@localhost.evil", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_only_names_of_loopback_are_own(authority: str, own: bool) -> None:
    assert is_own(authority) is own


@pytest.mark.parametrize(
    ("origin", "own"),
    [("http://localhost:4488", True), ("https://evil.example", False), ("null", False), ("file://", False)],
)
def test_only_pages_of_this_device_are_own(origin: str, own: bool) -> None:
    assert is_own_page(origin) is own


async def test_a_page_that_rebinds_its_name_to_loopback_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText()) as at:
        async with at.client.get("/v1/models", headers={"Host": f"evil.example:{at.server.port}"}) as response:
            status, error = await fault(response)
    assert (status, error["code"]) == (403, "forbidden_host")


async def test_a_foreign_page_can_neither_read_nor_start_work(tmp_path: Path) -> None:
    model = ScriptedText(["x"])
    headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    async with door(tmp_path, model) as at:
        async with at.client.post("/v1/chat/completions", data=b"{}", headers=headers) as response:
            status, error = await fault(response)
            assert "Access-Control-Allow-Origin" not in response.headers
    assert (status, error["code"]) == (403, "forbidden_origin")
    assert not model.calls


async def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText()) as at:
        async with at.client.post("/v1/chat/completions", data=io.BytesIO(b"x" * (MAX_BODY_BYTES + 1))) as response:
            status, error = await fault(response)
    assert (status, error["code"]) == (413, "request_too_large")


async def test_a_body_that_is_not_packed_as_it_says_is_the_callers_fault(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText()) as at:
        headers = {"Content-Encoding": "gzip"}
        async with at.client.post("/v1/chat/completions", data=b"\x1f\x8bno", headers=headers) as response:
            status, error = await fault(response)
    assert (status, error["code"]) == (400, "bad_encoding")


async def test_nonsense_on_the_port_is_answered_and_is_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with door(tmp_path, ScriptedText()) as at:
        for said in (b"\x16\x03\x01", b"GET / HTTP/1.1\r\nContent-Length: -1", b"GET / HTTP/1.1"):
            reader, writer = await asyncio.open_connection("127.0.0.1", at.server.port)
            writer.write(said + b"\r\n\r\n")
            assert b" 400 " in await reader.readline()
            writer.close()
    assert caplog.records == []


async def test_half_a_body_does_not_hold_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_S", 0.1)
    gate = Gate(1)
    async with door(tmp_path, gate=gate) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.server.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert b" 408 " in await reader.readline()
        await gate.empty()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405)]
)
async def test_a_wrong_address_is_said_in_the_same_shape(tmp_path: Path, method: str, path: str, status: int) -> None:
    async with door(tmp_path) as at, at.client.request(method, path) as response:
        found, error = await fault(response)
    assert found == status
    assert path in error["message"]


class FromUser:
    """A connection on the socket by a program of this user, as the system tells of it."""

    def __init__(self, user: int) -> None:
        self.transport = self
        self._user = user

    def get_extra_info(self, name: str) -> FromUser:
        return self

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        return struct.pack("3i", 1, self._user, 1)


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="this system does not tell who is at the other end")
async def test_another_user_of_this_device_is_turned_away_also_where_the_socket_is_open_to_all() -> None:
    async def handler(request: object) -> str:
        return "let in"

    for user in (os.getuid(), 0):
        assert await only_the_owner(FromUser(user), handler) == "let in"  # type: ignore[arg-type, comparison-overlap]
    with pytest.raises(Refused, match="another user"):
        await only_the_owner(FromUser(os.getuid() + 1), handler)  # type: ignore[arg-type]


async def test_the_owners_door_is_not_on_the_network_port(tmp_path: Path) -> None:
    async with door(tmp_path) as at, at.client.post("/covey/ask", json={"text": "x"}) as response:
        assert response.status == 404


async def test_the_socket_is_the_owners_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    async with door(tmp_path):
        found = os.stat(tmp_path / SOCKET)
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o600
    assert not (tmp_path / SOCKET).exists()


async def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    other = paths.ensure_home(tmp_path / "other")
    async with door(tmp_path / "one") as at, open_node(other, pool=ScriptedPool()) as node:
        with pytest.raises(
            PortInUse, match=rf"Port {at.server.port} can't be used \(Address already in use\)\. .*--port"
        ):
            async with serving(node, at.server.port):
                pass


async def test_stopping_lets_an_answer_end_and_lets_nobody_in(tmp_path: Path) -> None:
    model = ScriptedText(["one two three four five six seven eight"], fault="slow")
    async with door(tmp_path, model) as at, at.chat(stream=True) as response:
        first = await response.content.readuntil(b"\n\n")
        drained = asyncio.create_task(at.server.drain(10, asyncio.Event()))
        await asyncio.sleep(0)
        async with at.chat() as late:
            status, error = await fault(late)
            assert "Retry-After" in late.headers
        assert (status, error["code"]) == (503, "stopping")
        assert events(first + await response.read())[-1]["choices"][0]["finish_reason"] == "stop"
        assert await drained


async def test_stopping_does_not_wait_past_its_deadline_or_a_second_signal(tmp_path: Path) -> None:
    model = ScriptedText(["word " * 1000] * 2, fault="slow")
    async with door(tmp_path, model) as at:
        async with at.chat(stream=True) as response:
            await response.content.readline()
            assert not await at.server.drain(0.05, asyncio.Event())
            hurry = asyncio.Event()
            hurry.set()
            assert not await at.server.drain(60, hurry)
