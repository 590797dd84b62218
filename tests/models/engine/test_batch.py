"""Requests share a context without being lost, crossed or starved."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine.answering import Scoring
from models.engine.prefixes import PrefixFiles
from models.engine.text import TextStream
from models.errors import ContextOverflow, DeadlineExceeded
from tests.models.engine.scripted_library import END, VOCABULARY, Bench, expected, following, weighed


def test_an_answer_is_what_the_model_would_say() -> None:
    bench = Bench()
    bench.ask(1, [1, 2, 3], 5)
    bench.run()
    assert bench.answer(1) == expected([1, 2, 3], 5)


prompts = st.lists(st.integers(0, 3), min_size=1, max_size=40)
labels = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=2, max_size=4)
wishes = st.lists(st.tuples(prompts, st.integers(1, 12) | labels, st.booleans()), min_size=1, max_size=14)


@given(wishes, st.integers(0, 30), st.sampled_from([0, 30, 80]))
@settings(max_examples=200, deadline=None)
def test_no_answer_is_lost_or_crossed_whatever_comes_and_goes(
    wanted: list[tuple[list[int], int | list[list[int]], bool]], when: int, shelf: int
) -> None:
    bench = Bench(kv=80, slots=3, rows=16, shelf=shelf)
    for number, (prompt, wish, _) in enumerate(wanted):
        if isinstance(wish, int):
            bench.ask(number, prompt, wish)
        else:
            bench.weigh(number, prompt, wish)
    for _ in range(when):
        if bench.batch.busy:
            bench.batch.step()
    dropped = {n for n, (_, _, drop) in enumerate(wanted) if drop and n not in bench.done}
    for number in dropped:
        bench.batch.cancel(number)
    bench.run()
    for number, (prompt, wish, _) in enumerate(wanted):
        if number in dropped:
            assert number not in bench.done
        elif isinstance(wish, int):
            assert bench.answer(number) == expected(prompt, wish)
        else:
            assert bench.weights(number) == pytest.approx(weighed(prompt, wish))


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


def test_answer_that_broke_off_behind_its_stop_string_is_not_written_on() -> None:
    bench = Bench()
    whole = expected([4, 5], 9)
    stop = "".join(chr(65 + token) for token in whole[2:4])
    bench.ask(1, [4, 5], 9, resumed=tuple(whole[:4]), text=TextStream([stop]))
    bench.run()
    assert bench.answer(1) == whole[:4]


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
    scoring.begin()
    assert scoring.branches == [(), (10,), (10, 11)]
    rows = {path: np.zeros(VOCABULARY, dtype=np.float32) for path in scoring.branches}
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


PARTING = [[10, 11], [10, 12], [20, 1], [20, 2], [30, 5, 6], [30, 5, 7]]
"""Labels that part after three different tokens."""


def parting(tokens: list[int]) -> int:
    """After a prompt a token that begins no label, so that all of them stay in doubt; behind it one that does."""
    if tokens[0] == 4:
        return following(tokens)
    return 50 if len(tokens) <= 3 else 20


def test_labels_weighed_in_one_step_and_an_answer_beside_them_are_what_they_are_alone() -> None:
    alone = []
    for number in range(3):
        bench = Bench(says=parting)
        bench.weigh(number, [1, 2, number], PARTING)
        bench.run()
        alone.append(bench.weights(number))
    bench = Bench(says=parting)
    for number in range(3):
        bench.weigh(number, [1, 2, number], PARTING)
    bench.ask(3, [4, 4, 4], 6)
    bench.run()
    assert [bench.weights(number) for number in range(3)] == alone
    assert bench.answer(3) == expected([4, 4, 4], 6, parting)


def test_labels_of_a_prompt_that_is_there_already_leave_a_running_answer_alone() -> None:
    bench = Bench(says=parting, shelf=0)
    bench.ask(1, [4, 4, 4], 12)
    bench.weigh(2, [1, 2, 3], PARTING)
    bench.batch.step()
    bench.batch.step()
    bench.weigh(3, [1, 2, 3], PARTING)
    bench.run()
    assert bench.answer(1) == expected([4, 4, 4], 12, parting)
    assert bench.weights(3) == bench.weights(2)


def test_a_label_longer_than_a_step_is_weighed_in_several() -> None:
    shared = [i % 50 for i in range(40)]
    wanted = [[*shared, 1], [*shared, 2], [3]]
    bench = Bench(rows=16)
    bench.weigh(1, [1, 2, 3], wanted)
    bench.ask(2, [4, 4], 6)
    bench.run()
    assert bench.weights(1) == pytest.approx(weighed([1, 2, 3], wanted))
    assert bench.answer(2) == expected([4, 4], 6)


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


def test_the_first_piece_is_shown_at_once_and_later_ones_of_all_answers_together() -> None:
    bench = Bench(show_s=60)
    bench.ask(0, [1], 100)
    bench.batch.step()
    bench.ask(1, [2], 100)
    bench.batch.step()
    bench.batch.step()
    assert bench.progress == [0, 1]
    bench.progress.clear()
    bench.batch._shown = -math.inf  # as if that had been long ago
    bench.batch.step()
    assert bench.progress == [0, 1]


def test_every_token_is_shown_at_once_where_that_is_wanted() -> None:
    bench = Bench(show_s=0.0)
    bench.ask(0, [1], 100)
    for _ in range(4):
        bench.batch.step()
    assert bench.progress == [0, 0, 0, 0]


@pytest.mark.parametrize(("beside", "running"), [(0, [1]), (50, [1, 2, 3, 4])])
def test_short_answers_go_on_beside_a_request_that_fills_its_context(beside: int, running: list[int]) -> None:
    bench = Bench(context=100, kv=100 + beside)
    bench.ask(1, [number % 4 for number in range(90)], 10)
    for number in (2, 3, 4):
        bench.ask(number, [number], 8)
    bench.batch.step()
    assert [seat.job.id for seat in bench.batch._seats if seat.job] == running
