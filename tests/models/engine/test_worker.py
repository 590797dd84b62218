"""What a kept state depends on, and how the loop shares its time between messages and answers."""

from __future__ import annotations

import io
import queue
import time
from pathlib import Path
from typing import Any

import llama_cpp
import pytest

from models.engine import worker
from models.engine.counting import PIECE_CHARS, Counting
from models.engine.prefixes import FEWEST_TOKENS, PrefixFiles
from models.engine.prompts import Prompts
from models.errors import ContextOverflow
from tests.models.engine.scripted_library import Bench, expected

LOAD = {"digest": "ab" * 32, "reproducible": False, "kv_tokens": 2048, "threads": 2}
TOKENS = list(range(100))


def found(folder: Path, load: dict[str, Any]) -> bytes | None:
    return PrefixFiles(folder, worker._scope(load)).read(TOKENS)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    PrefixFiles(tmp_path, worker._scope(LOAD)).write(TOKENS, b"state")
    assert found(tmp_path, LOAD) == b"state"
    return tmp_path


@pytest.mark.parametrize(
    "other", [{"digest": "cd" * 32}, {"reproducible": True}, {"kv_tokens": 4096}, {"threads": 1}], ids=str
)
def test_state_of_another_model_or_setting_is_not_found(kept: Path, other: dict[str, Any]) -> None:
    assert found(kept, LOAD | other) is None


def test_state_of_another_library_is_not_found(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cpp, "__version__", "0.0.0")
    assert found(kept, LOAD) is None


def test_state_of_another_form_is_not_found(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STATE_VERSION", worker.STATE_VERSION + 1)
    assert found(kept, LOAD) is None


def test_short_prompt_of_a_specialist_is_not_kept_nor_looked_for(tmp_path: Path) -> None:
    files = PrefixFiles(tmp_path, "model")
    assert [worker._kept(own, files) for own in (0, FEWEST_TOKENS - 1, FEWEST_TOKENS, 300)] == [
        0,
        0,
        FEWEST_TOKENS,
        300,
    ]
    assert worker._kept(300, None) == 0


def test_state_of_other_tokens_is_not_found(kept: Path) -> None:
    files = PrefixFiles(kept, worker._scope(LOAD))
    assert files.read(TOKENS[:-1]) is None and files.read([*TOKENS, 1]) is None and files.read(TOKENS[::-1]) is None


class Slow(worker.Worker):
    """A worker without a model, that takes long for each message. A word is a token."""

    def __init__(self, bench: Bench, cancelled: set[int]) -> None:
        self.steps: list[int] = []
        """How many steps there had been when each message was handled, and when a piece of a text was counted."""
        self._bench = bench
        self._batch = bench.batch
        self._cancelled = cancelled
        self._replies = io.BytesIO()
        self._prompts = Slowly(self)
        self._counting = Counting(self._prompts.count)
        self._step_s = 0.0


class Slowly(Prompts):
    """Takes long to count, and a word is a token."""

    def __init__(self, serving: Slow) -> None:
        self._serving = serving
        self._limit = 100

    def count(self, text: str) -> int:
        self._serving.steps.append(len(self._serving._bench.library.calls))
        time.sleep(worker.BETWEEN_STEPS_S)
        return len(text.split())


def run(serving: Slow, messages: list[dict[str, Any]]) -> None:
    inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    for message in messages:
        inbox.put(message)
    while serving._busy:
        assert serving._turn(inbox)


@pytest.mark.parametrize(
    "texts", [["a word"] * 8, ["word " * (7 * PIECE_CHARS // 5)]], ids=["many messages", "a long text"]
)
def test_answers_go_on_between_messages_that_take_long(texts: list[str]) -> None:
    bench = Bench()
    bench.ask(1, [1, 2, 3], 60)
    serving = Slow(bench, set())
    run(serving, [{"op": "count", "id": 2 + n, "text": text} for n, text in enumerate(texts)])
    assert serving.steps == list(range(8))
    assert bench.answer(1) == expected([1, 2, 3], 60)


def test_cancelled_request_leaves_although_its_message_waits_behind_others() -> None:
    bench, cancelled = Bench(), set[int]()
    serving = Slow(bench, cancelled)
    answer = bench.ask(1, [1, 2, 3], 60)
    bench.batch.step()
    cancelled.add(1)
    run(serving, [{"op": "count", "id": 2 + n, "text": "a word"} for n in range(8)])
    assert not bench.done and len(answer.tokens) == 1


def test_work_that_was_cancelled_while_it_waited_is_not_begun() -> None:
    serving = Slow(Bench(), {2})
    serving._handle({"op": "count", "id": 2, "text": "a word"})
    assert not serving.steps
    serving._handle({"op": "cancel", "id": 2})
    serving._handle({"op": "count", "id": 3, "text": "a word"})
    assert len(serving.steps) == 1


def test_far_too_long_a_prompt_is_refused_with_the_numbers_before_it_is_read_to_its_end() -> None:
    serving = Slow(Bench(), set())
    with pytest.raises(ContextOverflow, match=r"about 100\d\d\d tokens, more than the context of 100 tokens"):
        serving._prompts._refuse_overlong("word " * 100_000)
    assert len(serving.steps) == 1
    serving._prompts._refuse_overlong(" " * 100_000 + "word")
