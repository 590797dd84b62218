"""A prompt comes forward beside answers, without holding them up for long."""

import pytest

from models.engine.pace import CROWD_S, FEWEST_ROWS, FIRST_GUESS_ROWS, FORGET_STEPS, LONGEST_STEP, Pace


def test_rows_fill_the_time_that_a_step_may_take() -> None:
    pace = Pace()
    for _ in range(50):
        pace.observe(answers=4, prompt_rows=0, seconds=0.04)
        pace.observe(answers=4, prompt_rows=16, seconds=0.04 + 16 * 0.001)
    assert abs(pace.rows(512) * 0.001 - (LONGEST_STEP - 1) * 0.04) < 0.002


@pytest.mark.parametrize("step_s", [0.002, 0.006, 0.012, 0.015, 0.02, 0.04])
def test_gap_that_a_prompt_makes_is_never_more_than_four_of_the_answers_own(step_s: float) -> None:
    pace = Pace()
    for _ in range(50):
        pace.observe(answers=1, prompt_rows=0, seconds=step_s)
        pace.observe(answers=1, prompt_rows=16, seconds=step_s + 16 * step_s / 20)
    gap = step_s + pace.rows(512) * step_s / 20
    assert 2.3 * step_s < gap < 4 * step_s


def test_where_as_many_wait_as_are_answered_their_prompts_go_before_a_gap_that_nobody_sees() -> None:
    pace = Pace()
    for _ in range(50):
        pace.observe(answers=1, prompt_rows=0, seconds=0.006)
        pace.observe(answers=1, prompt_rows=16, seconds=0.006 + 16 * 0.002)
    crowded = pace.rows(512, answers=4, waiting=4, left=2000)
    assert crowded * 0.002 == pytest.approx(CROWD_S - 0.006, abs=0.002)
    assert pace.rows(512, answers=4, waiting=1, left=2000) < crowded / 3


def test_many_short_prompts_are_read_at_once_beside_a_few_answers_and_long_ones_are_not() -> None:
    pace = Pace()
    for _ in range(50):
        pace.observe(answers=1, prompt_rows=0, seconds=0.006)
        pace.observe(answers=1, prompt_rows=16, seconds=0.006 + 16 * 0.002)
    assert pace.rows(512, answers=1, waiting=7, left=150) == 150
    assert pace.rows(512, answers=1, waiting=7, left=1500) * 0.002 <= CROWD_S


def test_answers_that_waited_for_a_crowd_go_on_for_as_long_before_the_next_one() -> None:
    """Else clients that ask again and again for one word would let an answer stand still for good."""
    pace = Pace()
    for _ in range(50):
        pace.observe(answers=1, prompt_rows=0, seconds=0.006)
        pace.observe(answers=1, prompt_rows=16, seconds=0.006 + 16 * 0.002)
    spent = longest = at_once = 0.0
    steps = 0
    while spent < 10:  # seven new prompts of 20 tokens wait at every step
        rows = pace.rows(512, answers=1, waiting=7, left=140)
        took = 0.006 + rows * 0.002
        pace.observe(answers=1, prompt_rows=rows, seconds=took)
        spent, longest, steps = spent + took, max(longest, took), steps + 1
        at_once += took if rows == 140 else 0.0
    assert longest < 0.3 and at_once <= 0.55 * spent
    assert steps / spent > 6, "tokens a second, about as fast as one reads"


def test_before_anything_is_known_a_guess_is_made() -> None:
    assert Pace().rows(512) == FIRST_GUESS_ROWS
    assert Pace().rows(4) == 4


def test_on_a_slow_device_a_prompt_still_comes_forward() -> None:
    pace = Pace()
    pace.observe(answers=1, prompt_rows=0, seconds=0.01)
    pace.observe(answers=0, prompt_rows=10, seconds=10.0)
    assert pace.rows(512) == FEWEST_ROWS


def test_a_long_prompt_says_more_of_what_a_row_takes_than_the_first_few_rows_of_a_fresh_process() -> None:
    pace = Pace()
    pace.observe(answers=0, prompt_rows=10, seconds=0.2)
    pace.observe(answers=1, prompt_rows=0, seconds=0.01)
    pace.observe(answers=0, prompt_rows=300, seconds=0.3)
    assert pace.rows(512) > 22


def test_what_a_number_of_rows_took_long_ago_is_forgotten() -> None:
    """A first step of two rows while the device was busy must not rule them out for as long as the process lives."""
    pace = Pace()
    pace.observe(answers=2, prompt_rows=0, seconds=10.0)
    for _ in range(2 * FORGET_STEPS):
        pace.observe(answers=1, prompt_rows=0, seconds=1.0)
    assert (pace.seconds(1), pace.seconds(2)) == (1.0, 2.0)
