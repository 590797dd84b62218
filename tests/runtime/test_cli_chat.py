"""`covey chat`: turns, commands, and what Ctrl-C and the end of the input do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from models.backends.scripted import ScriptedPool, ScriptedText
from runtime.asking import Ask
from runtime.cli.chat import Conversation
from runtime.cli.starter import Starter
from runtime.history import Turn
from runtime.node import open_node


def _chat(lines: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "runtime.cli.main", "chat", *options],
        input=lines,
        capture_output=True,
        env={**os.environ, "COVEY_OFFLINE": "1"},
        timeout=50,
    )


def test_piped_lines_are_turns_and_the_end_leaves() -> None:
    run = _chat(b"2 + 2\n\n3 * 3\n")
    assert run.stdout.splitlines() == [b"2 + 2 = 4", b"3 * 3 = 9"]
    assert run.returncode == 0


def test_exit_leaves_before_the_end() -> None:
    assert _chat(b"2 + 2\nexit\n3 * 3\n").stdout.splitlines() == [b"2 + 2 = 4"]


def test_a_turn_that_fails_does_not_end_the_chat() -> None:
    run = _chat(b"hello there\n2 + 2\n")
    assert run.stdout.splitlines() == [b"2 + 2 = 4"]
    assert b"covey models pull" in run.stderr
    assert run.returncode == 0


def test_json_is_one_object_with_all_turns() -> None:
    run = _chat(b"2 + 2\nhello there\n", "--json")
    first, second = json.loads(run.stdout)["turns"]
    assert (first["text"], first["answer"], first["status"]) == ("2 + 2", "2 + 2 = 4", "completed")
    assert (second["status"], second["error"]["code"]) == ("failed", "model_not_installed")


def test_what_is_not_text_is_said_in_one_sentence() -> None:
    run = _chat(b"\xff\xfe\n")
    assert run.returncode == 2
    assert b"UTF-8" in run.stderr
    assert b"Traceback" not in run.stderr


@asynccontextmanager
async def _talk(home: Path, model: ScriptedText) -> AsyncIterator[Conversation]:
    async with open_node(home, pool=ScriptedPool(text={"smollm2-135m": model})) as node:
        yield Conversation(node, Starter(home), Ask("", conversation=True), silent=False)


async def test_earlier_turns_reach_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ScriptedText(["Hello Ann.", "You are Ann."], name="smollm2-135m")
    async with _talk(tmp_path, model) as talk:
        await talk.turn("I am Ann")
        await talk.turn("who am I")
    assert talk.history[:2] == (Turn("user", "I am Ann"), Turn("assistant", "Hello Ann."))
    contents = [message.content for message in model.calls[1].messages]
    assert "I am Ann" in contents
    assert "Hello Ann." in contents
    assert capsys.readouterr().out == "Hello Ann.\nYou are Ann.\n"


async def test_clear_forgets_the_conversation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with _talk(tmp_path, ScriptedText(["Hello."], name="smollm2-135m")) as talk:
        await talk.turn("I am Ann")
        await talk.command("/clear")
        assert talk.history == ()
        await talk.command("/trace")
        await talk.command("/dance")
    said = capsys.readouterr().err
    assert "covey traces show" in said
    assert "There is no such command" in said


async def test_a_long_conversation_keeps_only_what_fits(tmp_path: Path) -> None:
    model = ScriptedText(lambda call: "Yes.", name="smollm2-135m")
    async with _talk(tmp_path, model) as talk:
        for n in range(12):
            await talk.turn(f"turn {n} " + "and so on and on " * 40)
    assert len(talk.history) == 24
    assert len(model.calls[-1].messages) < 12
