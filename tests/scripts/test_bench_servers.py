"""The nodes that benches start are an owner's, with the settings that the page names."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from models.backends.llama_settings import OwnersChoice
from runtime import config
from scripts.benches.client import Client, chat
from scripts.benches.servers import State, covey

STATE = State(context_tokens=512, state_tokens=1024)


def test_what_a_bench_says_of_a_node_is_its_settings_file() -> None:
    settings = config.parse(str(STATE), "settings.toml")
    assert settings.language_models() == OwnersChoice(context_tokens=512, state_tokens=1024)


@pytest.mark.real
@pytest.mark.timeout(120)
async def test_a_node_that_shows_every_token_shows_each_alone_and_keeps_its_settings(models_home: Path) -> None:
    pieces: list[str] = []
    async with covey(models_home, state=STATE, every_token=True) as node, Client(node.url, "smollm2-135m") as client:
        asked = chat("You tell stories.", "Write a long story about a lighthouse.")
        await asyncio.wait_for(client.ask(asked, 24, heard=pieces.append), 60)
        async with aiohttp.ClientSession() as session:
            long = {"model": "smollm2-135m", "messages": [{"role": "user", "content": "word " * 600}]}
            async with session.post(f"{node.url}/v1/chat/completions", json=long) as response:
                refused = await response.text()
    assert len(pieces) >= 22
    assert response.status == 400 and "512" in refused
