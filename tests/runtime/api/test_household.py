"""This device as a hub: a token for each device, quotas, nothing kept; and the client of another node asking it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub.book import Hub
from hub.tokens import Tokens
from models.backend import Delta, GenerateCall
from models.backends.scripted import ScriptedPool, ScriptedText
from models.types import Label, last
from peers.state import NodeState, open_state
from runtime import paths
from runtime.api.household import Household, HubPortInUse, household
from runtime.node import Node, open_node
from tests.hub import household as asking
from tests.runtime.api.serving import MODEL, events, fault
from tests.socket_guard import SocketGuard

PROMPT = "Nobody else may ever read this question."
ANSWER = "And nobody this answer."


@dataclass
class Box:
    """A hub that runs, with a client that has a token."""

    node: Node
    state: NodeState
    hub: Household
    tokens: Tokens
    client: aiohttp.ClientSession
    token: str

    def chat(self, token: str | None = None, **fields: Any) -> Any:
        body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], **fields}
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return self.client.post("/v1/chat/completions", json=body, headers=headers)


@asynccontextmanager
async def box(
    home: Path, model: ScriptedText | None = None, *, tls: bool | None = None, **quota: int
) -> AsyncIterator[Box]:
    pool = ScriptedPool({MODEL: model or ScriptedText([ANSWER] * 20)})
    tokens = Tokens(paths.ensure_home(home))
    token = tokens.mint("kitchen", **quota).reveal()
    state = open_state(home, machine="")
    async with (
        open_node(home, pool=pool) as node,
        household(node, state, "127.0.0.1", 0, tls=tls) as hub,
        aiohttp.ClientSession(f"http://127.0.0.1:{hub.port}") as client,
    ):
        yield Box(node, state, hub, tokens, client, token)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_device_with_a_token_gets_an_answer(tmp_path: Path, stream: bool) -> None:
    async with box(tmp_path) as hub:
        async with hub.chat(stream=stream) as response:
            assert response.status == 200
            assert "nobody" in (await response.text()).replace('"}', "")


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer covey-wrong", "Basic covey-wrong"])
async def test_without_a_token_there_is_no_answer_and_no_list(tmp_path: Path, header: str) -> None:
    headers = {"Authorization": header}
    async with box(tmp_path) as hub:
        for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/nowhere")):
            async with hub.client.request(method, path, headers=headers) as response:
                status, error = await fault(response)
                assert (status, error["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("damaged", ["hubs/tokens.json", "node/ledger.head"])
async def test_a_hub_whose_files_are_damaged_says_so_and_not_where_they_are(tmp_path: Path, damaged: str) -> None:
    async with box(tmp_path) as hub:
        (hub.node.home / damaged).write_text("{")
        async with hub.chat() as response:
            status, error = await fault(response)
    assert status == 503
    assert "covey ledger verify" in error["message"] and str(tmp_path) not in error["message"]


async def test_health_is_open_and_tells_a_stranger_nothing(tmp_path: Path) -> None:
    async with box(tmp_path) as hub, hub.client.get("/health") as response:
        assert await response.json() == {"status": "ok"}


def files(folder: Path) -> bytes:
    """All that a node has on the disk."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_nothing_of_question_or_answer_is_on_the_disk_and_the_ledger_has_its_size(tmp_path: Path) -> None:
    async with box(tmp_path) as hub:
        async with hub.chat() as response:
            sent = await response.read()
        assert hub.node.journal.tasks(10) == []
    released, opened = hub.state.ledger.entries()
    assert (opened.act, released.act, released.size_bytes) == ("opened", "release", len(sent))
    assert (released.recipient_name, released.label) == ("kitchen", Label.PERSONAL)
    assert hub.state.ledger.bytes_of(released) is None and hub.state.ledger.verify().ok
    kept = files(tmp_path)
    assert b"Nobody else" not in kept and b"nobody this answer" not in kept and hub.token.encode() not in kept


async def test_answers_go_out_with_a_live_release_only(tmp_path: Path, socket_guard: SocketGuard) -> None:
    async with box(tmp_path) as hub:
        async with hub.chat(stream=True) as response:
            await response.read()
        assert socket_guard.take() == []


async def test_a_used_up_day_and_a_rate_are_said_with_429(tmp_path: Path) -> None:
    async with box(tmp_path, per_minute=2, tokens_per_day=3) as hub:
        async with hub.chat() as response:
            assert json.loads(await response.text())["usage"]["total_tokens"] > 3
        async with hub.chat() as response:
            assert (await fault(response))[1]["code"] == "insufficient_quota"
            assert response.headers["Retry-After"]
        async with hub.chat() as response:
            assert (await fault(response))[1]["code"] == "rate_limit_exceeded"


class InThrees(ScriptedText):
    """Tells three tokens at once, as a fast model does to a slow reader."""

    async def generate(self, call: GenerateCall):  # type: ignore[no-untyped-def,override]
        async for item in super().generate(call):
            yield replace(item, token_ids=item.token_ids * 3) if isinstance(item, Delta) else item


