"""A node that stays serves its paired devices: through its own specialists, bounded, with nothing of content kept."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from models.backends.scripted import ScriptedPool, ScriptedText
from models.errors import InputError, NotInstalled
from models.types import Request, last
from peers import discovery, membership, offer
from peers.client import PeerClient
from peers.codes import Address, new_pin
from peers.grants import own_device
from peers.joining import join
from peers.mdns import WINDOW
from peers.node_id import NodeId
from peers.offer import Offer
from peers.pairing import Paired
from peers.remote import RemoteSpecialist
from peers.state import NodeState, open_state
from runtime import paths
from runtime.errors import UsageError
from runtime.node import Node, open_node
from runtime.own_state import own_state
from runtime.peering import PeerPortInUse, peering
from runtime.reach import reach
from tests.peers.fake_multicast import Air
from tests.runtime.devices import done_for_others
from tests.runtime.household import device, pair

MODEL = "smollm2-135m"
PROMPT = "Tell me about the hidden lighthouse."


@asynccontextmanager
async def kitchen_and_laptop(home: Path, model: ScriptedText) -> AsyncIterator[tuple[Node, NodeState, NodeId]]:
    """A whole node that serves, and the bare state of a device that is paired with it."""
    laptop = open_state(home / "laptop", machine="")
    pool = ScriptedPool({MODEL: model})
    async with open_node(paths.ensure_home(home / "kitchen"), pool=pool) as node, peering(node, 0, "lo") as place:
        assert isinstance(place, Address)
        kitchen = own_state(node.home, node.settings)
        membership.admit(kitchen, Paired(laptop.identity.public, "laptop", (), 1), own_device())
        membership.admit(laptop, Paired(kitchen.identity.public, "kitchen", (str(place),), 1), own_device())
        yield node, laptop, kitchen.identity.node_id


async def _ask(laptop: NodeState, kitchen: NodeId, request: Request) -> str:
    async with PeerClient(laptop.identity, laptop.peers) as client:
        specialist = RemoteSpecialist(kitchen, request.capability, state=laptop, client=client)
        return (await last(specialist.run(request))).text


async def test_a_paired_device_has_its_work_done_by_this_nodes_specialists(tmp_path: Path) -> None:
    async with kitchen_and_laptop(tmp_path, ScriptedText(["It is there."])) as (_, laptop, kitchen):
        assert await _ask(laptop, kitchen, Request("generate", {"prompt": PROMPT})) == "It is there."
        assert "42" in await _ask(laptop, kitchen, Request("calculate", {"expression": "6 * 7"}))


async def test_of_others_work_figures_are_kept_and_no_content(tmp_path: Path) -> None:
    async with kitchen_and_laptop(tmp_path, ScriptedText(["A lighthouse."], name=MODEL)) as (node, laptop, kitchen):
        await _ask(laptop, kitchen, Request("generate", {"prompt": PROMPT}, traceparent="00-" + "a" * 32 + "-01"))
        task, spans = await done_for_others(node)
        assert {"laptop", MODEL} <= {str(value) for span in spans for value in span.attributes.values()}
        assert node.journal.state(task).status.value == "completed"
    with sqlite3.connect(paths.journal_file(tmp_path / "kitchen")) as database:
        dump = "\n".join(database.iterdump())
    assert "lighthouse" not in dump
    assert "traceparent" in dump
    files = [path for path in (tmp_path / "kitchen").rglob("*") if path.is_file()]
    assert any(path.name == "ledger.jsonl" for path in files)
    assert [path for path in files if b"lighthouse" in path.read_bytes()] == []


async def test_another_device_can_not_have_a_file_of_this_one_looked_at(tmp_path: Path) -> None:
    async with kitchen_and_laptop(tmp_path, ScriptedText([])) as (_, laptop, kitchen):
        with pytest.raises(InputError, match="for another device"):
            await _ask(laptop, kitchen, Request("filetype", {"path": "/etc/passwd"}))


async def test_what_nobody_here_does_is_said(tmp_path: Path) -> None:
    async with kitchen_and_laptop(tmp_path, ScriptedText([])) as (_, laptop, kitchen):
        with pytest.raises(NotInstalled, match="another device"):
            await _ask(laptop, kitchen, Request("fly", {}))


async def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with open_node(tmp_path, pool=ScriptedPool()) as node:
            with pytest.raises(PeerPortInUse, match=r"can't be used \(Address already in use\)\. .*--peer-port"):
                async with peering(node, taken.getsockname()[1], "lo"):
                    pass


async def test_off_opens_no_port_and_makes_no_key(tmp_path: Path) -> None:
    async with open_node(tmp_path, pool=ScriptedPool()) as node, peering(node, 0, "off") as place:
        assert place is None
    assert not (tmp_path / "node").exists()


@pytest.mark.parametrize(("given", "far"), [("", "auto"), ("lo", "lo"), ("off", "off"), ("auto", "auto")])
def test_the_owner_says_how_far_a_node_looks(given: str, far: str) -> None:
    assert reach({"COVEY_DISCOVERY": given}) == far


def test_a_word_that_is_none_of_them_is_refused() -> None:
    with pytest.raises(UsageError, match="off, lo or auto"):
        reach({"COVEY_DISCOVERY": "on"})


def test_two_running_nodes_are_paired_by_their_commands(tmp_path: Path) -> None:
    with device(tmp_path / "kitchen") as kitchen, device(tmp_path / "laptop") as laptop:
        pair(kitchen, laptop, "kitchen")
        (known,) = kitchen.run("peers", "list")["peers"]
        assert (known["name"], known["addresses"][-1]) == ("of-kitchen", laptop.up["peers"])


def test_two_running_nodes_keep_a_link_and_the_owner_sees_how_the_other_is(tmp_path: Path) -> None:
    with device(tmp_path / "kitchen") as kitchen, device(tmp_path / "laptop") as laptop:
        pair(kitchen, laptop, "kitchen")
        before = time.monotonic()
        while (link := laptop.run("peers", "list")["peers"][0]["link"])["health"] != "up":
            assert time.monotonic() - before < 10, "no link came about"
        assert link["running"] == 0
        assert kitchen.run("peers", "show", "of-kitchen")["link"]["health"] == "up"
        kitchen.process.terminate()
        kitchen.process.wait(10)
        before = time.monotonic()
        while laptop.run("peers", "list")["peers"][0]["link"]["health"] != "down":
            assert time.monotonic() - before < 5, "the end of the other node was not noticed"
    assert laptop.run("peers", "list")["peers"][0]["link"] is None


async def test_who_was_just_paired_is_not_found_as_a_device_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner types the next device's code at once: a window that is still announced would be spoken to instead."""
    monkeypatch.setattr(discovery, "TICK_S", 0.05)
    air, code, laptop = Air(), new_pin(), open_state(tmp_path / "laptop", machine="")
    async with (
        open_node(tmp_path / "kitchen", pool=ScriptedPool()) as node,
        peering(node, 0, "lo", opening=air.opening) as place,
    ):
        assert isinstance(place, Address)
        kitchen = own_state(node.home, node.settings)
        offer.write(kitchen.folder, Offer((code,), own_device(), kitchen.peers.now_ns()))
        async with asyncio.timeout(10):
            while not shows(air):  # noqa: ASYNC110  # what is waited for has no event
                await asyncio.sleep(0.01)
            monkeypatch.setattr(discovery, "TICK_S", 60.0)
            await asyncio.sleep(0.2)
            await join(laptop, membership.me(laptop, "laptop"), code, [place], own_device())
            while shows(air):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def shows(air: Air) -> bool:
    return any(plate.service == WINDOW for plate in air.plates)
