"""Labels are weighed a few rows a step: others go on between, and what is given up is computed no further."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from models.errors import DeadlineExceeded
from tests.models.engine.scripted_library import Bench, expected, following, weighed

LATE = [[first, *range(1, 40), last] for first in range(10, 22) for last in (50, 51)]
"""Labels that part in their last token, and all of which stay in doubt: twelve branches of forty tokens."""
OWN = [n % 50 for n in range(60)]


def doubting(tokens: list[int]) -> int:
    """What a model says that begins no label right behind the prompt."""
    return 60 if tokens[0] == 1 and len(tokens) <= 3 else following(tokens)


def weighing(**more: object) -> Bench:
    """A bench on which one answer is being written and the labels have begun to be weighed."""
    bench = Bench(kv=4000, rows=512, says=doubting, show_s=0.0, **more)  # type: ignore[arg-type]
    bench.ask(1, [4, 4, 4], 200)
    bench.batch.step()
    bench.weigh(2, [1, 2, 3], LATE)
    for _ in range(3):
        bench.batch.step()
    assert 2 not in bench.done
    return bench


def scratch(bench: Bench) -> list[list[int]]:
    return bench.library.states[4:]


def test_answers_go_on_between_the_branches_of_labels() -> None:
    bench = weighing()
    answer = bench.asked[1]
    while 2 not in bench.done:
        bench.library.calls.clear()
        tokens = len(answer.whole)
        bench.batch.step()
        assert len(answer.whole) == tokens + 1
        assert len(bench.library.calls) == 1
    bench.run()
    assert bench.answer(1) == expected([4, 4, 4], 200, doubting)
    assert not any(scratch(bench))


def test_labels_weighed_in_many_steps_have_the_probabilities_of_a_few() -> None:
    alone = Bench(kv=4000, rows=512, says=doubting)
    alone.weigh(2, [1, 2, 3], LATE)
    alone.run()
    bench = weighing()
    bench.run()
    assert bench.weights(2) == alone.weights(2)


def test_labels_that_nobody_waits_for_any_more_are_weighed_no_further() -> None:
    bench = weighing()
    rows = bench.library.rows
    bench.batch.cancel(2)
    assert not any(scratch(bench))
    for _ in range(5):
        bench.batch.step()
    assert bench.library.rows == rows + 5
    assert not bench.failed and 2 not in bench.done


def test_weighing_that_is_late_ends_between_two_of_its_steps() -> None:
    bench = weighing()
    bench.asked[2].deadline = time.monotonic() - 0.001
    bench.batch.step()
    assert isinstance(bench.failed[2], DeadlineExceeded)
    assert not any(scratch(bench))


def test_weighing_alone_is_broken_off_inside_a_step() -> None:
    cancelled: set[int] = set()
    bench = Bench(kv=4000, rows=512, says=doubting, cancelled=cancelled)
    bench.weigh(2, [1, 2, 3], LATE)
    bench.batch.step()
    rows = bench.library.rows
    cancelled.add(2)
    bench.batch.step()
    assert bench.library.rows == rows + bench.library.asks_at


def test_several_requests_share_the_places_where_branches_are_computed() -> None:
    bench = weighing()
    for number in range(3, 5):
        bench.weigh(number, [1, 2, number], LATE[: 4 * number])
    bench.run()
    for number in range(3, 5):
        alone = Bench(kv=4000, rows=512, says=doubting)
        alone.weigh(number, [1, 2, number], LATE[: 4 * number])
        alone.run()
        assert bench.weights(number) == pytest.approx(alone.weights(number))


def test_labels_of_several_requests_are_weighed_while_one_answer_is_written() -> None:
    bench = weighing()
    bench.batch._pace.observe(answers=1, prompt_rows=0, seconds=0.006)
    bench.batch._pace.observe(answers=1, prompt_rows=16, seconds=0.04)
    for number in range(3, 5):
        bench.weigh(number, [1, 2, number], LATE)
    while 1 not in bench.done:
        bench.batch.step()
    assert {2, 3, 4} <= bench.done.keys(), "they waited for the answer's end"


def test_prompt_that_is_to_be_kept_waits_for_a_place_while_labels_are_weighed(tmp_path: Path) -> None:
    bench = weighing(folder=tmp_path)
    bench.ask(3, [*OWN, 9], 60, own=60, keep=60)
    bench.run()
    assert bench.answer(3) == expected([*OWN, 9], 60, doubting)
    assert [path.read_bytes()[32:] for path in tmp_path.iterdir()] == [bytes(OWN)]


def test_labels_that_part_at_once_take_one_step_more_than_the_prompt() -> None:
    labels = [[first, last] for first in (10, 20) for last in (50, 51)]
    bench = Bench(says=doubting)
    bench.weigh(1, [1, 2, 3], labels)
    bench.run()
    assert bench.library.calls == [3, 2]
    assert bench.weights(1) == pytest.approx(weighed([1, 2, 3], labels, doubting))


def test_labels_take_the_room_of_those_that_are_weighed_at_once() -> None:
    """Not that of all of them together, which no context may have."""
    labels = [[*range(n), 60] for n in range(1, 30)]
    bench = Bench(kv=100)
    scoring = bench.weigh(1, [1, 2, 3], labels, at_once=2)
    assert sum(map(len, scoring.branches)) > 100
    bench.run()
    alone = Bench(kv=1000)
    alone.weigh(1, [1, 2, 3], labels)
    alone.run()
    assert bench.weights(1) == pytest.approx(alone.weights(1))


def test_numbers_that_are_none_are_no_probabilities() -> None:
    bench = Bench(says=lambda _: 1)
    bench.library.factor = float("nan")
    bench.weigh(1, [1, 2, 3], [[1], [2]])
    bench.ask(2, [1, 2, 3], 4)
    bench.run()
    assert not bench.done
    assert all("no numbers" in str(bench.failed[number]) for number in (1, 2))
