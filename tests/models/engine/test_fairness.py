"""Nobody waits for ever, nobody waits for the dead, and what is given up frees its room at once."""

from __future__ import annotations

import time

from models.errors import DeadlineExceeded
from tests.models.engine.scripted_library import Bench, expected


def steps_until(bench: Bench, number: int) -> int:
    """Run until this request has ended; return how many steps that took."""
    for steps in range(1, 2000):
        bench.batch.step()
        if number in bench.done or number in bench.failed:
            return steps
    raise AssertionError("it never ended")


def test_a_short_prompt_does_not_wait_for_long_ones_that_came_before() -> None:
    bench = Bench(kv=4000, slots=4, rows=16)
    for number in range(3):
        bench.ask(number, [number] * 800, 4)
    bench.ask(9, [50, 51, 52], 4)
    assert steps_until(bench, 9) < 12
    bench.run()
    assert all(bench.answer(number) == expected([number] * 800, 4) for number in range(3))


def test_a_short_prompt_has_the_step_after_that_of_long_ones_for_itself() -> None:
    bench = Bench(kv=4000, slots=4, rows=512)
    for number in range(2):
        bench.ask(number, [number] * 1200, 4)
    bench.batch.step()
    bench.ask(9, [50, 51, 52], 4)
    bench.batch.step()
    assert bench.library.calls == [512, 3] and bench.progress == [9]


def test_prompts_of_like_length_that_come_together_are_read_in_one_step() -> None:
    bench = Bench(kv=4000, slots=4, rows=512)
    for number in range(4):
        bench.ask(number, [number] * (40 + 16 * number), 4)
    bench.batch.step()
    assert bench.library.calls == [sum(40 + 16 * number for number in range(4))]


def test_the_rest_of_a_long_prompt_is_not_taken_for_a_short_one() -> None:
    bench = Bench(kv=4000, slots=2, rows=256)
    for number, length in enumerate((300, 800)):
        bench.ask(number, [number] * length, 4)
    for _ in range(3):
        bench.batch.step()
    assert bench.library.calls == [256, 256, 256]


def test_a_long_prompt_comes_forward_although_short_ones_never_end() -> None:
    bench = Bench(kv=4000, slots=2, rows=256)
    bench.ask(0, [1] * 2000, 1)
    for number in range(1, 40):
        bench.ask(number, [number, 2, 3], 1)
        bench.batch.step()
    assert 0 in bench.done


def test_long_prompts_come_forward_in_turns() -> None:
    bench = Bench(kv=4000, slots=4, rows=16)
    for number in range(4):
        bench.ask(number, [number] * 320, 4)
    for _ in range(40):
        bench.batch.step()
    lengths = [len(state) for state in bench.library.states[:4]]
    assert max(lengths) - min(lengths) <= 2 * 16


def test_a_large_request_is_not_passed_over_by_small_ones_that_keep_coming() -> None:
    bench = Bench(kv=200, slots=4)
    for number in range(3):
        bench.ask(number, [number] * 20, 20)
    bench.ask(100, [40] * 150, 40)
    for number in range(3, 60):
        bench.ask(number, [number] * 20, 20)
    ended_before = steps_until(bench, 100)
    assert ended_before < 120
    assert len(bench.done) < 10
    bench.run()
    assert len(bench.done) == 61


def test_an_answer_is_given_up_at_its_deadline_between_two_tokens_and_others_go_on() -> None:
    bench = Bench()
    late = bench.ask(1, [1, 2], 100, deadline=time.monotonic() + 60)
    bench.ask(2, [3, 4], 20)
    for _ in range(5):
        bench.batch.step()
    late.deadline = time.monotonic() - 0.001
    bench.batch.step()
    assert isinstance(bench.failed[1], DeadlineExceeded)
    assert 0 < len(late.tokens) < 10
    bench.run()
    assert bench.answer(2) == expected([3, 4], 20)


def test_who_waits_past_its_deadline_is_told_without_ever_being_computed() -> None:
    bench = Bench(slots=1)
    bench.ask(1, [1], 50)
    bench.ask(2, [2], 5, deadline=time.monotonic() - 0.001)
    rows = bench.library.rows
    bench.batch.step()
    assert isinstance(bench.failed[2], DeadlineExceeded)
    assert bench.library.rows == rows + 1


def test_a_cancel_in_the_middle_of_a_prompt_makes_room_in_the_next_step() -> None:
    bench = Bench(kv=300, slots=2, rows=16)
    bench.ask(1, [1] * 250, 40)
    bench.batch.step()
    bench.ask(2, [2] * 200, 4)
    bench.batch.step()
    assert not any(2 in state for state in bench.library.states)
    bench.batch.cancel(1)
    bench.batch.step()
    assert any(2 in state for state in bench.library.states)
    bench.run()
    assert set(bench.done) == {2}


def test_those_who_wait_for_a_common_beginning_go_on_when_its_maker_leaves() -> None:
    shared = [i % 50 for i in range(200)]
    bench = Bench(kv=900, rows=16)
    for number in range(4):
        bench.ask(number, [*shared, number], 4)
    for _ in range(5):
        bench.batch.step()
    bench.batch.cancel(0)
    bench.run()
    assert all(bench.answer(number) == expected([*shared, number], 4) for number in range(1, 4))
    assert bench.library.rows < 200 + 16 + 4 * 10


def test_state_is_never_promised_twice() -> None:
    """The scripted library fails the test when more is computed than there is room for."""
    bench = Bench(kv=120, slots=8, rows=32)
    for number in range(30):
        bench.ask(number, [number % 7] * (5 + number), 10 + number)
    bench.run()
    assert len(bench.done) == 30
    assert not bench.failed
