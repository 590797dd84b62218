"""Requests share a context without being lost, crossed or starved.

The library here is a scripted one: the next token is a hash of all tokens that the sequence's state
holds, so an answer is right only if its state was right at every step.
"""

from __future__ import annotations

import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.backend import Sampling
from models.engine.answering import Answer, Scoring
from models.engine.batch import Batch, BatchSettings, Job
from models.engine.library import NoRoom, Row, Vocabulary
from models.engine.prefixes import PrefixFiles
from models.engine.text import TextStream
from models.errors import ContextOverflow, DeadlineExceeded, ModelsError
from models.types import Usage

VOCABULARY = 64
END = 63


class Words(Vocabulary):
    """One character a token; token 63 ends a turn."""

    def __init__(self) -> None:
        self.size = VOCABULARY

    def piece(self, token: int) -> bytes:
        return chr(65 + token).encode()

    def ends(self, token: int) -> bool:
        return token == END


def following(tokens: list[int]) -> int:
    """The token that comes after these; never the end token."""
    return zlib.crc32(bytes(t % 256 for t in tokens)) % (VOCABULARY - 1)


class ScriptedLibrary:
    """Keeps the state that llama.cpp would keep, and fails where llama.cpp would."""

    def __init__(self, capacity: int, sequences: int) -> None:
        self.capacity = capacity
        self.states: list[list[int]] = [[] for _ in range(sequences)]
        self.calls: list[int] = []
        self.rows = 0
        self.lies = 0
        """How many times NoRoom is raised although there is room."""

    def decode(self, rows: list[Row]) -> list[NDArray[np.float32]]:
        if self.lies:
            self.lies -= 1
            raise NoRoom("scripted")
        self.calls.append(len(rows))
        self.rows += len(rows)
        logits = []
        for row in rows:
            state = self.states[row.sequence]
            assert row.position == len(state), "a token was computed at the wrong place"
            state.append(row.token)
            if row.wants_logits:
                values = np.zeros(VOCABULARY, dtype=np.float32)
                values[following(state)] = 9.0
                logits.append(values)
        distinct = {tuple(state[: i + 1]) for state in self.states for i in range(len(state))}
        assert len(distinct) <= self.capacity, "more state than there is room for"
        return logits

    def copy(self, source: int, target: int, length: int) -> None:
        assert not self.states[target]
        self.states[target] = self.states[source][:length]

    def cut(self, sequence: int, length: int) -> None:
        del self.states[sequence][length:]

    def state(self, sequence: int) -> bytes:
        return bytes(self.states[sequence])

    def restore(self, sequence: int, state: bytes) -> bool:
        assert not self.states[sequence]
        self.states[sequence] = list(state)
        return True


class Bench:
    """A batch on a scripted library, and what came out of it."""

    def __init__(
        self, *, kv: int = 256, slots: int = 4, rows: int = 64, context: int | None = None, folder: Path | None = None
    ) -> None:
        self.library = ScriptedLibrary(kv, slots + 2)
        self.done: dict[int, tuple[Job, Usage, list[float]]] = {}
        self.failed: dict[int, ModelsError] = {}
        self.progress: list[int] = []
        self.batch = Batch(
            self.library,
            BatchSettings(context or kv, kv, slots, 2, rows),
            progressed=lambda answer: (answer.take_owed(), self.progress.append(answer.id))[1],
            done=lambda job, usage, weights: self.done.__setitem__(job.id, (job, usage, weights)),
            failed=lambda job, error: self.failed.__setitem__(job.id, error),
            prefixes=None if folder is None else PrefixFiles(folder, "scripted"),
        )

    def ask(self, number: int, prompt: list[int], most: int, resumed: tuple[int, ...] = (), **more: float) -> Answer:
        answer = Answer(number, prompt, most, Sampling(), Words(), TextStream(), **more)  # type: ignore[arg-type]
        answer.begin(resumed)
        self.batch.submit(answer)
        return answer

    def run(self) -> None:
        for _ in range(5000):
            if not self.batch.busy:
                return
            self.batch.step()
        pytest.fail("the batch never came to rest")

    def answer(self, number: int) -> list[int]:
        job = self.done[number][0]
        assert isinstance(job, Answer)
        return job.tokens


