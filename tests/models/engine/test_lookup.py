"""Proposed tokens make an answer faster and never another one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.backend import Sampling
from models.engine.answering import Answer
from models.engine.lookup import MOST_PROPOSED, Lookup, worthwhile
from models.engine.pace import Pace
from tests.models.engine.scripted_library import Bench, expected


def repeating(tokens: list[int]) -> int:
    """Mostly goes on as it went before, and now and then does not."""
    return (tokens[-1] * 3 + 1) % 7 if len(tokens) % 11 else len(tokens) % 5


def cheap_rows() -> Pace:
    """A device on which a further row costs next to nothing."""
    pace = Pace()
    for rows in (1, 2, 4, 8, 16):
        pace.observe(answers=rows, prompt_rows=0, seconds=1 + rows / 100)
    return pace


def test_what_followed_the_same_end_before_is_proposed() -> None:
    lookup = Lookup([1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 4, 5])
    assert lookup.proposal(cheap_rows(), most=3, beside=0) == (3, [6, 7, 8])


def test_nothing_is_proposed_where_the_end_is_new() -> None:
    assert Lookup([1, 2, 3, 4]).proposal(cheap_rows(), most=3, beside=0) == (0, [])


def test_a_proposal_that_keeps_failing_is_given_up_and_tried_again_later() -> None:
    lookup, pace = Lookup([5] * 9), cheap_rows()
    for _ in range(40):
        size, found = lookup.proposal(pace, most=1, beside=0)
        lookup.learn(size, proposed=len(found), right=0)
    later = [len(lookup.proposal(pace, most=MOST_PROPOSED, beside=0)[1]) for _ in range(60)]
    assert 1 <= sum(later) <= 4


def test_where_a_further_row_takes_as_long_as_a_step_nothing_is_tried_again() -> None:
    lookup, pace = Lookup([5] * 9), Pace()
    for rows in range(1, 5):
        pace.observe(answers=rows, prompt_rows=0, seconds=rows)
    assert not any(lookup.proposal(pace, most=MOST_PROPOSED, beside=0)[1] for _ in range(200))


@pytest.mark.parametrize(
    ("row_s", "rate", "beside", "some"),
    [
        (0.01, 0.9, 0, True),
        (0.01, 0.9, 7, True),  # rows cost nothing: the others do not suffer
        (0.9, 0.9, 0, False),  # a row costs as much as a step
        (0.3, 0.9, 0, True),
        (0.3, 0.9, 7, False),  # the others would pay for it
        (0.3, 0.2, 0, False),  # it is hardly ever right
    ],
)
def test_it_is_proposed_only_where_it_pays(row_s: float, rate: float, beside: int, some: bool) -> None:
    pace = Pace()
    for rows in range(1, 33):
        pace.observe(answers=rows, prompt_rows=0, seconds=1 + row_s * (rows - 1))
    assert bool(worthwhile(rate, pace, most=8, beside=beside)) is some


def test_nothing_is_proposed_before_a_step_was_timed() -> None:
    assert worthwhile(1.0, Pace(), most=8, beside=0) == 0


prompts = st.lists(st.integers(0, 6), min_size=1, max_size=30)
wishes = st.lists(st.tuples(prompts, st.integers(1, 40), st.booleans(), st.booleans()), min_size=1, max_size=9)


@given(wishes, st.integers(0, 40), st.integers(2, 24))
@settings(max_examples=120, deadline=None)
def test_answers_are_the_same_with_proposals_whatever_comes_and_goes(
    wanted: list[tuple[list[int], int, bool, bool]], when: int, rows: int
) -> None:
    bench = Bench(kv=90, slots=3, rows=rows, says=repeating)
    bench.batch._pace = cheap_rows()
    for number, (prompt, most, copies, _) in enumerate(wanted):
        bench.ask(number, prompt, most, lookup=Lookup() if copies else None)
    for _ in range(when):
        if bench.batch.busy:
            bench.batch.step()
    dropped = {n for n, wish in enumerate(wanted) if wish[3] and n not in bench.done}
    for number in dropped:
        bench.batch.cancel(number)
    bench.run()
    for number, (prompt, most, _, _) in enumerate(wanted):
        if number not in dropped:
            assert bench.answer(number) == expected(prompt, most, repeating)


def test_a_repeating_answer_takes_fewer_steps() -> None:
    def steps(lookup: Lookup | None) -> int:
        bench = Bench(says=repeating)
        bench.batch._pace = cheap_rows()
        bench.ask(1, [1, 4, 6, 5, 2, 0, 1, 4, 6], 80, lookup=lookup)
        bench.run()
        return len(bench.library.calls)

    assert steps(Lookup()) < steps(None) / 2


def test_signals_are_those_of_the_chosen_tokens_alone() -> None:
    def signals(lookup: Lookup | None) -> object:
        bench = Bench(says=repeating)
        bench.batch._pace = cheap_rows()
        answer = bench.ask(1, [1, 4, 6], 50, lookup=lookup)
        bench.run()
        return answer.signals.signals()

    assert signals(Lookup()) == signals(None)


def test_a_sampled_answer_draws_the_same_tokens() -> None:
    def drawn(lookup: Lookup | None) -> list[int]:
        bench = Bench(says=repeating)
        bench.batch._pace = cheap_rows()
        answer: Answer = bench.ask(1, [1, 4, 6], 60, lookup=lookup, sampling=Sampling(4.0, 1.0, 7))
        bench.run()
        return answer.tokens

    assert drawn(Lookup()) == drawn(None)
    assert len(set(drawn(None))) > 7


def test_what_was_proposed_for_a_step_that_came_to_nothing_is_not_taken_for_computed() -> None:
    """A prompt arrives before the step is tried again, and beside prompts nothing is proposed."""
    bench = Bench(kv=400, says=repeating, shelf=0)
    bench.batch._pace = cheap_rows()
    prompt = [1, 4, 6, 5, 2, 0, 1, 4, 6]
    bench.ask(1, [9] * 20, 1)
    bench.run()
    answer = bench.ask(2, prompt, 80, lookup=Lookup())
    while not any(count > 1 for count in bench.library.calls[-1:]) or len(answer.tokens) < 20:
        bench.batch.step()
    bench.library.lies = 1
    bench.batch.step()
    assert answer.proposed, "nothing was proposed"
    bench.ask(3, [8] * 30, 2)
    bench.run()
    assert not bench.failed and bench.answer(2) == expected(prompt, 80, repeating)
