"""A next turn of a conversation does not read its history again, in this process, after a restart and in a node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtime.api.server import serving
from runtime.asking import Answer, Ask
from runtime.config import Settings
from runtime.history import Turn
from runtime.node import Node, open_node
from runtime.running import RunningNode

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

FIRST = "My name is Ann and I keep bees in a garden by the river. " * 6 + "Greet me in one sentence."
ID = "0123456789abcdef" * 2
NEW_TOKENS = 48
"""At most so many of the second turn are new: its question, the marks around it, the end of the answer before it."""


def _link(home: Path, models_home: Path) -> None:
    home.mkdir(exist_ok=True)
    if not (home / "models").exists():
        (home / "models").symlink_to(models_home / "models")


@asynccontextmanager
async def opened(home: Path, models_home: Path) -> AsyncIterator[Node]:
    _link(home, models_home)
    async with open_node(home, Settings(models={"generate": ("smollm2-135m",)}, threads=2)) as node:
        yield node


async def turn(node: Node | RunningNode, text: str, before: Answer | None = None) -> Answer:
    history = () if before is None else (Turn("user", FIRST), Turn("assistant", said(before)))
    ask = Ask(text, capability="generate", conversation=True, conversation_id=ID, history=history, budget_tokens=32)
    return await node.ask(ask)


def said(answer: Answer) -> str:
    refusal = answer.result.refusal
    return answer.result.text or (refusal.found if refusal else "")


def new_tokens(answer: Answer) -> int:
    usage = answer.result.usage
    return usage.prompt_tokens - usage.cached_tokens


async def test_a_second_turn_reads_only_what_is_new(tmp_path: Path, models_home: Path) -> None:
    async with opened(tmp_path / "home", models_home) as node:
        first = await turn(node, FIRST)
        second = await turn(node, "What do I keep?", first)
    assert first.result.usage.prompt_tokens > 90
    assert new_tokens(second) <= NEW_TOKENS


async def test_a_conversation_outlives_its_models_process_and_not_forget(tmp_path: Path, models_home: Path) -> None:
    home = tmp_path / "home"
    async with opened(home, models_home) as node:
        first = await turn(node, FIRST)
    kept = [path for path in (home / "conversations").iterdir() if path.suffix == ".state"]
    assert len(kept) == 1
    assert kept[0].stat().st_mode & 0o077 == 0
    async with opened(home, models_home) as node:
        assert new_tokens(await turn(node, "What do I keep?", first)) <= NEW_TOKENS
        await node.forget()
        assert not list((home / "conversations").glob("*.state"))
        assert new_tokens(await turn(node, "Where do I keep them?", first)) > 2 * NEW_TOKENS


async def test_a_running_node_keeps_a_conversation_until_it_is_told_to_forget(
    tmp_path: Path, models_home: Path
) -> None:
    async with opened(tmp_path / "home", models_home) as node, serving(node, 0):
        running = RunningNode(node.home)
        first = await turn(running, FIRST)
        assert new_tokens(await turn(running, "What do I keep?", first)) <= NEW_TOKENS
        await running.forget()
        assert new_tokens(await turn(running, "Where do I keep them?", first)) > 2 * NEW_TOKENS
