"""The client of the benches, against a real server over scripted models; and the loops around it."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from models.backends.scripted import ScriptedText
from scripts.benches.client import BrokenOff, Client, Unanswered, at_once, chat
from tests.runtime.api.serving import MODEL, door


async def test_the_client_hears_text_times_and_tokens(tmp_path: Path) -> None:
    model = ScriptedText(["one two three four"], seconds_per_token=0.02)
    heard_pieces: list[str] = []
    async with door(tmp_path, model) as at, Client(f"http://127.0.0.1:{at.server.port}", MODEL) as client:
        heard = await client.ask(chat("Be brief.", "Count."), 16, heard=heard_pieces.append)
    assert heard.text == "".join(heard_pieces) == "one two three four"
    assert heard.tokens == len(heard.arrivals) == 4
    assert 0.02 <= heard.first_s < heard.seconds
    assert 10 < heard.decode_rate <= 50
    assert len(heard.gaps) == 3
    assert model.calls[0].sampling.temperature == 0


async def test_a_refusal_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    async with door(tmp_path) as at, Client(f"http://127.0.0.1:{at.server.port}", "nobody") as client:
        with pytest.raises(Unanswered, match="404"):
            await client.ask(chat("a", "b"), 4)


async def test_a_server_that_is_gone_has_broken_off_without_a_reason(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(["one"])) as at:
        url = f"http://127.0.0.1:{at.server.port}"
    async with Client(url, MODEL) as client:
        with pytest.raises(BrokenOff):
            await client.ask(chat("a", "b"), 16)


async def test_an_answer_that_breaks_off_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    async with door(tmp_path, ScriptedText(["one two three four"] * 2, fault="dies")) as at:
        async with Client(f"http://127.0.0.1:{at.server.port}", MODEL) as client:
            with pytest.raises(Unanswered, match="worker_died") as found:
                await client.ask(chat("a", "b"), 16)
    assert not isinstance(found.value, BrokenOff), "it ended with a reason"


async def test_no_more_run_at_once_than_said_and_results_keep_their_order() -> None:
    running, most = 0, 0

    async def job(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (10 - number))
        running -= 1
        return number

    found, seconds = await at_once([partial(job, number) for number in range(10)], 3)
    assert found == list(range(10))
    assert most == 3
    assert seconds > 0