async def test_a_client_that_leaves_early_has_used_what_was_read_and_written(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "word " * 300}]
    async with box(tmp_path, InThrees(["word " * 400], fault="slow")) as hub:
        async with hub.chat(stream=True, messages=messages) as response:
            for _ in range(5):  # its role, and four pieces
                await response.content.readuntil(b"\n\n")
        async with asyncio.timeout(10):
            await hub.hub.gate.empty()
        assert 300 + 4 * 3 <= hub.tokens.all()[0].used < 800


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_ended_has_used_exactly_what_it_says(tmp_path: Path, stream: bool) -> None:
    async with box(tmp_path) as hub:
        async with hub.chat(stream=stream, stream_options={"include_usage": True}) as response:
            said = events(await response.read())[-1] if stream else await response.json()
        assert hub.tokens.all()[0].used == said["usage"]["total_tokens"]


async def test_a_client_that_leaves_while_its_answer_is_entered_leaves_no_entry_open(tmp_path: Path) -> None:
    begun, disk = threading.Event(), threading.Event()
    async with box(tmp_path) as hub:
        clock = hub.state.ledger._clock_ns

        def slow() -> int:
            begun.set()
            disk.wait(10)
            return clock()

        hub.state.ledger._clock_ns = slow
        client = asyncio.create_task(_read_whole(hub))
        assert await asyncio.to_thread(begun.wait, 10)
        client.cancel()
        await asyncio.wait({client})
        for _ in range(500):  # until the server has heard of it
            if not hub.hub.gate.inside or any(task.cancelling() for task in asyncio.all_tasks()):
                break
            await asyncio.sleep(0.01)
        disk.set()
        async with asyncio.timeout(10):
            await hub.hub.gate.empty()
        assert [entry.act for entry in hub.state.ledger.entries()] == ["release", "opened"]


async def _read_whole(hub: Box) -> None:
    async with hub.chat() as response:
        await response.read()


async def test_a_revoked_token_ends_at_once(tmp_path: Path) -> None:
    async with box(tmp_path) as hub:
        hub.tokens.revoke("kitchen")
        async with hub.chat() as response:
            assert (await fault(response))[0] == 401


async def test_the_whole_node_is_not_offered(tmp_path: Path) -> None:
    async with box(tmp_path) as hub:
        async with hub.client.get("/v1/models", headers={"Authorization": f"Bearer {hub.token}"}) as response:
            assert [one["id"] for one in (await response.json())["data"]] == [MODEL]
        async with hub.chat(model="covey") as response:
            assert (await fault(response))[1]["code"] == "model_not_found"
        assert hub.state.ledger.entries() == []


async def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    async with box(tmp_path) as hub:
        with pytest.raises(HubPortInUse, match="--port 4600"):
            async with household(hub.node, hub.state, "127.0.0.1", hub.hub.port):
                pass


async def test_a_hub_that_stops_lets_an_answer_end_and_lets_nobody_in(tmp_path: Path) -> None:
    async with box(tmp_path, ScriptedText([ANSWER], fault="slow")) as hub, hub.chat(stream=True) as response:
        first = await response.content.readuntil(b"\n\n")
        drained = asyncio.create_task(hub.hub.gate.drain(10, asyncio.Event()))
        await asyncio.sleep(0)
        async with hub.chat() as late:
            assert late.status == 503
        assert (first + await response.read()).rstrip().endswith(b"[DONE]")
        assert await drained


async def test_another_node_asks_it_over_tls_by_its_fingerprint(tmp_path: Path) -> None:
    async with box(tmp_path / "box", tls=True) as hub, asking.household(tmp_path, silence_s=10) as home:
        assert hub.hub.url().startswith("https://") and len(hub.hub.pin) == 64
        home.add(Hub("box", hub.hub.url(), MODEL, "home", ceiling=Label.PERSONAL, pin=hub.hub.pin), hub.token)
        result = await last(home.specialist("box").run(asking.request(PROMPT)))
        assert result.text == ANSWER
        assert result.usage.completion_tokens > 0
        assert home.questions == []
        (entry,) = home.state.ledger.entries()
        assert json.loads(home.state.ledger.bytes_of(entry) or b"")["messages"][-1]["content"] == PROMPT


def test_quotas_count_by_day_and_a_clock_set_back_gives_no_second_one(tmp_path: Path) -> None:
    now = [20_000 * 86400.0]
    tokens = Tokens(tmp_path, clock=lambda: now[0])
    tokens.mint("kitchen", tokens_per_day=10)
    tokens.count("kitchen", 8)
    assert tokens.left(tokens.all()[0]) == 2
    now[0] -= 86400
    assert tokens.left(tokens.all()[0]) == 2
    now[0] += 2 * 86400
    assert tokens.left(tokens.all()[0]) == 10


def test_a_new_token_ends_the_old_one_and_none_is_kept_in_the_clear(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    old, new = tokens.mint("kitchen").reveal(), tokens.mint("kitchen").reveal()
    assert tokens.find(old) is None
    found = tokens.find(new)
    assert found is not None and found.name == "kitchen"
    assert new not in (tmp_path / "hubs" / "tokens.json").read_text()
