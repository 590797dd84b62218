"""One node, assembled: over scripted models, in a folder of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pytest

from models.backends.scripted import ScriptedPool, ScriptedText
from models.errors import NotInstalled
from models.types import Chunk, Request
from runtime.asking import Ask
from runtime.config import Settings
from runtime.errors import ConfigError, HomeNotWritable, UsageError
from runtime.node import Node, open_node
from runtime.task import Status

WRITES = "Write a short poem about rain"
HEAVY = ("numpy", "onnxruntime", "llama_cpp", "aiohttp", "rich", "pint", "dateparser", "jsonschema", "sklearn")


@asynccontextmanager
async def _node(home: Path, *replies: str, settings: Settings | None = None) -> AsyncIterator[Node]:
    pool = ScriptedPool(text={"smollm2-135m": ScriptedText(list(replies), name="smollm2-135m")})
    async with open_node(home, settings, pool=pool, today=lambda: date(2026, 3, 2)) as node:
        yield node


async def test_a_calculation_needs_no_model(tmp_path: Path) -> None:
    async with open_node(tmp_path, pool=ScriptedPool()) as node:
        answer = await node.ask(Ask("What is 17.5% of 2,340 plus 12?"))
        assert await node.computed(Ask("What is 17.5% of 2,340 plus 12?"))
    assert answer.result.output == {"value": "421.5", "exact": "843/2"}
    assert [verdict.outcome for verdict in answer.verdicts] == ["pass"]


def test_a_calculation_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from runtime.asking import Ask\n"
        "from runtime.node import open_node\n"
        "async def main():\n"
        f"    async with open_node(Path({str(tmp_path)!r})) as node:\n"
        "        print((await node.ask(Ask('2 + 2'))).result.text)\n"
        "asyncio.run(main())\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    assert run.stdout.splitlines() == ["2 + 2 = 4", "[]"]


async def test_a_model_answers_through_its_specialist(tmp_path: Path) -> None:
    async with _node(tmp_path, "Rain falls on the roof.") as node:
        items = [item async for item in node.stream(Ask(WRITES))]
        assert not await node.computed(Ask(WRITES))
    text = "".join(item.text for item in items if isinstance(item, Chunk))
    assert text.strip() == "Rain falls on the roof."


async def test_without_its_model_a_request_says_what_to_pull(tmp_path: Path) -> None:
    async with open_node(tmp_path, pool=ScriptedPool()) as node:
        with pytest.raises(NotInstalled, match="covey models pull"):
            await node.ask(Ask(WRITES))


async def test_without_the_embedder_the_second_stage_is_skipped_with_the_reason(tmp_path: Path) -> None:
    async with _node(tmp_path) as node:
        answer = await node.ask(Ask("the colour of Tuesday"))
    assert answer.result.abstained
    assert "covey models pull bge-small-en" in answer.routing.reason


async def test_a_preview_runs_no_model(tmp_path: Path) -> None:
    async with _node(tmp_path) as node:  # a script without replies: a model that is asked fails the test
        routing, prepared = await node.preview(Ask(WRITES))
    assert routing.capability == "generate"
    assert prepared is not None
    assert prepared.problems == ()


async def test_a_capability_can_be_run_directly(tmp_path: Path) -> None:
    async with _node(tmp_path) as node:
        result = await node.run_capability(Request("calculate", {"expression": "6 * 7"}))
        with pytest.raises(UsageError):
            await node.run_capability(Request("fly", {}))
    assert result.text == "6 * 7 = 42"


async def test_a_file_is_searched(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("The deposit is 900 EUR.\nThe deposit is returned.", encoding="utf-8")
    async with _node(tmp_path / "home") as node:
        answer = await node.ask(Ask("find 'deposit' in this document", files=(letter,)))
    assert [quote.quote for quote in answer.result.evidence] == ["deposit", "deposit"]


async def test_the_owners_floor_is_used(tmp_path: Path) -> None:
    async with _node(tmp_path, "Rain.", settings=Settings(floors={"generate": 1.0})) as node:
        answer = await node.ask(Ask(WRITES))
    assert answer.result.abstained


async def test_two_nodes_may_use_one_folder(tmp_path: Path) -> None:
    async with _node(tmp_path, "One.") as first, _node(tmp_path, "Two.") as second:
        answers = await asyncio.gather(
            *(node.ask(Ask(text)) for node in (first, second) for text in ("1 + 1", "2 * 3", WRITES))
        )
    assert {answer.status for answer in answers} == {Status.COMPLETED}


async def test_a_damaged_settings_file_is_named(tmp_path: Path) -> None:
    _put(tmp_path / "settings.toml", "threads = 'many'")
    with pytest.raises(ConfigError, match="threads"):
        async with open_node(tmp_path):
            pass


async def test_a_folder_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    _put(tmp_path / "file", "")
    with pytest.raises(HomeNotWritable):
        async with open_node(tmp_path / "file" / "home"):
            pass


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
