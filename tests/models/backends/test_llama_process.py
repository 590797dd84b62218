"""The node's side of a worker process, with small programs in the place of the worker."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from models.backends import llama, llama_process
from models.backends.llama import LlamaModel
from models.backends.llama_process import Inbox
from models.backends.llama_settings import LlamaSettings
from models.errors import BackendError, WorkerDied
from models.types import ModelId

FOREWORD = """
import sys, time
from models.engine import framing
requests, replies = sys.stdin.buffer, sys.stdout.buffer
def say(**message):
    replies.write(framing.encode(message)); replies.flush()
framing.read(requests)
"""
SPEAKS_NONSENSE = """
say(op="loaded")
framing.read(requests)
replies.write(b"\\xff" * 4); replies.flush()
time.sleep(60)
"""
SPEAKS_OF_NOTHING = """
say(op="loaded")
framing.read(requests)
say(**{says})
time.sleep(60)
"""
DIES = """
say(op="loaded")
framing.read(requests)
print("what went wrong", file=sys.stderr, flush=True)
sys.exit(7)
"""
NEVER_ANSWERS = """
say(op="loaded")
while framing.read(requests): pass
"""
HAS_A_FAULT = """
from models.engine import worker
class Faulty(worker.Worker):
    def __init__(self, inbox, replies, load, cancelled):
        self.inbox = inbox
        worker._write(replies, {"op": "loaded"})
    def serve(self):
        self.inbox.get()
        raise KeyError("what was asked")
worker.main(Faulty)
"""
NEVER_LOADS = "time.sleep(60)"


WEIGHTS = Path(__file__)
"""A file that is there; no program here reads it."""


def stand_in(program: str) -> LlamaModel:
    command = (sys.executable, "-c", FOREWORD + program)
    return LlamaModel(ModelId("stand-in"), WEIGHTS, (), LlamaSettings(), command=command)


async def asked(model: LlamaModel) -> int:
    return await asyncio.wait_for(model.count_tokens("x"), 10)


async def test_unreadable_worker_is_ended_and_nobody_waits_for_it() -> None:
    model = stand_in(SPEAKS_NONSENSE)
    pids = set()
    for _ in range(2):
        with pytest.raises(WorkerDied):
            await asked(model)
        pids.add(model.process_id)
    assert len(pids) == 2
    await model.close()


@pytest.mark.parametrize("says", [{"x": 1}, {"op": "count", "tokens": 1}, {"id": 1}, {"id": [1], "op": "count"}])
async def test_worker_that_names_no_request_or_no_kind_is_ended_and_the_log_says_why(
    says: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    model = stand_in(SPEAKS_OF_NOTHING.replace("{says}", repr(says)))
    with pytest.raises(WorkerDied):
        await asked(model)
    await model.close()
    assert "unreadable" in caplog.text


async def test_worker_whose_first_word_has_no_kind_has_not_loaded() -> None:
    model = stand_in("say(x=1)\ntime.sleep(60)")
    with pytest.raises(WorkerDied):
        await asked(model)


async def test_how_a_worker_ended_is_told_as_it_was() -> None:
    """The end of its pipe and its status come in either order."""
    model = stand_in(DIES)
    for _ in range(8):
        with pytest.raises(WorkerDied, match=r"\(status 7: what went wrong\)"):
            await asked(model)
    await model.close()


async def test_fault_in_the_workers_own_loop_is_told_in_a_sentence_and_without_what_was_asked() -> None:
    model = LlamaModel(ModelId("m"), WEIGHTS, (), LlamaSettings(), command=(sys.executable, "-c", HAS_A_FAULT))
    for _ in range(2):
        with pytest.raises(WorkerDied, match=r"\(status 1: .*KeyError at .*:\d+\)") as caught:
            await asked(model)
        assert "what was asked" not in str(caught.value)
    await model.close()


async def test_closing_tells_those_who_wait() -> None:
    model = stand_in(NEVER_ANSWERS)
    waiting = [asyncio.create_task(asked(model)) for _ in range(3)]
    while model._worker is None or len(model._worker._inboxes) < 3:  # noqa: ASYNC110  # another process loads
        await asyncio.sleep(0.01)
    await model.close()
    assert all(isinstance(end, WorkerDied) for end in await asyncio.gather(*waiting, return_exceptions=True))


async def test_start_that_is_given_up_is_made_anew_by_the_next_request() -> None:
    model = stand_in(NEVER_LOADS)
    for _ in range(2):
        waiting = asyncio.create_task(model.count_tokens("x"))
        while model.process_id is None:  # noqa: ASYNC110  # another process starts
            await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled() and model.process_id is None


HANGS_AFTER_CANCELS = """
say(op="loaded")
while (message := framing.read(requests)):
    if message["op"] == "cancel":
        say(op="cancelled", id=message["id"])
"""


async def test_load_that_takes_too_long_is_not_called_a_death(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama, "LOAD_S", 0.5)
    model = stand_in(NEVER_LOADS)
    with pytest.raises(BackendError, match=r"stand-in took more than 0 s to load, .* Ask again") as caught:
        await asked(model)
    assert not isinstance(caught.value, WorkerDied) and model.process_id is None


async def test_worker_that_hangs_is_ended_and_the_next_request_starts_another(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(llama_process, "SILENT_S", 0.2)
    model = stand_in(NEVER_ANSWERS)
    pids = set()
    for _ in range(2):
        with pytest.raises(WorkerDied):
            await asked(model)
        pids.add(model.process_id)
    await model.close()
    assert len(pids) == 2 and "not said a word" in caplog.text


async def test_worker_that_owes_nothing_may_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that was cancelled is heard of once more, and then never again."""
    model = stand_in(HANGS_AFTER_CANCELS)
    asking = asyncio.create_task(model.count_tokens("x"))
    while not model.unended:  # noqa: ASYNC110  # another process loads
        await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert asking.cancelled()
    while model.unended:  # noqa: ASYNC110  # another process answers
        await asyncio.sleep(0.01)
    monkeypatch.setattr(llama_process, "SILENT_S", 0.0)
    assert model._worker is not None and model._worker.serves
    await model.close()


def delta(index: int, text: str, *tokens: int) -> dict[str, Any]:
    return {"op": "delta", "index": index, "text": text, "tokens": list(tokens)}


async def test_what_a_slow_reader_has_not_taken_is_joined_and_no_token_is_lost() -> None:
    inbox = Inbox()
    for n in range(2000):
        inbox.put(delta(n, f"{n} ", n))
        assert len(inbox) == 1
    inbox.put({"op": "finish"})
    assert len(inbox) == 2
    piece = await inbox.get()
    assert piece == delta(0, "".join(f"{n} " for n in range(2000)), *range(2000))
    assert (await inbox.get())["op"] == "finish"


async def test_details_of_joined_pieces_are_joined_with_them() -> None:
    inbox = Inbox()
    inbox.put(delta(0, "a", 7) | {"details": [[b"a", None, []]]})
    inbox.put(delta(1, "bc", 8, 9) | {"details": [[b"b", None, []], [b"c", None, []]]})
    piece = await inbox.get()
    assert (piece["tokens"], [data for data, *_ in piece["details"]]) == ([7, 8, 9], [b"a", b"b", b"c"])


async def test_reader_that_keeps_up_gets_each_piece() -> None:
    inbox = Inbox()
    for n in range(3):
        inbox.put(delta(n, "a", n))
        assert await inbox.get() == delta(n, "a", n)
    waiting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put(delta(3, "b", 3))
    assert (await waiting)["text"] == "b"
