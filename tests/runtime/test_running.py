"""`covey ask` through a node that runs: the same answers, the same errors, and no trouble when it is gone."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from models.backends.scripted import ScriptedPool, ScriptedText
from models.errors import NotInstalled
from models.types import Chunk, Label
from runtime import paths
from runtime.api.gate import Gate
from runtime.asking import Answer, Ask, Restarted, Source
from runtime.cli.given import ask_from
from runtime.cli.main import main
from runtime.cli.up import only_node
from runtime.errors import DocumentMissing, UsageError
from runtime.history import Turn
from runtime.node import Node, open_node
from runtime.running import SOCKET, RunningNode, nearest_node, socket_address
from runtime.wire import NodeError, ask_from_json, ask_to_json, from_line, to_line
from tests.runtime.api.serving import MODEL, door

SUM = "What is 17.5% of 2,340 plus 12?"
TALK = Ask("Say something about rain", capability="generate", seed=3)
Script = Callable[[], ScriptedText]


def _writer() -> ScriptedText:
    return ScriptedText(lambda call: "Rain falls on the roof.")


@pytest.mark.parametrize("ask", [Ask(SUM), TALK, Ask("zzz qqq")], ids=["computed", "written", "not sure"])
async def test_asking_the_running_node_equals_asking_in_process(tmp_path: Path, ask: Ask) -> None:
    async with open_node(paths.ensure_home(tmp_path / "a"), pool=ScriptedPool({MODEL: _writer()})) as node:
        here = [item async for item in node.stream(ask)]
    async with door(tmp_path / "b", _writer()) as at:
        there = [item async for item in RunningNode(at.node.home).stream(ask)]
    assert [_comparable(item) for item in there] == [_comparable(item) for item in here]
    assert isinstance(there[-1], Answer)


def _comparable(item: object) -> object:
    if not isinstance(item, Answer):
        return item
    result = replace(item.result, usage=replace(item.result.usage, seconds=0.0, model_seconds=0.0))
    return replace(item, task_id="", seconds=0.0, result=result)


async def test_a_file_is_named_so_that_the_node_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "note.txt").write_text("The door code is 4711.")
    monkeypatch.chdir(tmp_path)
    model = ScriptedText(lambda call: "fine")
    ask = Ask("Write a poem about this", files=(Path("note.txt"),), capability="generate")
    async with door(tmp_path / "home", model) as at:
        monkeypatch.chdir("/")
        with pytest.raises(DocumentMissing):
            await RunningNode(at.node.home).ask(ask)
        monkeypatch.chdir(tmp_path)
        await RunningNode(at.node.home).ask(ask)
    assert "4711" in model.calls[-1].messages[-1].content


async def test_standard_input_is_read_once_however_often_the_node_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First whether rules settle the request, then for the answer."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"The door code is 4711.")))
    nothing: dict[str, Any] = {"label": "", "tier": "home", "risk": None, "schema": None}
    asked = ask_from("Write a poem about this", files=[Path("-")], capability="generate", **nothing)
    model = ScriptedText(lambda call: "fine")
    async with door(tmp_path / "home", model) as at:
        running = RunningNode(at.node.home)
        assert not await running.computed(asked)
        await running.ask(asked)
    assert "4711" in model.calls[-1].messages[-1].content


async def test_an_error_of_the_node_is_the_same_error_here(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        with pytest.raises(NotInstalled):
            await RunningNode(at.node.home).ask(TALK)


async def test_hanging_up_cancels_the_work(tmp_path: Path) -> None:
    model, gate = ScriptedText(["word " * 1000], fault="slow"), Gate()
    async with door(tmp_path, model, gate=gate) as at:
        stream = RunningNode(at.node.home).stream(TALK)
        assert isinstance(await anext(stream), Chunk)
        await stream.aclose()
        async with asyncio.timeout(3):
            await gate.empty()
        assert model.running == 0


async def test_a_full_node_says_so(tmp_path: Path) -> None:
    async with door(tmp_path, gate=Gate(0)) as at:
        with pytest.raises(NodeError, match="Try again in"):
            await RunningNode(at.node.home).ask(TALK)


async def test_rules_are_asked_at_the_node(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        running = RunningNode(at.node.home)
        assert await running.computed(Ask(SUM))
        assert not await running.computed(TALK)


async def test_the_nearest_node_is_the_one_that_runs(tmp_path: Path) -> None:
    async with door(tmp_path), nearest_node(tmp_path) as nearest:
        assert isinstance(nearest, RunningNode)
    async with nearest_node(tmp_path) as nearest:
        assert isinstance(nearest, Node)


async def test_a_socket_that_a_crash_left_is_passed_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left, socket_address(tmp_path) as address:
        left.bind(address)
    assert (tmp_path / SOCKET).exists()
    async with nearest_node(tmp_path) as nearest:
        assert isinstance(nearest, Node)


async def test_a_folder_with_a_very_long_path_works_too(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 20) / ("path" * 20)
    async with door(home) as at:
        assert await RunningNode(at.node.home).answers()


LINE = to_line(Chunk(0, "half"))


@pytest.mark.parametrize("said", [b"", b"HTTP/1.0 200 OK\r\n\r\n" + LINE, b"HTTP/1.0 200 OK\r\n\r\n" + LINE[:-5]])
async def test_a_node_that_ends_half_way_is_one_sentence(tmp_path: Path, said: bytes) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        writer.close()
        await writer.wait_closed()

    with socket_address(tmp_path) as address:
        async with await asyncio.start_unix_server(hang_up, address):
            with pytest.raises(NodeError, match="Ask again"):
                await RunningNode(tmp_path).ask(TALK)


async def test_a_node_that_ends_before_it_has_read_the_request_is_the_same_sentence(tmp_path: Path) -> None:
    """The system then says that the connection was reset, or that the pipe is broken."""

    async def killed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    with socket_address(tmp_path) as address:
        async with await asyncio.start_unix_server(killed, address):
            with pytest.raises(NodeError, match="Ask again"):
                await RunningNode(tmp_path).ask(replace(TALK, text="long " * 10**6))


async def test_a_node_that_ends_between_two_questions_is_the_same_sentence(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="Ask again"):
        await RunningNode(tmp_path).ask(TALK)


def test_a_second_node_in_one_folder_is_refused_and_leaves_the_first_alone(tmp_path: Path) -> None:
    with only_node(tmp_path):
        (tmp_path / SOCKET).touch()
        with pytest.raises(UsageError, match="already running"), only_node(tmp_path):
            pass
        assert (tmp_path / SOCKET).exists()
    with only_node(tmp_path):
        assert not (tmp_path / SOCKET).exists()


def test_every_field_of_an_ask_survives_the_wire() -> None:
    ask = Ask(
        "text",
        files=(Path("/a/b"),),
        sources=(Source("n", "t", Label.SECRET, notes=("x",)),),
        label=Label.SENSITIVE,
        capability="extract",
        given={"deep": [1, 1.5, None, True, {"a": "b"}]},
        schema={"type": "object"},
        functions=({"name": "f"},),
        history=(Turn("system", "s"), Turn("user", "u")),
        conversation=True,
        program=True,
        conversation_id="0" * 32,
        risk=0.05,
        deadline_s=3.0,
        budget_tokens=9,
        seed=8,
    )
    changed = [f.name for f in fields(Ask) if getattr(ask, f.name) == getattr(Ask("text"), f.name)]
    assert changed == ["text", "trust", "ceiling"]
    assert ask_from_json(ask_to_json(ask)) == ask


@pytest.mark.parametrize("item", [Chunk(3, "grün\n", (1, 2)), Restarted("again")])
def test_items_survive_the_wire(item: Chunk | Restarted) -> None:
    line = to_line(item)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert from_line(line) == item


@pytest.mark.parametrize("error", [NotInstalled("a"), UsageError("b"), NodeError("c")])
def test_errors_survive_the_wire(error: Exception) -> None:
    found = from_line(to_line(error))  # type: ignore[arg-type]
    assert (type(found), str(found)) == (type(error), str(error))


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"event":"dance"}', b'{"event":"chunk","chunk":{}}'])
def test_a_line_that_says_nothing_known_is_an_error(line: bytes) -> None:
    with pytest.raises(NodeError, match="covey up"):
        from_line(line)


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"text": 4}', b'{"text":"x","label":77}'])
async def test_an_ask_that_can_not_be_read_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(UsageError, match="Update Covey"):
        ask_from_json(body)


@pytest.mark.timeout(60)
def test_up_serves_ask_ends_politely_and_a_second_up_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real commands in real processes: up, ask, up again, and a polite stop."""
    environ = {**os.environ, "COVEY_OFFLINE": "1"}
    command = [sys.executable, "-m", "runtime.cli.main"]
    node = subprocess.Popen([*command, "up", "--port", "0", "--json"], stdout=subprocess.PIPE, env=environ, text=True)
    try:
        assert node.stdout is not None
        up = json.loads(node.stdout.readline())
        assert up["status"] == "up" and up["pid"] == node.pid
        asked = subprocess.run(
            [*command, "ask", SUM, "--json"], capture_output=True, env=environ, text=True, timeout=30
        )
        assert "421.5" in json.loads(asked.stdout)["answer"]
        assert main(["up", "--port", "0", "--json"]) == 2
        assert "already running" in json.loads(capsys.readouterr().out)["error"]["message"]
        node.send_signal(signal.SIGTERM)
        assert node.wait(15) == 0
        assert not (Path(environ["COVEY_HOME"]) / SOCKET).exists()
    finally:
        node.kill()
        node.communicate()


async def test_a_node_that_was_stopped_in_its_tracks_is_not_waited_for_without_end(tmp_path: Path) -> None:
    """The system takes connections for a stopped process, so that connecting alone says nothing."""
    home = paths.ensure_home(tmp_path / "home")
    with socket.socket(socket.AF_UNIX) as silent, socket_address(home) as address:
        silent.bind(address)
        silent.listen(4)
        running = RunningNode(home, answer_s=0.2)
        assert await running.answers()
        with pytest.raises(NodeError, match="start it again"):
            await running.computed(TALK)
        with pytest.raises(NodeError, match="start it again"):
            await running.ask(TALK)