def expected(prompt: list[int], most: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(most):
        tokens.append(following(tokens))
    return tokens[len(prompt) :]


def test_an_answer_is_what_the_model_would_say() -> None:
    bench = Bench()
    bench.ask(1, [1, 2, 3], 5)
    bench.run()
    assert bench.answer(1) == expected([1, 2, 3], 5)


prompts = st.lists(st.integers(0, 3), min_size=1, max_size=40)
wishes = st.lists(st.tuples(prompts, st.integers(1, 12), st.booleans()), min_size=1, max_size=14)


@given(wishes, st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_no_answer_is_lost_or_crossed_whatever_comes_and_goes(
    wanted: list[tuple[list[int], int, bool]], when: int
) -> None:
    bench = Bench(kv=80, slots=3, rows=16)
    for number, (prompt, most, _) in enumerate(wanted):
        bench.ask(number, prompt, most)
    for _ in range(when):
        if bench.batch.busy:
            bench.batch.step()
    dropped = {n for n, (_, _, drop) in enumerate(wanted) if drop and n not in bench.done}
    for number in dropped:
        bench.batch.cancel(number)
    bench.run()
    for number, (prompt, most, _) in enumerate(wanted):
        if number in dropped:
            assert number not in bench.done
        else:
            assert bench.answer(number) == expected(prompt, most)


def test_requests_that_arrive_together_compute_a_common_beginning_once() -> None:
    shared = [i % 50 for i in range(100)]
    bench = Bench(kv=400)
    for number in range(4):
        bench.ask(number, [*shared, number, number], 2)
    bench.run()
    assert bench.library.rows < 100 + 4 * 10
    assert all(bench.answer(n) == expected([*shared, n, n], 2) for n in range(4))


def test_a_later_request_takes_over_what_is_left_of_an_earlier_one() -> None:
    bench = Bench(kv=400)
    shared = [i % 50 for i in range(100)]
    bench.ask(1, [*shared, 7], 2)
    bench.run()
    before = bench.library.rows
    bench.ask(2, [*shared, 9], 2)
    bench.run()
    assert bench.library.rows - before == 2
    assert bench.done[2][1].cached_tokens == 100


def test_a_long_prompt_does_not_stall_those_who_are_answering() -> None:
    bench = Bench(kv=1000, rows=512)
    bench.ask(1, [1, 2], 40)
    bench.batch.step()
    bench.ask(2, [5] * 600, 2)
    bench.library.calls.clear()
    while 1 not in bench.done:
        bench.batch.step()
    assert max(bench.library.calls) < 600
    assert len(bench.library.calls) > 3
    bench.run()
    assert bench.answer(2) == expected([5] * 600, 2)


def test_a_prompt_beyond_the_context_is_refused_with_the_numbers() -> None:
    with pytest.raises(ContextOverflow, match=r"has 90 tokens.*may take 20.*100 tokens"):
        Bench(kv=100).ask(1, [1] * 90, 20)


def test_more_requests_than_room_wait_their_turn() -> None:
    bench = Bench(kv=60, slots=4)
    for number in range(6):
        bench.ask(number, [number] * 30, 10)
    bench.run()
    assert all(bench.answer(n) == expected([n] * 30, 10) for n in range(6))


def test_a_request_alone_with_its_own_long_past_still_finds_room() -> None:
    bench = Bench(kv=100, slots=1)
    bench.ask(1, [1, 2, 3], 90)
    bench.run()
    bench.ask(2, [1, 2, 3, *bench.answer(1)[:2], 9], 90)
    bench.run()
    assert len(bench.answer(2)) == 90


def test_a_full_context_gives_up_the_youngest_and_serves_the_rest() -> None:
    bench = Bench()
    bench.ask(1, [1], 3)
    bench.ask(2, [2], 3)
    bench.library.lies = 1
    bench.run()
    assert len(bench.done) == len(bench.failed) == 1


def test_an_answer_past_its_deadline_is_given_up() -> None:
    bench = Bench()
    bench.ask(1, [1], 3, deadline=time.monotonic() - 1)
    bench.run()
    assert isinstance(bench.failed[1], DeadlineExceeded)


def test_a_resumed_answer_goes_on_where_it_broke_off() -> None:
    whole = expected([4, 5], 9)
    bench = Bench()
    bench.ask(1, [4, 5], 9, resumed=tuple(whole[:4]))
    bench.run()
    assert bench.answer(1) == whole


def test_an_answer_that_was_already_complete_ends_at_once() -> None:
    bench = Bench()
    bench.ask(1, [4, 5], 3, resumed=tuple(expected([4, 5], 3)))
    bench.run()
    assert bench.answer(1) == expected([4, 5], 3)
    assert bench.library.rows == 0


def test_labels_are_weighed_where_they_part_and_nowhere_else() -> None:
    scoring = Scoring(1, [1, 2], [[10, 11, 12], [10, 11, 13], [20], [10]], END)
    assert scoring.branches() == [(), (10,), (10, 11)]
    rows = {path: np.zeros(VOCABULARY, dtype=np.float32) for path in scoring.branches()}
    rows[()][20] = np.log(3)  # three times as probable as 10
    assert scoring.probabilities(rows) == pytest.approx([0.0625, 0.0625, 0.75, 0.125])


def test_weighing_labels_leaves_the_prompt_for_the_next_request() -> None:
    bench = Bench()
    scoring = Scoring(1, [1, 2, 3], [[10, 11], [10, 12], [10, 13, 14], [10, 13, 15], [20, 1], [20, 2]], END)
    scoring.begin()
    bench.batch.submit(scoring)
    bench.ask(2, [1, 2, 3, 4], 4)
    bench.run()
    weights = bench.done[1][2]
    assert sum(weights) == pytest.approx(1.0)
    assert bench.answer(2) == expected([1, 2, 3, 4], 4)


OWN = [i % 50 for i in range(100)]
"""A specialist's own prompt."""


def test_a_specialists_prompt_is_computed_once_even_over_restarts(tmp_path: Path) -> None:
    first = Bench(kv=400, folder=tmp_path)
    first.ask(1, [*OWN, 7, 8], 3, keep=100)
    first.run()
    second = Bench(kv=400, folder=tmp_path)
    second.ask(2, [*OWN, 9], 3, keep=100)
    second.run()
    assert second.answer(2) == expected([*OWN, 9], 3)
    assert second.library.rows <= 4
    assert second.done[2][1].cached_tokens == 100


def test_what_the_user_wrote_is_never_written_to_disk(tmp_path: Path) -> None:
    bench = Bench(kv=400, folder=tmp_path)
    bench.ask(1, [*OWN, 61, 62], 3, keep=100)
    bench.ask(2, [61] * 100, 3)
    bench.run()
    written = b"".join(path.read_bytes()[32:] for path in tmp_path.iterdir())
    assert written == bytes(OWN)


def test_a_damaged_or_foreign_file_is_ignored(tmp_path: Path) -> None:
    bench = Bench(kv=400, folder=tmp_path)
    bench.ask(1, [*OWN, 7], 3, keep=100)
    bench.run()
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[60] ^= 1
    file.write_bytes(content)
    again = Bench(kv=400, folder=tmp_path)
    again.ask(1, [*OWN, 7], 3, keep=100)
    again.run()
    assert again.answer(1) == expected([*OWN, 7], 3)
    assert again.done[1][1].cached_tokens == 0
    assert PrefixFiles(tmp_path, "another model").read(OWN) is None
