"""What a kept state depends on, and how the loop shares its time between messages and answers."""

from __future__ import annotations

import io
import queue
import threading
import time
from dataclasses import astuple
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
from numpy.typing import NDArray

from models.backend import Constraint, Sampling
from models.engine import framing, worker
from models.engine.compiling import Compiling
from models.engine.constrain import Matcher
from models.engine.counting import PIECE_CHARS, Counting
from models.engine.prefixes import FEWEST_TOKENS, PrefixFiles
from models.engine.prompts import Prompts
from models.errors import ConstraintError, ContextOverflow
from tests.models.engine.scripted_library import VOCABULARY, Bench, Words, expected

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
        self._inbox = queue.SimpleQueue()
        self._compiling = Compiling(self._matcher, self._compiled)
        self._compiled_at_last = threading.Event()
        self._vocabulary = Words()
        self._prefixes = None
        self._step_s = 0.0

    def _matcher(self, constraint: Constraint) -> Matcher:
        """Only small tokens, once the test lets it go on."""
        assert self._compiled_at_last.wait(10)
        if constraint.value == "bad":
            raise ConstraintError("This output can't be enforced.")
        return OnlySmall()


class OnlySmall(Matcher):
    """Allows the first eight tokens."""

    def __init__(self) -> None:
        self._few = np.arange(VOCABULARY) < 8

    def allowed(self) -> NDArray[np.bool_]:
        return self._few

    def consume(self, token: int) -> None:
        assert token < 8

    def forced(self) -> list[int]:
        return []

    @property
    def finished(self) -> bool:
        return False


class Slowly(Prompts):
    """Takes long to count, and a word is a token."""

    def __init__(self, serving: Slow) -> None:
        self._serving = serving
        self._limit = 100

    def made(self, message: dict[str, Any]) -> tuple[list[int], int]:
        return [1, 2, 3, int(message["id"])], 0

    def count(self, text: str) -> int:
        if text.endswith("bad"):
            raise ZeroDivisionError
        self._serving.steps.append(len(self._serving._bench.library.calls))
        time.sleep(worker.BETWEEN_STEPS_S)
        return len(text.split())


def run(serving: Slow, messages: list[dict[str, Any]]) -> None:
    for message in messages:
        serving._inbox.put(message)
    while serving._busy:
        assert serving._turn()


def told(serving: Slow) -> list[dict[str, Any]]:
    """What the worker has sent."""
    serving._replies.seek(0)
    said = iter(lambda: framing.read(serving._replies), None)
    return [message for message in said if message is not None]


def constrained(number: int, value: str = "small") -> dict[str, Any]:
    call = {"op": "generate", "id": number, "max_tokens": 5, "sampling": astuple(Sampling()), "resume_tokens": []}
    rest = {"stop": [], "signals": False, "details": False, "alternatives": 0, "copies": False, "asker": ""}
    return call | rest | {"conversation": "", "deadline_s": None, "constraint": ["choice", value]}


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


def test_answers_go_on_while_a_constraint_is_compiled() -> None:
    bench = Bench()
    bench.ask(1, [1, 2, 3], 60)
    serving = Slow(bench, set())
    run(serving, [constrained(2)])
    assert bench.answer(1) == expected([1, 2, 3], 60) and 2 not in bench.done

    serving._compiled_at_last.set()
    assert serving._turn()  # waits for it, with nothing else to do
    run(serving, [])
    tokens = bench.answer(2)
    assert len(tokens) == 5 and max(tokens) < 8


def test_a_request_that_is_cancelled_while_its_constraint_is_compiled_is_not_begun() -> None:
    bench = Bench()
    serving = Slow(bench, set())
    for message in (
        constrained(2),
        constrained(3),
        constrained(4),
        {"op": "cancel", "id": 2},
        {"op": "cancel", "id": 3},
    ):
        serving._handle(message)
    serving._compiled_at_last.set()
    while 4 not in bench.done:
        assert serving._turn()
    assert set(bench.done) == {4}


def test_a_constraint_that_can_not_be_compiled_fails_its_own_request_only() -> None:
    bench = Bench()
    serving = Slow(bench, set())
    serving._compiled_at_last.set()
    for message in (constrained(2, "bad"), constrained(3)):
        serving._handle(message)
    while 3 not in bench.done:
        assert serving._turn()
    assert [(one["op"], one["id"], one["message"]) for one in told(serving)] == [
        ("error", 2, "This output can't be enforced.")
    ]


def test_a_text_that_can_not_be_counted_fails_its_own_request_only() -> None:
    bench = Bench()
    bench.ask(1, [1, 2, 3], 6)
    serving = Slow(bench, set())
    texts = ["word " * PIECE_CHARS + "bad", "word " * PIECE_CHARS]
    run(serving, [{"op": "count", "id": 2 + n, "text": text} for n, text in enumerate(texts)])
    assert [(one["op"], one["id"]) for one in told(serving)] == [("error", 2), ("count", 3)]
    assert bench.answer(1) == expected([1, 2, 3], 6)
