"""The same request once more: it joins the work, or has the kept answer, and nothing is done twice."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.errors import ModelsError, WorkerDied
from models.types import Chunk, last
from peers import codec
from peers.conversions import subtask_of
from peers.messages import Done
from peers.node_id import of_key
from peers.replays import Replays, key_of
from tests.peers.nodes import Clock
from tests.peers.scripts import REQUEST, WORDS, ending_in, until, waiting_for
from tests.peers.swarm import count_to_five, pair


async def test_the_same_key_gives_the_same_answer_without_new_work(tmp_path: Path) -> None:
    keyed = replace(REQUEST, idempotency_key="once")
    async with pair(tmp_path) as (laptop, kitchen):
        first = await last(laptop.specialist(kitchen).run(keyed))
        again = await last(laptop.specialist(kitchen).run(keyed))
        assert first == again
        assert len(kitchen.asked) == 1
        await last(laptop.specialist(kitchen).run(replace(keyed, input={"prompt": "Something else."})))
        assert len(kitchen.asked) == 2


async def test_what_tells_a_large_request_from_others_is_worked_out_once_and_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packing and hashing 15 MiB takes some twenty milliseconds, in which no link would beat."""
    large, threads, encode = replace(REQUEST, input={"prompt": "x" * 300_000}, idempotency_key="once"), [], codec.encode

    def noting(message: codec.Message, *, limit: int = codec.MAX_MESSAGE_BYTES) -> bytes:
        if "asked" in message:
            threads.append(threading.get_ident())
        return encode(message, limit=limit)

    monkeypatch.setattr(codec, "encode", noting)
    async with pair(tmp_path) as (laptop, kitchen):
        assert (await last(laptop.specialist(kitchen).run(large))).output == WORDS
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_a_repeat_while_the_first_runs_joins_it(tmp_path: Path) -> None:
    keyed, go = replace(REQUEST, idempotency_key="once"), asyncio.Event()
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = waiting_for(go)
        first = laptop.specialist(kitchen).run(keyed)
        assert await anext(first) == Chunk(0, "one", (100,))
        second = laptop.specialist(kitchen).run(keyed)
        assert await anext(second) == Chunk(0, "one", (100,))
        go.set()
        assert (await last(first)).output == (await last(second)).output == "one"
        assert len(kitchen.asked) == 1


async def test_the_repeat_keeps_the_work_when_the_first_asker_leaves(tmp_path: Path) -> None:
    keyed, go = replace(REQUEST, idempotency_key="once"), asyncio.Event()
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = waiting_for(go)
        first, second = laptop.specialist(kitchen).run(keyed), laptop.specialist(kitchen).run(keyed)
        await anext(first)
        await anext(second)
        await first.aclose()
        await asyncio.sleep(0.2)
        assert kitchen.ended == []
        go.set()
        assert (await last(second)).output == "one"
        assert (len(kitchen.asked), kitchen.ended) == (1, ["done"])


async def test_work_ends_when_all_who_asked_have_left(tmp_path: Path) -> None:
    keyed, go = replace(REQUEST, idempotency_key="once"), asyncio.Event()
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = waiting_for(go)
        streams = [laptop.specialist(kitchen).run(keyed) for _ in range(2)]
        for stream in streams:
            await anext(stream)
        for stream in streams:
            await stream.aclose()
        await until(lambda: kitchen.ended == ["closed"])


async def test_work_that_failed_is_done_again_under_the_same_key(tmp_path: Path) -> None:
    keyed = replace(REQUEST, idempotency_key="once")
    async with pair(tmp_path) as (laptop, kitchen):
        kitchen.script = ending_in(WorkerDied("It died. Ask again."))
        with pytest.raises(ModelsError):
            await last(laptop.specialist(kitchen).run(keyed))
        kitchen.script = count_to_five
        assert (await last(laptop.specialist(kitchen).run(keyed))).output == WORDS


@pytest.mark.parametrize(
    "other",
    [
        {"capability": "extract"},
        {"input": {"prompt": "Count to six."}},
        {"seed": 1},
        {"resume_tokens": (100,)},
        {"budget_tokens": 7},
        {"idempotency_key": "twice"},
    ],
)
def test_a_key_that_is_used_again_for_other_work_finds_nothing(other: dict[str, Any]) -> None:
    replays, node, keyed = Replays(), of_key(b"laptop"), replace(REQUEST, idempotency_key="once")
    replays.keep(key_of(node, subtask_of(keyed, "f" * 32, node)), Done(output="x"))
    assert replays.find(key_of(node, subtask_of(keyed, "e" * 32, node))) is not None
    assert replays.find(key_of(node, subtask_of(replace(keyed, **other), "e" * 32, node))) is None


def test_a_kept_answer_lasts_ten_minutes_and_little_memory() -> None:
    clock, node = Clock(), of_key(b"laptop")
    replays = Replays(clock.seconds)
    subtask = subtask_of(replace(REQUEST, idempotency_key="once"), "f" * 32, node)
    replays.keep(key_of(node, subtask), Done(output="x"))
    clock.pass_s(599)
    assert replays.find(key_of(node, subtask)) is not None
    assert replays.find(key_of(of_key(b"other"), subtask)) is None
    clock.pass_s(2)
    assert replays.find(key_of(node, subtask)) is None
    keys = [key_of(node, subtask.model_copy(update={"idempotency_key": str(number)})) for number in range(30)]
    for key in keys:
        replays.keep(key, Done(text="x" * 2**20))
    assert replays.find(keys[0]) is None
    assert replays.find(keys[29]) is not None
